#!/bin/sh
# The measurements of `make bench`, `make bench-tunnel`, `make bench-site`, `make bench-client`,
# `make bench-ways` and `make bench-tls`, which build a release before. Each puts its sections into bench/RESULTS.md and
# ends with 1 when a target is missed.
# usage: bench/run.sh [live|tunnel|site|client|ways|tls] [options of bench/live.py, tunnel.py, proxy.py,
#        client.py, ways.py, tls.py]
set -eu
cd "$(dirname "$0")/.."
test -x build/culvert || { echo "bench/run.sh: first: make build" >&2; exit 1; }

what=live
case ${1-} in
live | tunnel | site | client | ways | tls) what=$1 && shift ;;
esac

case $what in
live) exec python3 bench/live.py "$@" ;;
site) exec python3 bench/proxy.py "$@" ;;
client) exec python3 bench/client.py "$@" ;;
tls) exec python3 bench/tls.py "$@" ;;
ways) exec /usr/bin/python3 bench/ways.py "$@" ;; # Debian's own, as for the tests
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
