#!/bin/sh
# All measurements, for `make bench`, which builds a release before. Writes bench/RESULTS.md.
# usage: bench/run.sh [options of bench/live.py]
set -eu
cd "$(dirname "$0")/.."
test -x build/culvert || { echo "bench/run.sh: first: make build" >&2; exit 1; }
exec python3 bench/live.py "$@"
