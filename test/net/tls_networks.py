"""Networks where plain text does not get through, and networks that look at TLS. Ports 80 and 1935 are closed in all.

    with tls_networks.TlsFirewall(net, "SNI list, ours not: reset", squid, trust): ...

As firewalls.py, whose KINDS are about plain text; test_tls_networks.py proves these.
"""
import collections
import typing

import firewalls
from firewalls import CUT_S, MIDDLEBOX_PORT, RESET, USER_IN_URL, Kind, forward, redirected
from netns import LISTEN, NAME, NAME_BEHIND, NAME_BOTH, R_MS, SERVER, Serving
from server import app
from tlsbox import Interceptor, SniFilter

# Who signs for servers, and who for a network that reads along.
Trust = collections.namedtuple("Trust", "ours theirs")
ONLY_443 = ("tcp dport 443 accept", "tcp sport 443 accept")
UNREACHABLE = "reject with icmpx admin-prohibited"
OURS, OTHERS = (NAME, NAME_BEHIND), ("www.example.test",)


class TlsKind(typing.NamedTuple):
    kind: Kind
    ca: str = "ours"  # whom the client has to trust, of Trust


def only_443(otherwise="drop"):
    return forward(*ONLY_443, otherwise)


def must_be_tls(verdict):
    """In the path and unseen: the first bytes of the client decide, as in firewalls.inspected. A record of the type
    handshake, and in it a ClientHello."""
    return forward(
        "iifname lan ct mark 0 tcp dport 443 tcp doff 8 ip length > 52 @th,256,16 0x1603 @th,296,8 1 ct mark set 1",
        "iifname lan ct mark 0 tcp dport 443 tcp doff 8 ip length > 52 ct mark set 2",
        f"ct mark 2 {verdict}",
        *ONLY_443, "drop")


def box_on_443(otherwise="drop"):
    """443 ends at a box of the gateway."""
    return forward(otherwise) + redirected(443, MIDDLEBOX_PORT)


def cut_443(seconds):
    """TLS connections live so long; for the rest see firewalls.cut_after."""
    return firewalls.cut_after(seconds, "tcp dport != 443 iifname lan drop")


def sni(allowed, swallows=False):
    return lambda gateway, _trust: SniFilter(gateway, MIDDLEBOX_PORT, allowed, swallows)


def intercepts(gateway, trust):
    return Interceptor(gateway, MIDDLEBOX_PORT, trust.theirs, trust.ours.ca_file)


def _squid(port, **how):
    return Kind(forward("drop"), squid=port, host=NAME_BEHIND, **how)


KINDS = {
    "443 only, rest dropped": TlsKind(Kind(only_443())),
    "443 only, rest reset": TlsKind(Kind(only_443(RESET))),
    "443 only, rest unreachable": TlsKind(Kind(only_443(UNREACHABLE))),
    "only TLS, rest reset": TlsKind(Kind(must_be_tls("reject with tcp reset"))),
    "only TLS, rest swallowed": TlsKind(Kind(must_be_tls("drop"))),
    "SNI list, ours on it": TlsKind(Kind(box_on_443(), sni(OURS + OTHERS))),
    "SNI list, ours not: reset": TlsKind(Kind(box_on_443(), sni(OTHERS), passes=False)),
    "SNI list, ours not: swallowed": TlsKind(Kind(box_on_443(), sni(OTHERS, True), passes=False)),
    "TLS read along, CA trusted": TlsKind(Kind(box_on_443(), intercepts), "theirs"),
    "TLS read along, CA unknown": TlsKind(Kind(box_on_443(), intercepts, passes=False)),
    "squid, nothing but CONNECT": TlsKind(_squid("tls")),
    "squid, CONNECT with password": TlsKind(_squid("tls_auth", credentials=f"{USER_IN_URL}@")),
    "squid, CONNECT, no password given": TlsKind(_squid("tls_auth", passes=False)),
    "443 only, cut": TlsKind(Kind(cut_443(CUT_S))),
}
PASSING = [name for name, (kind, _) in KINDS.items() if kind.passes]
# Instead of a kind's own: what its box does to 443 is all that happens.
OPEN_80 = forward() + redirected(443, MIDDLEBOX_PORT)
# What a network may turn into while somebody publishes.
TLS_ONLY = {"reset": only_443(RESET), "silent": only_443()}
# TCP, TLS 1.3, and then all in one flight.
FLOOR_MS = 3 * R_MS


class TlsFirewall(firewalls.Firewall):
    """One of KINDS at work on a net, or one of firewalls.KINDS; an open network again afterwards."""

    def __init__(self, net, name, squid=None, trust=None, rules=None):
        known = KINDS.get(name) or TlsKind(firewalls.KINDS[name])
        super().__init__(net, name, squid, rules, known.kind)
        self.trust, self.is_ours = trust, name in KINDS
        self.ca_file = getattr(trust, known.ca).ca_file

    def open_box(self):
        return self.kind.box(self.net.gateway, self.trust) if self.is_ours else super().open_box()


class TlsServing(Serving):
    """`culvert serve` with TLS on 443, beside plain text."""

    def __init__(self, net, folder, trust):
        issued = trust.ours.issue(*OURS, NAME_BOTH)
        super().__init__(net, folder, {"apps": [app()]}, (*LISTEN, f"{SERVER}:443", "[fd00:18::1]:443"),
                         ["--tls-cert", str(issued.cert), "--tls-key", str(issued.key)])
