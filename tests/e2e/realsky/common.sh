# What up.sh and down.sh share: the folder, its user, who is alive. Sourced, never run.
# The version of SkyPilot is pinned in one place for fmon and for this: requirements.lock.
HERE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
LOCK=$HERE/../../../requirements.lock
SKYPILOT=$(sed -n 's/^skypilot==/skypilot==/p' "$LOCK" | head -1)
# Debian puts slurmctld, slurmd, munged and sshd into sbin, which cron and CI may not have.
export PATH=$PATH:/usr/sbin:/sbin

R=$(realpath -m "${REALSKY:-${TMPDIR:-/tmp}/fmon-realsky}")
HOME_DIR=$R/home
JOB_HOME=$R/jobhome
# One job user per folder: down.sh may then end everything this user runs.
NUMBER=$(printf %s "$R" | cksum | cut -d ' ' -f 1)
JOB_USER=fmonsky$((NUMBER % 100000))
USER_HASH=$(printf %08x "$NUMBER")

# alive NAME: the daemon behind $R/run/NAME.pid runs. The pid file may be of a boot long ago, so the name counts too.
alive() {
  local pid
  pid=$(cat "$R/run/$1.pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ]
}

# healthy: our API server answers. Its port is ours alone (see pick_ports), so nobody else's can.
healthy() {
  [ -n "${SKY_PORT:-}" ] && curl -sf -m 5 "http://127.0.0.1:$SKY_PORT/api/health" >/dev/null 2>&1
}

# sky_pids: the server, its executors and its jobs controllers. They change their titles, but stand in $R/home.
sky_pids() {
  local proc
  for proc in /proc/[0-9]*; do
    [ "$(readlink "$proc/cwd" 2>/dev/null)" = "$HOME_DIR" ] || continue
    tr '\0' ' ' <"$proc/cmdline" 2>/dev/null | grep -qE "^$R/venv/bin/python|^SkyPilot:" && echo "${proc#/proc/}"
  done
  return 0
}

[ -s "$R/etc/ports.sh" ] && . "$R/etc/ports.sh"
true
