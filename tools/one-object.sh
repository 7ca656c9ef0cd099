#!/bin/sh
# Makes a static library of one object, in which only what is visible outside keeps its name.
# usage: one-object.sh OUT.a INPUT...      objects, and archives from which what they need is taken
set -eu

out=$1
shift
object=${out%.a}.o
ld -r -o "$object" "$@"
objcopy --localize-hidden "$object"
rm -f "$out"
ar rcs "$out" "$object"
