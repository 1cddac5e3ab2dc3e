#!/bin/bash
# The three edits that a machine without internet and with one shared Slurm node needs.
# Only ever on the copy of SkyPilot in a venv that up.sh made: patch_sky.sh SITE_PACKAGES/sky
set -euo pipefail
sky=$1
done_mark=$sky/.patched-for-realsky
[ -e "$done_mark" ] && exit 0

edit() { # edit FILE PATTERN SED-COMMAND: a pattern that has gone means another SkyPilot than we know
  grep -q "$2" "$sky/$1" || { echo "patch_sky.sh: $1 of this SkyPilot has no line like: $2" >&2; exit 1; }
  sed -i "$3" "$sky/$1"
}

# 1. "Is the network up?" asks public addresses over https; without an answer managed jobs stay RUNNING for ever.
edit backends/backend_utils.py '^_TEST_IP_LIST = ' \
  "s#^_TEST_IP_LIST = .*#_TEST_IP_LIST = [f'http://127.0.0.1:{os.environ.get(\"SKYPILOT_API_SERVER_LOCAL_PORT\", 46580)}/api/health']#"
# 2. Clusters that start together on one node all pick the same gRPC port (a race SkyPilot's source names itself).
#    The job runtimes get this too: their wheel is built from this copy.
edit skylet/attempt_skylet.py 'find_free_port(constants.SKYLET_GRPC_PORT)' \
  's#^\( *\)port = common_utils.find_free_port(constants.SKYLET_GRPC_PORT)#\1import zlib\n\1port = common_utils.find_free_port(\n\1    constants.SKYLET_GRPC_PORT + zlib.crc32(PORT_FILE.encode()) % 4000)#'
# 3. Loopback only: skylet's gRPC server listens on every address.
edit skylet/skylet.py '0\.0\.0\.0:' 's#0\.0\.0\.0:#127.0.0.1:#'
touch "$done_mark"
