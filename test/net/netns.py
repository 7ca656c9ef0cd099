"""A client, a gateway and a server, each in a network namespace of its own.

    client 198.18.1.2 --- 198.18.1.1 gateway 198.18.0.100 --- (R) --- 198.18.0.1 server
    fd00:18:1::2          fd00:18:1::1       fd00:18::100             fd00:18::1

Between gateway and server lies bench/delay.c, because kernels may lack netem: R = 40 ms; to the
gateway it is a fraction of a millisecond. What happens on the gateway is in firewalls.py. None of it
has a name or leaves a file behind: the namespaces live as long as two children of this process, so
any number of these networks may be there at the same time. Needs root.
"""
import collections
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading

from server import ROOT, Server, find_binary, wait_until

sys.path.insert(0, str(ROOT / "bench"))
import rtt  # noqa: E402

R_MS = 40
SERVER, GATEWAY, CLIENT = "198.18.0.1", "198.18.1.1", "198.18.1.2"
OTHER_RTMP, OTHER_RTMPT = "198.18.0.2", "198.18.0.3"  # servers of other people, at the server's end
OTHER_EXPIRED, OTHER_SSH = "198.18.0.5", "198.18.0.6"
SIDE_DOOR = ("127.0.0.1", 80)  # of the server: who comes by it is no client behind the gateway
NAME, NAME_BOTH, NAME_BEHIND = "culvert.test", "both.test", "behind.test"
NAME_RTMP, NAME_RTMPT = "rtmp-only.test", "rtmpt-only.test"
NAME_ALIAS, NAME_EXPIRED, NAME_SSH = "alias.test", "expired.test", "ssh.test"
# both.test has an IPv6 address, too; behind.test is known to the gateway's proxy alone; no certificate is for alias.
CLIENT_HOSTS = f"""127.0.0.1 localhost
::1 localhost
{SERVER} {NAME} {NAME_BOTH} {NAME_ALIAS}
fd00:18::1 {NAME_BOTH}
{OTHER_RTMP} {NAME_RTMP}
{OTHER_RTMPT} {NAME_RTMPT}
{OTHER_EXPIRED} {NAME_EXPIRED}
{OTHER_SSH} {NAME_SSH}
"""
GATEWAY_HOSTS = CLIENT_HOSTS + f"{SERVER} {NAME_BEHIND}\n"
TOOLS = ("nft", "ip", "nsenter", "unshare", "setpriv", "sysctl")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CLIENT_SCRIPT = """
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/resolv.conf" /etc/resolv.conf
ip link set lo up
echo ready
exec cat
"""
GATEWAY_SCRIPT = f"""
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip link add lan type veth peer name wan netns "$1"
ip addr add {GATEWAY}/24 dev lan
ip -6 addr add fd00:18:1::1/64 dev lan nodad
ip -6 addr add fd00:18::100/64 dev near nodad
ip link set lan up
"""
CLIENT_ROUTES = f"""
ip addr add {CLIENT}/24 dev wan
ip -6 addr add fd00:18:1::2/64 dev wan nodad
ip link set wan up
ip route add default via {GATEWAY}
ip -6 route add default via fd00:18:1::1
"""
SERVER_ROUTES = """
ip -6 addr add fd00:18::1/64 dev far nodad
ip route add 198.18.1.0/24 dev far
ip -6 route add fd00:18:1::/64 dev far
"""


class Unavailable(Exception):
    """Why there can be no such network here."""


def find_delay():
    """The program of bench/delay.c, built beside the server."""
    return find_binary().parent / "bench/delay"


def why_not():
    """What is missing on this machine, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]
    if missing:
        return f"not installed: {' '.join(missing)} (tools/install-deps.sh test)"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun"
    return None if find_delay().is_file() else f"no {find_delay()}"


def _checked(command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=20, check=False,
                          env={**os.environ, "PATH": PATH}, **options)
    if done.returncode:
        raise Unavailable(f"{command[:6]}: {done.stderr.strip()[-500:]}")
    return done.stdout


class End:
    """One of the three: where programs, and sockets of this process, can be."""

    def __init__(self, *namespaces):
        self.namespaces = namespaces  # arguments of nsenter
        self.path = namespaces[0].partition("=")[2]

    def within(self):
        """What stands before a command so that it runs there, and never longer than we do."""
        return ["setpriv", "--pdeathsig=KILL", "nsenter", *self.namespaces, "--"]

    def shell(self, script, *args):
        return _checked(["nsenter", *self.namespaces, "--", "sh", "-euc", script, "sh", *args])

    def run(self, function, *args):
        """function(*args) on a thread in this network: sockets made in it belong here and may be used anywhere."""
        box = {}

        def work():
            try:
                rtt.enter(self.path)
                box["value"] = function(*args)
            except BaseException as err:  # pylint: disable=broad-except  (raised again below)
                box["error"] = err
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join()
        if "error" in box:
            raise box["error"]
        return box["value"]


Counted = collections.namedtuple("Counted", "connections tcp")


class Net:
    """The three ends: client, gateway, server. Everything in them is gone after close()."""

    def __init__(self, folder, rtt_ms=R_MS):
        self.folder, self.rtt_ms = pathlib.Path(folder), rtt_ms
        self.link = self.holder = None
        reason = why_not()
        if reason:
            raise Unavailable(reason)
        try:
            self._open()
        except OSError as err:
            self.close()
            raise Unavailable(str(err)) from err
        except BaseException:
            self.close()
            raise

    def _open(self):
        self.link = rtt.Network(find_delay(), self.rtt_ms)
        self.link.__enter__()
        self.gateway = End(f"--net={self.link.ends['near']}")
        self.server = End(f"--net={self.link.ends['far']}")
        (self.folder / "hosts").write_text(CLIENT_HOSTS, encoding="ascii")
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="ascii")
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "unshare", "--net", "--mount", "sh", "-euc", CLIENT_SCRIPT, "sh",
             self.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PATH": PATH})
        if self.holder.stdout.readline() != b"ready\n":
            raise Unavailable("no namespace for the client")
        pid = self.holder.pid
        self.client = End(f"--net=/proc/{pid}/ns/net", f"--mount=/proc/{pid}/ns/mnt")
        self.gateway.shell(GATEWAY_SCRIPT, str(pid))
        self.client.shell(CLIENT_ROUTES)
        self.server.shell(SERVER_ROUTES)
        self.rules("")

    def close(self):
        if self.holder:
            self.holder.stdin.close()
            self.holder.stdout.close()
            self.holder.wait()
        if self.link and self.link.ends:
            self.link.__exit__()

    @contextlib.contextmanager
    def small_segments(self, mtu):
        """The client's packets are no larger meanwhile."""
        route = f"ip route change default via {GATEWAY}"
        self.client.shell(f"ip link set wan gso_max_segs 1; {route} mtu lock {mtu}")
        try:
            yield
        finally:
            self.client.shell(f"ip link set wan gso_max_segs 65535; {route}")

    # -- the gateway's rules

    def rules(self, text):
        """Replaces all of nftables on the gateway at once; connections are not forgotten, only judged anew."""
        table = f"""flush ruleset
table inet gate {{
    counter opened {{ }}
    counter carried {{ }}
    chain count {{
        type filter hook prerouting priority raw;
        iifname "lan" tcp flags syn / syn,ack counter name opened
        iifname "lan" meta l4proto tcp counter name carried
    }}
    {text}
}}
"""
        done = subprocess.run(["nsenter", *self.gateway.namespaces, "--", "nft", "-f", "-"], input=table, text=True,
                              capture_output=True, timeout=20, check=False, env={**os.environ, "PATH": PATH})
        if done.returncode:
            raise Unavailable(f"nft: {done.stderr.strip()}\n{table}")

    def counted(self):
        """Since the rules were set: SYNs of the client, and all its TCP packets."""
        found = json.loads(_checked(["nsenter", *self.gateway.namespaces, "--", "nft", "-j", "list", "counters"]))
        packets = {entry["counter"]["name"]: entry["counter"]["packets"]
                   for entry in found["nftables"] if "counter" in entry}
        return Counted(packets["opened"], packets["carried"])


LISTEN = (f"{SERVER}:80", f"{SERVER}:1935", "[fd00:18::1]:80", "127.0.0.1:80")


class Serving(Server):
    """`culvert serve` at the server's end, on the ports 80 and 1935 unless told otherwise."""

    def __init__(self, net, folder, config, listen=LISTEN, args=()):
        self.net = net
        super().__init__(folder, ["--open-publish", "--threads", "1", "--log-level", "debug", *args], config,
                         listen=listen, within=net.server.within())

    def connects(self, since=0):
        """The lines of AMF connects that did not come from beside the server."""
        lines = self.log()[since:].splitlines()
        return [line for line in lines if "conn.connect" in line and "127.0.0.1:" not in line]


class Service:
    """A program at an end, with a log file; dead after stop(). `accepts`: (address, port) where it is ready when it
    does; None: at once."""

    def __init__(self, end, command, log, accepts=None, env=None):
        self.log_path = pathlib.Path(log)
        with open(self.log_path, "wb") as file:
            self.process = subprocess.Popen([*end.within(), *map(str, command)], stdin=subprocess.DEVNULL, stdout=file,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            env={**(env or os.environ), "PATH": PATH})
        try:
            wait_until(lambda: not accepts or self._accepts(end, accepts), 20, f"{command[0]} accepts", 0.05)
        except AssertionError:
            self.stop()
            raise

    def _accepts(self, end, address):
        assert self.process.poll() is None, f"ended: {self.log()[-2000:]}"

        def connects():
            with socket.socket() as sock:
                return sock.connect_ex(address) == 0
        return end.run(connects)

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def stop(self):
        """Asks first, because Squid has shared memory to remove; then the whole process group."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
