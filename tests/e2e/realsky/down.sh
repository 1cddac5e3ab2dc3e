#!/bin/bash
# Stops what up.sh started in $REALSKY, by pid.
#   (nothing)    cancels open jobs, then stops everything; databases and logs stay
#   --keep-jobs  stops only the API server with its jobs controllers; Slurm and the jobs on it go on, up.sh resumes them
#   --purge      stops everything and removes user and state; the venvs stay, they take a minute to make
set -uo pipefail
. "$(dirname "$(readlink -f "$0")")/common.sh"
case ${1:-} in "" | --keep-jobs | --purge) ;; *) echo "usage: down.sh [--keep-jobs | --purge]" >&2; exit 2 ;; esac
[ -d "$R" ] || { echo "down (there is no $R)"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 77; }

stop_sky() {
  local pids
  if healthy; then
    (
      . "$R/env.sh"; cd "$HOME_DIR" || exit
      [ -n "${1:-}" ] || timeout 60 sky jobs cancel -a -y >/dev/null 2>&1 </dev/null
      timeout 60 sky api stop </dev/null
    )
  fi
  # What a killed server or a hanging stop left behind: first asked, then ended.
  for signal in TERM KILL; do
    pids=$(sky_pids); [ -n "$pids" ] || break
    kill -"$signal" $pids 2>/dev/null
    for _ in $(seq 10); do [ -n "$(sky_pids)" ] || break; sleep 0.3; done
  done
}

stop_slurm() {
  export SLURM_CONF=$R/etc/slurm.conf
  if alive slurmctld; then
    timeout 20 scancel -u "$JOB_USER" 2>/dev/null
    for _ in $(seq 20); do [ -n "$(timeout 5 squeue -h -u "$JOB_USER" 2>/dev/null)" ] || break; sleep 0.5; done
  fi
  local name
  for name in slurmd slurmctld munged sshd; do
    alive "$name" && kill "$(cat "$R/run/$name.pid")" 2>/dev/null
    for _ in $(seq 20); do alive "$name" || break; sleep 0.2; done
    alive "$name" && kill -9 "$(cat "$R/run/$name.pid")" 2>/dev/null
    rm -f "$R/run/$name.pid"
  done
  # ssh sessions and job steps: all that is left of the user made for this folder
  id "$JOB_USER" >/dev/null 2>&1 || return 0
  for signal in TERM KILL; do
    local pids; pids=$(pgrep -u "$JOB_USER") || break
    kill -"$signal" $pids 2>/dev/null; sleep 1
  done
}

if [ "${1:-}" = --keep-jobs ]; then stop_sky keep; echo "down (API server only)"; exit 0; fi
stop_sky "${1:-}"
stop_slurm
if [ "${1:-}" = --purge ]; then
  # The jobs' runtimes and caches: SkyPilot puts them into /tmp whatever TMPDIR says.
  id "$JOB_USER" >/dev/null 2>&1 && find /tmp -maxdepth 1 -user "$JOB_USER" -exec rm -rf {} +
  rm -rf "/tmp/sky_ssh_$USER_HASH"
  rm -rf "$R"/{etc,run,log,shim,home,jobhome,env.sh}
  id "$JOB_USER" >/dev/null 2>&1 && userdel "$JOB_USER" 2>/dev/null
fi
echo down
