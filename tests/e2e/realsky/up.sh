#!/bin/bash
# Brings up a real SkyPilot on this machine: munge, slurmctld, slurmd, sshd and SkyPilot's API server, all on loopback,
# in the folder $REALSKY (default ${TMPDIR:-/tmp}/fmon-realsky). Idempotent: starts only what is not running.
# Afterwards: `. $REALSKY/env.sh`, then `sky`. Exit 77: this machine can't run it, the last line says why.
#
# Real: API server, jobs controllers, their databases, provisioner, sbatch and srun, logs, cancel, preemption.
# Not real: the GPUs (16 empty files called H100), and the runtime inside a job is built once and linked in.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/common.sh"
NODE=$(hostname -s)
say() { printf '[%3ds] %s\n' "$SECONDS" "$*"; }
cannot() { echo "real SkyPilot skipped: $*" >&2; exit 77; }
[ "$(id -u)" = 0 ] || cannot "needs root (Slurm starts jobs as another user)"
[ -n "$SKYPILOT" ] || { echo "no skypilot== line in $LOCK" >&2; exit 1; }

install_packages() {
  local missing=() command blocked=
  for command in slurmctld slurmd sbatch munged sshd ssh-keygen rsync socat curl pgrep runuser ss; do
    command -v "$command" >/dev/null || missing+=("$command")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || cannot "${missing[*]} missing, and no apt-get here to install them (not a Debian)"
  say "apt-get install (missing: ${missing[*]})"
  exec 8>"${TMPDIR:-/tmp}/fmon-apt.lock"; timeout 300 flock 8 || true # tests/support/apt.py may run beside this
  # Packages must not start their own daemons.
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; blocked=1; }
  export DEBIAN_FRONTEND=noninteractive
  local ok=1
  timeout 120 apt-get -o DPkg::Lock::Timeout=60 update -qq >"$R/log/apt.log" 2>&1 </dev/null || true # old lists may do
  timeout 300 apt-get -o DPkg::Lock::Timeout=60 install -y -qq --no-install-recommends slurmctld slurmd slurm-client \
    munge openssh-server openssh-client rsync socat curl procps util-linux iproute2 python3 >>"$R/log/apt.log" 2>&1 </dev/null || ok=
  exec 8>&-
  [ -z "$blocked" ] || rm -f /usr/sbin/policy-rc.d
  [ -n "$ok" ] || cannot "apt-get could not install ${missing[*]}: $(grep -m1 '^E:' "$R/log/apt.log" || tail -1 "$R/log/apt.log")"
}

# make_venv FOLDER PYTHON EXTRAS: SkyPilot, patched and byte-compiled. The mark comes last, so half a venv is recreated.
make_venv() {
  local venv=$1 python=$2 want="$SKYPILOT $3 $2"
  [ "$(cat "$venv/.complete" 2>/dev/null)" = "$want" ] && return 0
  say "venv ${venv##*/}: $SKYPILOT$3"
  rm -rf "$venv"
  env -u VIRTUAL_ENV HOME="$HOME_DIR" timeout 120 "$UV" venv -q --seed --python "$python" "$venv" ||
    cannot "uv could not make a venv with $python"
  # skypilot[slurm] requires protobuf < 7; fmon, which needs no extra of it, has 7 in its lock: left out here.
  grep -v '^protobuf==' "$LOCK" >"$R/constraints.txt"
  HOME=$HOME_DIR timeout 400 "$UV" pip install -q --python "$venv/bin/python" -c "$R/constraints.txt" "${SKYPILOT/skypilot/skypilot$3}" ||
    cannot "pip could not install $SKYPILOT$3"
  bash "$HERE/patch_sky.sh" "$(echo "$venv"/lib/python3*/site-packages/sky)"
  # Once: where PYTHONDONTWRITEBYTECODE is set, each "import sky" would take 8 s instead of 3.
  env -u PYTHONDONTWRITEBYTECODE timeout 300 "$venv/bin/python" -m compileall -q -j0 "$venv"/lib/python3*/site-packages >/dev/null 2>&1 || true
  echo "$want" >"$venv/.complete"
}

find_uv() {
  local beside=$HERE/../../../.venv/bin/uv
  UV=$R/tools/bin/uv
  [ -x "$UV" ] && "$UV" --version >/dev/null 2>&1 && return 0
  rm -rf "$R/tools"
  if [ -x "$beside" ]; then mkdir -p "$R/tools/bin"; cp "$beside" "$UV"; return 0; fi
  say "uv"
  timeout 120 python3 -m venv "$R/tools" && timeout 120 "$R/tools/bin/pip" install -q uv || cannot "no uv and pip could not install it"
}

# The job user can't read root's folders, so the jobs' Python must be the system's.
find_job_python() {
  local python
  for python in /usr/bin/python3.1[0-3]; do [ -x "$python" ] && { echo "$python"; return; }; done
  return 1
}

make_job_user() {
  id "$JOB_USER" >/dev/null 2>&1 || useradd -M -d "$JOB_HOME" -s /bin/bash -p '*' "$JOB_USER"
  mkdir -p "$JOB_HOME/.ssh"
  printf 'export PATH=%s/shim:$PATH SLURM_CONF=%s/etc/slurm.conf\n' "$R" "$R" >"$JOB_HOME/.bash_profile"
  chown -R "$JOB_USER:" "$JOB_HOME/.ssh" "$JOB_HOME/.bash_profile"; chown "$JOB_USER:" "$JOB_HOME"
  chmod 755 "$JOB_HOME"; chmod 700 "$JOB_HOME/.ssh"
  timeout 10 runuser -u "$JOB_USER" -- test -x "$R/etc" || cannot "the job user can't reach $R; set REALSKY to a folder all may enter"
}

# SkyPilot's runtime set-up inside a job is: install uv from astral.sh, "uv venv --python 3.10" (from GitHub), "uv pip
# install <its own wheel>". It is the same every time and needs the internet, so jobs get a link to one built before.
write_shims() {
  cat >"$R/shim/uv" <<E
#!/bin/bash
case "\$*" in
  "venv --seed "*"/skypilot-runtime --python 3.10") mkdir -p "\$(dirname "\$3")"; exec ln -sfn $R/jobvenv "\$3";;
  "pip uninstall skypilot" | "pip install "*/skypilot-*.whl*) exit 0;;
esac
export UV_LINK_MODE=hardlink UV_PYTHON_DOWNLOADS=never
exec $R/shim/uv-real "\$@"
E
  cat >"$R/shim/curl" <<E
#!/bin/bash
case "\$*" in *astral.sh/uv/install.sh*)
  echo 'mkdir -p "\$UV_INSTALL_DIR" && ln -sf $R/shim/uv "\$UV_INSTALL_DIR/uv"'; exit 0;;
esac
exec /usr/bin/curl "\$@"
E
  cp -u "$UV" "$R/shim/uv-real"
  chmod 755 "$R/shim"/*
}

# A port nobody else uses, below the range the kernel gives out by itself. SkyPilot derives a second one from its own.
pick_ports() {
  local port names=(SKY_PORT SSH_PORT CTLD_PORT SLURMD_PORT) used
  used=$(ss -Hltn | awk '{sub(/.*:/, "", $4); print $4}')
  port=$((20000 + RANDOM % 9000))
  : >"$R/etc/ports.sh"
  while [ ${#names[@]} -gt 0 ]; do
    port=$((port + 1))
    printf '%s\n' "$used" | grep -qxE "$port|$((50000 + (11 + port - 46580 + 50000) % 10000))" && continue
    echo "${names[0]}=$port" >>"$R/etc/ports.sh"
    names=("${names[@]:1}")
  done
  . "$R/etc/ports.sh"
}

start_munge() {
  [ -s "$R/etc/munge.key" ] || dd if=/dev/urandom of="$R/etc/munge.key" bs=1024 count=1 status=none
  chmod 600 "$R/etc/munge.key"
  alive munged && return 0
  rm -f "$R"/run/munge/* "$R/run/munged.pid" # a stale socket or lock of a killed one
  timeout 30 munged --force --key-file="$R/etc/munge.key" --socket="$R/run/munge/munge.socket" \
    --pid-file="$R/run/munged.pid" --log-file="$R/log/munged.log" --seed-file="$R/run/munge/munge.seed"
  say munged
}

start_slurm() {
  # gres/gpu drops entries without File=, so the pretended GPUs get empty files.
  mkdir -p "$R/run/gpu"; touch "$R"/run/gpu/fake{0..15}
  echo "NodeName=$NODE Name=gpu Type=H100 File=$R/run/gpu/fake[0-15]" >"$R/etc/gres.conf"
  sed -e "s#@R@#$R#g; s#@NODE@#$NODE#g; s#@CTLD_PORT@#$CTLD_PORT#; s#@SLURMD_PORT@#$SLURMD_PORT#" \
    -e "s#@MEMORY@#$(awk '/MemTotal/{print int($2 / 1024 - 500)}' /proc/meminfo)#" "$HERE/slurm.conf.in" >"$R/etc/slurm.conf"
  export SLURM_CONF=$R/etc/slurm.conf
  alive slurmctld || { timeout 30 slurmctld -i; say slurmctld; }
  alive slurmd || { timeout 30 slurmd; say slurmd; }
  local state
  for _ in $(seq 60); do
    state=$(timeout 10 sinfo -h -o %t 2>/dev/null || true)
    case $state in *drain* | *down*) timeout 10 scontrol update nodename="$NODE" state=resume 2>/dev/null || true ;; esac
    case $state in *idle* | *mix* | *alloc*) return 0 ;; esac
    sleep 0.5
  done
  echo "Slurm's node does not come up: $(tail -2 "$R/log/slurmd.log")" >&2; exit 1
}

start_sshd() {
  mkdir -p /run/sshd
  [ -s "$R/etc/ssh_host_ed25519_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$R/etc/ssh_host_ed25519_key"
  [ -s "$HOME_DIR/.ssh/slurm_ed25519" ] || ssh-keygen -q -t ed25519 -N '' -f "$HOME_DIR/.ssh/slurm_ed25519"
  install -m 644 "$HOME_DIR/.ssh/slurm_ed25519.pub" "$R/etc/authorized_keys"
  printf '%s\n' "ListenAddress 127.0.0.1" "Port $SSH_PORT" "HostKey $R/etc/ssh_host_ed25519_key" "PidFile $R/run/sshd.pid" \
    "AuthorizedKeysFile $R/etc/authorized_keys" "AllowUsers $JOB_USER" "StrictModes no" "UsePAM no" "UseDNS no" \
    "PasswordAuthentication no" "KbdInteractiveAuthentication no" "PrintMotd no" "PrintLastLog no" "MaxStartups 200" \
    "MaxSessions 500" "SetEnv SLURM_CONF=$R/etc/slurm.conf PATH=$R/shim:/usr/local/bin:/usr/bin:/bin" >"$R/etc/sshd_config"
  alive sshd || { timeout 30 "$(command -v sshd)" -f "$R/etc/sshd_config" -E "$R/log/sshd.log"; say sshd; }
}

configure_sky() {
  printf '%s\n' "Host demo" "    HostName 127.0.0.1" "    Port $SSH_PORT" "    User $JOB_USER" \
    "    IdentityFile $HOME_DIR/.ssh/slurm_ed25519" "    IdentitiesOnly yes" >"$HOME_DIR/.slurm/config"
  chmod 600 "$HOME_DIR/.slurm/config"
  printf '%s\n' "allowed_clouds: [slurm]" "jobs: {controller: {consolidation_mode: true}}" \
    "slurm: {pricing: {cpu: 0.05, accelerators: {H100: 2.5}}}" >"$HOME_DIR/.sky/config.yaml"
  # SkyPilot's id of a user is made of host and name; folders in /tmp are called by it, so each server gets its own.
  [ -s "$HOME_DIR/.sky/user_hash" ] || printf '%s' "$USER_HASH" >"$HOME_DIR/.sky/user_hash"
  # The only catalog a Slurm launch reads (names of accelerators); SkyPilot would fetch it from GitHub.
  mkdir -p "$HOME_DIR/.sky/catalogs/v8/common"
  printf '%s\n' AcceleratorName,Clouds "H100,\"['Slurm', 'Kubernetes']\"" "A100,\"['Slurm', 'Kubernetes']\"" \
    >"$HOME_DIR/.sky/catalogs/v8/common/accelerators.csv"
  cat >"$R/env.sh" <<E
export HOME=$HOME_DIR SLURM_CONF=$R/etc/slurm.conf PATH=$R/venv/bin:\$PATH
export SKYPILOT_API_SERVER_LOCAL_PORT=$SKY_PORT SKYPILOT_DISABLE_USAGE_COLLECTION=1
# SkyPilot starts as many jobs controllers as memory allows, and on two cores they are in each other's way: two are plenty.
export SKYPILOT_POD_MEMORY_GB_LIMIT=8
unset SKYPILOT_API_SERVER_ENDPOINT PYTHONDONTWRITEBYTECODE VIRTUAL_ENV
E
}

start_sky() {
  healthy && return 0
  local pids
  pids=$(sky_pids)
  [ -z "$pids" ] || { say "ending what is left of an old server"; kill -9 $pids 2>/dev/null || true; sleep 1; }
  (. "$R/env.sh"; cd "$HOME_DIR"; timeout 180 sky api start >"$R/log/api-start.log" 2>&1 </dev/null) || {
    tail -20 "$R/log/api-start.log" >&2; echo "sky api start failed, see above" >&2; exit 1; }
  say "sky api start (port $SKY_PORT)"
}

mkdir -p "$R"/{etc,run,log,shim,home/.sky,home/.slurm,home/.ssh} "$R"/run/{munge,slurmctld,slurmd}
chmod 755 "$R" "$R"/{etc,run,log,shim} "$R/run/munge"
install_packages
find_uv
python=$("${PYTHON:-python3}" -c 'import os, sys; print(os.path.realpath(sys.executable))')
make_venv "$R/venv" "$python" "[slurm]"
job_python=$(find_job_python) || cannot "no /usr/bin/python3.10 to 3.13 for the jobs"
make_venv "$R/jobvenv" "$job_python" "[slurm,remote]"
make_job_user
write_shims
alive slurmctld || alive slurmd || alive sshd || healthy || pick_ports
start_munge
start_slurm
start_sshd
configure_sky
start_sky
say "up: . $R/env.sh"
