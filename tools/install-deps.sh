#!/bin/sh
# Installs the Debian packages of the named lists that are missing, and says why each is needed.
# usage: tools/install-deps.sh build [test] [bench]
set -eu

list_build()
{
    cat <<'END'
gcc                         compiler
libc6-dev                   C library headers
meson                       build
ninja-build                 build
pkg-config                  finds the libraries
libuv1-dev                  event loop, sockets, DNS
liburing-dev                sending to many sockets by one system call
libcyaml-dev                configuration file
libyaml-dev                 configuration file
uthash-dev                  hash tables and lists
libhttp-parser-dev          heads of HTTP messages
libsqlite3-dev              keys and other state
libssl-dev                  random numbers, HMAC, TLS
libjansson-dev              JSON
libwslay-dev                WebSocket frames
END
}

list_test()
{
    cat <<'END'
libcmocka-dev               unit tests
clang                       fuzzers, headers compiled as C++
libclang-rt-14-dev          fuzzers: runtime
clang-format                lint: layout
valgrind                    instructions of the fan-out
pmccabe                     lint: size and complexity of functions
python3                     lint and network tests
python3-pytest              network tests
python3-pytest-xdist        network tests: two at a time
python3-yaml                network tests: configuration files
python3-cryptography        network tests: certificates
ffmpeg                      real publisher and player
curl                        real client of files and pages
rtmpdump                    real player
librtmp-dev                 real publisher and player in C
gstreamer1.0-tools          real publisher and player
gstreamer1.0-plugins-base   GStreamer: test pictures
gstreamer1.0-plugins-good   GStreamer: FLV
gstreamer1.0-plugins-bad    GStreamer: RTMP
gstreamer1.0-plugins-ugly   GStreamer: H.264
gstreamer1.0-libav          GStreamer: AAC
glib-networking             GStreamer: TLS
squid                       real forward proxy
privoxy                     real forward proxy
haproxy                     real reverse proxy, PROXY protocol
nginx                       real web server of a site, real reverse proxy
libnginx-mod-rtmp           real RTMP server of other people
procps                      process tables
iproute2                    sockets in use, network namespaces
nftables                    firewalls in network namespaces
lego                        real client of certificate authorities, which the server uses, too
pebble                      real certificate authority (RFC 8555)
openssl                     certificates of that authority itself
END
}

list_bench()
{
    cat <<'END'
nginx                       the proxy to compare with, and the site behind both
libnginx-mod-rtmp           the RTMP server to compare with
curl                        downloads
liburing-dev                the machine's limit through io_uring
librtmp-dev                 a publisher like OBS
openssl                     the cipher by itself
iproute2                    sockets in use
util-linux                  processes tied to a processor
python3                     measuring, tables
python3-matplotlib          the plot
END
}

list()
{
    for name in "$@"; do
        case $name in
        build) list_build ;;
        test) list_test ;;
        bench) list_bench ;;
        *) echo "usage: $0 build [test] [bench]" >&2 && exit 2 ;;
        esac
    done
}

is_installed()
{
    echo "$installed" | grep -q "^$1 ii"
}

wanted=$(list "$@")
if ! command -v dpkg-query >/dev/null; then
    echo "Not a Debian system: make sure that you have what these packages hold:
$wanted" >&2
    exit 0
fi

names=$(echo "$wanted" | while read -r name _; do echo "$name"; done)
# shellcheck disable=SC2086  # a list of words
installed=$(dpkg-query -W -f='${Package} ${db:Status-Abbrev}\n' $names 2>/dev/null || true)
missing=$(echo "$wanted" | while read -r name why; do
    [ -z "$name" ] || is_installed "$name" || printf '%-28s%s\n' "$name" "$why"
done)
[ -n "$missing" ] || exit 0

echo "Installing Debian packages that are missing (needed for: $*):"
echo "$missing" | sed 's/^/  /'
names=$(echo "$missing" | while read -r name _; do echo "$name"; done)

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "This needs root. Run as root: apt-get install" $names >&2
        exit 1
    fi
    as_root=sudo
fi
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy -o Acquire::Retries=3
     -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
$apt update </dev/null || echo "apt-get update failed; trying with the lists that are there" >&2
# shellcheck disable=SC2086
$apt install --no-install-recommends $names </dev/null
