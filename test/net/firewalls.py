"""The networks of other people: what the gateway of a netns.Net does to its client's connections.

    with firewalls.Firewall(net, "1935 dropped"): ...

Each is a set of nftables rules and perhaps programs on the gateway. RULES and the functions below say what they do;
test_firewalls.py proves it with plain sockets.
"""
import os
import pathlib
import shutil
import tempfile
import typing

from middlebox import HttpProxy, Inspector, Portal
from netns import GATEWAY, GATEWAY_HOSTS, NAME, NAME_BEHIND, NAME_BOTH, R_MS, Service

USER, PASSWORD = "anna", "p@ss:100%"
USER_IN_URL = "anna:p%40ss%3A100%25"
MIDDLEBOX_PORT = 8089
SQUID_PORTS = {"https": 3128, "web": 3129, "none": 3130, "auth": 3131, "transparent": 3132, "tls": 3133,
               "tls_auth": 3134}
CUT_S = 3


def forward(*rules, policy="accept"):
    lines = "\n        ".join(rules)
    return f"""chain forward {{
        type filter hook forward priority filter; policy {policy};
        {lines}
    }}"""


def redirected(meant_for, port):
    """What was for this port of others comes to a port of the gateway."""
    return f"""
    chain to_here {{
        type nat hook prerouting priority dstnat;
        iifname "lan" ip daddr != {GATEWAY} tcp dport {meant_for} redirect to :{port}
    }}"""


def to_gateway(port, before="drop"):
    """Port 80 ends here; what else there is, is dropped, or reset."""
    return forward("reject with tcp reset" if before == "reset" else "drop") + redirected(80, port)


def inspected(verdict):
    """In the path and unseen: the first bytes of the client decide. 32 bytes of TCP's head lie before them, 52 with
    IP's; a connection's mark is 1 when they were an HTTP method, else 2."""
    return forward(
        "tcp dport 1935 drop",
        "iifname lan ct mark 0 tcp dport 80 tcp doff 8 ip length > 52 @th,256,32 "
        "{ 0x504f5354, 0x47455420, 0x48454144, 0x4f505449 } ct mark set 1",
        "iifname lan ct mark 0 tcp dport 80 tcp doff 8 ip length > 52 ct mark set 2",
        f"ct mark 2 {verdict}")


def cut_after(seconds, *before):
    """Each connection lives so long; then whoever sends is reset, and the other side hears nothing. `before`: rules
    that come first."""
    return f"""set alive {{ type ipv4_addr . inet_service; flags dynamic, timeout; timeout {int(seconds * 1000)}ms; }}
    """ + forward(
        *before,
        "tcp flags syn / syn,ack add @alive { ip saddr . tcp sport } accept",
        "iifname lan ip saddr . tcp sport @alive accept",
        "oifname lan ip daddr . tcp dport @alive accept",
        "meta l4proto tcp reject with tcp reset")


WEB_ONLY = ("tcp dport { 80, 443 } accept", "tcp sport { 80, 443 } accept")
RESET = "meta l4proto tcp reject with tcp reset"


class Kind(typing.NamedTuple):
    rules: str
    box: typing.Callable = None   # what runs on the gateway, given its End
    squid: str = None             # which of Squid's ports: the proxy of the client's environment
    host: str = NAME              # how the client calls the server
    credentials: str = ""
    passes: bool = True           # there is a way


def _box(kind, **how):
    return lambda gateway: kind(gateway, MIDDLEBOX_PORT, **how)


KINDS = {
    "open": Kind(forward()),
    "1935 dropped": Kind(forward("tcp dport 1935 drop")),
    "80 and 443 only": Kind(forward(*WEB_ONLY, policy="drop")),
    "80 only, rest reset": Kind(forward("tcp dport 80 accept", "tcp sport 80 accept", RESET)),
    "inspector resets": Kind(inspected("reject with tcp reset")),
    "inspector swallows": Kind(inspected("drop")),
    "inspector accepts and swallows": Kind(to_gateway(MIDDLEBOX_PORT), _box(Inspector)),
    "transparent squid": Kind(to_gateway(SQUID_PORTS["transparent"]), squid="transparent"),
    "squid, CONNECT to 443": Kind(forward("drop"), squid="https", host=NAME_BEHIND),
    "squid, CONNECT to 80": Kind(forward("drop"), squid="web", host=NAME_BEHIND),
    "squid, no CONNECT": Kind(forward("drop"), squid="none"),
    "squid, password": Kind(forward("drop"), squid="auth", credentials=f"{USER_IN_URL}@"),
    "squid, no password given": Kind(forward("drop"), squid="auth", passes=False),
    "cut": Kind(cut_after(CUT_S)),
    "captive portal": Kind(to_gateway(MIDDLEBOX_PORT, "reset"), _box(Portal), passes=False),
    "IPv6 broken": Kind(forward("meta nfproto ipv6 drop"), host=NAME_BOTH),
    "proxy that closes": Kind(to_gateway(MIDDLEBOX_PORT), _box(HttpProxy, closes=True)),
    "proxy that buffers": Kind(to_gateway(MIDDLEBOX_PORT), _box(HttpProxy, buffers=True)),
}
PASSING = [name for name, kind in KINDS.items() if kind.passes]
# What a network may turn into while somebody publishes: HTTP is all that gets through, and connections that were
# there before are reset, or hear nothing more.
HTTP_ONLY = {"reset": to_gateway(MIDDLEBOX_PORT, "reset"), "silent": to_gateway(MIDDLEBOX_PORT)}


class Squid:
    """One Squid with a port for each of its ways. Started by root it becomes another user, who can open nothing in
    pytest's folders."""

    def __init__(self, net):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="culvert-squid-"))
        self.folder.chmod(0o755)
        self._write("hosts", GATEWAY_HOSTS)
        self._write("auth.py", f"""
import sys, urllib.parse
for line in sys.stdin:
    print("OK" if urllib.parse.unquote(line.strip()) == {f"{USER} {PASSWORD}"!r} else "ERR", flush=True)
""")
        self._write("squid.conf", self._config())
        try:
            self.service = Service(net.gateway, ["squid", "-N", "-n", f"netns{os.getpid()}", "-d", "1", "-f",
                                                 self.folder / "squid.conf"], self.folder / "log",
                                   ("127.0.0.1", SQUID_PORTS["https"]))
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def _write(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")
        (self.folder / name).chmod(0o644)

    def _config(self):
        ports = "\n".join(f"http_port {port} {'intercept ' if name == 'transparent' else ''}name={name}"
                          for name, port in SQUID_PORTS.items())
        return f"""
{ports}
acl to_https myportname https
acl to_none myportname none
acl to_auth myportname auth tls_auth
acl to_tls myportname tls tls_auth
acl CONNECT method CONNECT
acl https_port port 443
auth_param basic program /usr/bin/python3 {self.folder}/auth.py
auth_param basic children 2 startup=1
auth_param basic realm test
acl known proxy_auth REQUIRED
http_access deny to_none CONNECT
http_access deny to_https CONNECT !https_port
http_access deny to_tls !CONNECT
http_access deny to_tls !https_port
http_access deny to_auth CONNECT !https_port
http_access allow to_auth known
http_access deny to_auth
http_access allow all
hosts_file {self.folder}/hosts
dns_nameservers 127.0.0.1
cache deny all
cache_mem 8 MB
max_filedescriptors 1024
pid_filename none
access_log none
cache_log /dev/null
cache_store_log none
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname squid.test
coredump_dir none
"""

    def stop(self):
        self.service.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Firewall:
    """One of KINDS at work on a net; an open network again afterwards. `squid`: the net's own Squid."""

    def __init__(self, net, name, squid=None, rules=None, kind=None):
        self.net, self.name, self.kind, self.squid = net, name, kind or KINDS[name], squid
        self.own_rules = rules
        self.box = None

    def open_box(self):
        return self.kind.box(self.net.gateway)

    def __enter__(self):
        if self.kind.box:
            self.box = self.open_box()
        self.net.rules(self.own_rules or self.kind.rules)
        return self

    def __exit__(self, *what):
        self.net.rules("")
        if self.box:
            self.box.stop()

    @property
    def proxy(self):
        """URL of the proxy that clients have to use, or None."""
        if not self.kind.squid or self.kind.squid == "transparent":
            return None
        return f"http://{self.kind.credentials}{GATEWAY}:{SQUID_PORTS[self.kind.squid]}"

    def environment(self, **more):
        """Of programs behind it, whatever this machine's own settings are."""
        env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return {**env, **({"http_proxy": self.proxy, "https_proxy": self.proxy} if self.proxy else {}), **more}

    def url(self, path="live/a", scheme="rtmp"):
        return f"{scheme}://{self.kind.host}/{path}"

    def forget(self):
        """The rules anew: counters at zero, and what the gateway knew of connections is gone from its sets."""
        self.net.rules(self.own_rules or self.kind.rules)


# From the first SYN to the first media message with a server of ours, when everything travels in one flight and all
# that stands in the way is guessed right (in round trips); 2 unless it says something else.
FLOOR_ROUND_TRIPS = {
    # TCP, handshake, connect, createStream, play; three more, as nginx leaves Nagle's algorithm on: the rest of S2, of
    # the answers to connect and to play wait for an ACK
    "RTMP-only server": 8,
    "RTMPT-only server": 7,  # TCP, open, C0C1, connect, createStream, play, idle
}
PAUSES_MS = {"IPv6 broken": 100}  # until the other family is tried (CV_DIAL_STAGGER_MS)


def floor_ms(name):
    name = name.partition(", remembered")[0]
    return FLOOR_ROUND_TRIPS.get(name, 2) * R_MS + PAUSES_MS.get(name, 0)
