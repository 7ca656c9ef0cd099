#!/bin/sh
# The measurements of `make bench`, `make bench-tunnel` and `make bench-site`, which build a release
# before. Each puts its sections into bench/RESULTS.md and ends with 1 when a target is missed.
# usage: bench/run.sh [live|tunnel|site] [options of bench/live.py, tunnel.py, proxy.py]
set -eu
cd "$(dirname "$0")/.."
test -x build/culvert || { echo "bench/run.sh: first: make build" >&2; exit 1; }

what=live
case ${1-} in
live | tunnel | site) what=$1 && shift ;;
esac

case $what in
live) exec python3 bench/live.py "$@" ;;
site) exec python3 bench/proxy.py "$@" ;;
esac

# a build from before librtmp was installed has no publisher like OBS
if ! test -x build/bench/publish_as_obs; then
    meson setup --reconfigure build
    ninja -C build
fi
status=0
python3 bench/tunnel.py "$@" || status=1
python3 bench/parked.py || status=1
exit $status
