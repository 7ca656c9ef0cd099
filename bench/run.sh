#!/bin/sh
# The measurements of `make bench`, `make bench-tunnel`, `make bench-site`, `make bench-client`,
# `make bench-ways` and `make bench-tls`, which build a release before. Each puts its sections into
# bench/RESULTS.md. `make bench` ends with 1 when something failed, the others when a target is
# missed, too.
# usage: bench/run.sh [fast|tunnel|site|client|ways|tls] [options of bench/fast.py, tunnel.py,
#        proxy.py, client.py, ways.py, tls.py]
set -eu
cd "$(dirname "$0")/.."
test -x build/culvert || { echo "bench/run.sh: first: make build" >&2; exit 1; }

what=fast
case ${1-} in
fast | tunnel | site | client | ways | tls) what=$1 && shift ;;
esac

# a build from before liburing and librtmp were installed has no bare io_uring, and no publisher
# like OBS
if ! test -x build/bench/publish_as_obs || grep -q bare_no_uring build/build.ninja; then
    meson setup --reconfigure build
    ninja -C build
fi

python=$(command -v /usr/bin/python3 || echo python3) # Debian's own has Debian's matplotlib

case $what in
fast) exec "$python" bench/fast.py "$@" ;;
site) exec "$python" bench/proxy.py "$@" ;;
client) exec "$python" bench/client.py "$@" ;;
tls) exec "$python" bench/tls.py "$@" ;;
ways) exec "$python" bench/ways.py "$@" ;;
esac

status=0
"$python" bench/tunnel.py "$@" || status=1
"$python" bench/parked.py || status=1
exit $status
