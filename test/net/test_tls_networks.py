"""Do the networks of tls_networks.py do what they say? With Python's sockets and TLS, before a server whose TLS is
Python's, too: so that a network that is broken in the wrong way cannot make the tests of ours pass."""
import concurrent.futures
import socket
import ssl
import time

import pytest

import firewalls
import tls_networks
from certificates import days, tls_client
from firewalls import SQUID_PORTS
from netns import (GATEWAY, NAME, NAME_ALIAS, NAME_BEHIND, NAME_EXPIRED, NAME_SSH, OTHER_EXPIRED, OTHER_SSH, R_MS,
                   SERVER, SIDE_DOOR)
from probe import CREDENTIALS, Probe, connect_head, tunnel
from rtmpt_raw import c0c1, offer
from server import wait_until
from tls_networks import KINDS, TlsFirewall
from tlsbox import NO_NAME, Banner, NotTls, Terminator, server_name
from wiretap import Wiretap, plain_text

R_S = R_MS / 1000
NEAR_S = 0.6 * R_S
OTHER = "www.example.test"
SECRET = b"a-secret-of-the-client"

# What comes of five tries: an offer on 80, RTMP on 443; and in TLS on 443: RTMP, an offer, RTMP to another name.
EXPECTED = {
    "443 only, rest dropped": ("no answer", "closed", "rtmp", "101", "rtmp"),
    "443 only, rest reset": ("refused", "closed", "rtmp", "101", "rtmp"),
    "443 only, rest unreachable": ("unreachable", "closed", "rtmp", "101", "rtmp"),
    "only TLS, rest reset": ("no answer", "reset", "rtmp", "101", "rtmp"),
    "only TLS, rest swallowed": ("no answer", "silence", "rtmp", "101", "rtmp"),
    "SNI list, ours on it": ("no answer", "reset", "rtmp", "101", "rtmp"),
    "SNI list, ours not: reset": ("no answer", "reset", "reset", "reset", "rtmp"),
    "SNI list, ours not: swallowed": ("no answer", "silence", "silence", "silence", "rtmp"),
    "TLS read along, CA trusted": ("no answer", "closed", "400", "200", "400"),
    "TLS read along, CA unknown": ("no answer", "closed", "untrusted", "untrusted", "untrusted"),
    "squid, nothing but CONNECT": ("no answer",) * 5,
    "squid, CONNECT with password": ("no answer",) * 5,
    "squid, CONNECT, no password given": ("no answer",) * 5,
    "443 only, cut": ("no answer", "closed", "rtmp", "101", "rtmp"),
}


@pytest.fixture(scope="module")
def foreign(net, serving, trust):
    """TLS of somebody else before our server."""
    made = Terminator(net.server, 443, trust.ours.context(NAME, NAME_BEHIND, OTHER), to=SIDE_DOOR, address=SERVER)
    yield made
    made.stop()


def inside(wall, name=NAME):
    return tls_client(wall.ca_file), name


def at_once(net, tries):
    with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
        probes = list(pool.map(lambda how: Probe(net, **how), tries))
    for probe in probes:
        probe.sock.close()
    return probes


def test_every_kind_is_proved():
    assert list(EXPECTED) == list(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_row(net, foreign, squid, trust, name):
    offered = offer(c0c1(), headers={"Host": NAME})
    with TlsFirewall(net, name, squid, trust) as wall:
        probes = at_once(net, [
            {"port": 80, "data": offered}, {"port": 443, "data": c0c1()},
            {"port": 443, "data": c0c1(), "tls": inside(wall)}, {"port": 443, "data": offered, "tls": inside(wall)},
            {"port": 443, "data": c0c1(), "tls": inside(wall, OTHER)}])
    assert tuple(probe.outcome for probe in probes) == EXPECTED[name]
    if probes[0].outcome in ("refused", "unreachable"):
        assert probes[0].answered_s < NEAR_S


def test_names_of_servers(net):
    names = net.client.shell(f"getent ahostsv4 {NAME_ALIAS} {NAME_EXPIRED} {NAME_SSH}")
    assert all(address in names for address in (SERVER, OTHER_EXPIRED, OTHER_SSH))


# ---- looking at the first bytes ----------------------------------------------------------------

def hello_to(name):
    """A ClientHello of Python's."""
    out = ssl.MemoryBIO()
    connection = tls_client().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return out.read()


def in_records(hello, size):
    """The same handshake message, in records of this size (RFC 8446, 5.1)."""
    message = hello[5:]
    return b"".join(hello[:3] + len(message[at:at + size]).to_bytes(2, "big") + message[at:at + size]
                    for at in range(0, len(message), size))


@pytest.mark.parametrize("size", [None, 100, 1])
def test_names_in_hellos(size):
    """However it is cut, the name is found when all of it is there, and not before."""
    for name in (NAME, OTHER, None):
        hello = hello_to(name) if size is None else in_records(hello_to(name), size)
        assert [server_name(hello[:end]) for end in range(len(hello))] == [None] * len(hello)
        assert server_name(hello) == (name or NO_NAME)


@pytest.mark.parametrize("data", [c0c1(), b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\0\0", b"\x16\x03\x01\0\x04\x02\0\0\0",
                                  b"\x17\x03\x03\0\1x", b"\x16\x03\x01\0\x06\x01\0\0\x02\x03\x03"])
def test_what_is_no_hello(data):
    with pytest.raises(NotTls):
        server_name(data)


@pytest.mark.parametrize("name, allowed", [(NAME, True), (OTHER, False)])
def test_a_hello_in_segments(net, foreign, trust, name, allowed):
    """The filter judges only when all is there, and passes on all that it has read."""
    hello = hello_to(name)
    with TlsFirewall(net, "SNI list, ours on it", trust=trust) as wall, net.client.run(socket.socket) as sock:
        wall.box.allowed = (NAME,)
        sock.settimeout(5)
        sock.connect((SERVER, 443))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(hello), 40):
            assert not wall.box.seen
            sock.sendall(hello[at:at + 40])
            wait_until(lambda: unacknowledged(net, sock) == 0, 5, "the segment has arrived")
        if allowed:
            assert sock.recv(3) == b"\x16\x03\x03"  # ServerHello
        else:
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        assert wall.box.seen == [name]


def unacknowledged(net, sock):
    """Bytes that nobody has acknowledged; once the socket is no more: none."""
    words = net.client.shell(f"ss -Hnt sport = {sock.getsockname()[1]}").split()
    return int(words[2]) if words else 0


@pytest.mark.parametrize("name", ["SNI list, ours on it", "only TLS, rest swallowed", "TLS read along, CA trusted"])
def test_small_segments(net, foreign, trust, name):
    """The same from a client all of whose packets are small."""
    with TlsFirewall(net, name, trust=trust) as wall, net.small_segments(140):
        tap = Wiretap(net)
        with Probe(net, 443, offer(c0c1(), headers={"Host": NAME}), tls=inside(wall)) as probe:
            assert probe.outcome == EXPECTED[name][3]
        assert sum(map(len, tap.stop().values())) > 1536 and tap.largest <= 100
    tap = Wiretap(net)
    with Probe(net, 443, bytes(1000)):
        tap.stop()
        assert tap.largest >= 1000  # what the wall says to its other side may be there, too


@pytest.mark.parametrize("name", ["only TLS, rest reset", "only TLS, rest swallowed"])
def test_in_the_path(net, foreign, trust, name):
    """The handshake of TCP reaches the server, what is no TLS does not."""
    with TlsFirewall(net, name, trust=trust):
        for data in (c0c1(), tunnel(), connect_head(NAME, 443), b"\x16\x03\x03\0\x04\x02\0\0\0"):
            with Probe(net, 443, data) as probe:
                assert probe.connected_s >= R_S
                assert probe.outcome == ("reset" if name == "only TLS, rest reset" else "silence")


# ---- reading along -----------------------------------------------------------------------------

def test_reading_along(net, foreign, trust):
    """It hears the requests, strips the offer, and checks the server; a client that does not trust it tells nothing."""
    offered = offer(c0c1(), headers={"Host": NAME, "X-Secret": SECRET.decode()})
    with TlsFirewall(net, "TLS read along, CA trusted", trust=trust) as wall:
        with Probe(net, 443, offered, tls=inside(wall)) as probe:
            assert probe.outcome == "200" and probe.sock.getpeercert()["issuer"][0][0][1] == trust.theirs.name
            assert b"Upgrade" not in probe.received
        assert SECRET in wall.box.heard and wall.box.refusals == []
    with TlsFirewall(net, "TLS read along, CA unknown", trust=trust) as wall:
        with Probe(net, 443, offered, tls=inside(wall)) as probe:
            assert probe.outcome == "untrusted"
        wait_until(lambda: wall.box.refusals, 5, "the refusal is noted")
        assert not wall.box.heard and not wall.box.seen
        with Probe(net, 443, offered, tls=(tls_client(), NAME)) as probe:  # who checks nothing, tells all
            assert probe.outcome == "200" and SECRET in wall.box.heard


def test_reading_along_one_by_one(net, foreign, trust):
    """Several requests in a connection; what is no HTTP ends it."""
    with TlsFirewall(net, "TLS read along, CA trusted", trust=trust) as wall:
        with Probe(net, 443, tunnel(), tls=inside(wall)) as probe:
            for _ in range(3):
                head, _, body = probe.received.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                size = int(head.lower().partition(b"content-length:")[2].split()[0])
                probe.read(size - len(body))
                probe.sock.sendall(tunnel())
                probe.received = probe.sock.recv(65536)
            probe.sock.sendall(c0c1())
        assert len(wall.box.seen) >= 4
        assert wall.box.seen[0] == b"POST"


# ---- proxies -----------------------------------------------------------------------------------

def test_squid(net, foreign, squid, trust):
    """CONNECT to 443, with a password where one is needed, and TLS in it; nothing else."""
    granted, tls = connect_head(NAME_BEHIND, 443), (tls_client(trust.ours.ca_file), NAME_BEHIND)
    known = connect_head(NAME_BEHIND, 443, CREDENTIALS)
    wrong = connect_head(NAME_BEHIND, 443, CREDENTIALS.replace("Basic ", "Basic AA"))
    tries = [
        ("tls", granted, c0c1(), tls, "rtmp"),
        ("tls", granted, offer(c0c1(), headers={"Host": NAME}), tls, "101"),
        ("tls", connect_head(NAME_BEHIND, 80), b"", None, "403"),
        ("tls", b"", tunnel(target=f"http://{NAME_BEHIND}"), None, "403"),
        ("tls_auth", granted, b"", None, "407"),
        ("tls_auth", wrong, b"", None, "407"),
        ("tls_auth", known, c0c1(), tls, "rtmp"),
        ("tls_auth", b"", tunnel(target=f"http://{NAME_BEHIND}", head=CREDENTIALS), None, "403"),
        ("none", granted, b"", None, "403"),
        ("https", granted, c0c1(), tls, "rtmp"),
    ]
    with TlsFirewall(net, "squid, nothing but CONNECT", squid, trust) as wall:
        assert wall.environment()["https_proxy"].endswith(str(SQUID_PORTS["tls"]))
        probes = at_once(net, [{"port": SQUID_PORTS[port], "address": GATEWAY, "connect": connect, "data": data,
                                "tls": inside} for port, connect, data, inside, _ in tries])
    assert [probe.outcome for probe in probes] == [one[-1] for one in tries]


# ---- connections that are cut, servers of other people -----------------------------------------

def test_cut(net, foreign, trust):
    rules = tls_networks.cut_443(0.3)
    with TlsFirewall(net, "443 only, cut", trust=trust, rules=rules), \
            Probe(net, 443, c0c1(), tls=(tls_client(trust.ours.ca_file), NAME)) as probe:
        assert probe.outcome == "rtmp"

        def is_cut():
            try:
                probe.sock.sendall(b"x")
                return False
            except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
                return True
        wait_until(is_cut, 3, "a reset")
        assert time.monotonic() - probe.begin >= 0.3


def test_servers_of_others(net, foreign, trust):
    """Expired; for another name; SSH."""
    tls = tls_client(trust.ours.ca_file)
    expired = Terminator(net.server, 443, trust.ours.context(NAME_EXPIRED, begin=days(-9), end=days(-1)), to=SIDE_DOOR,
                         address=OTHER_EXPIRED)
    banner = Banner(net.server, 443, address=OTHER_SSH)
    try:
        probes = at_once(net, [
            {"port": 443, "address": OTHER_EXPIRED, "data": c0c1(), "tls": (tls, NAME_EXPIRED)},
            {"port": 443, "address": OTHER_EXPIRED, "data": c0c1(), "tls": (tls_client(), NAME_EXPIRED)},
            {"port": 443, "data": c0c1(), "tls": (tls, NAME_ALIAS)},
            {"port": 443, "data": c0c1(), "tls": (tls, NAME)},
            {"port": 443, "address": OTHER_SSH, "data": c0c1(), "tls": (tls, NAME_SSH)}])
    finally:
        expired.stop()
        banner.stop()
    assert [probe.outcome for probe in probes] == ["untrusted", "rtmp", "untrusted", "rtmp", "not TLS"]


# ---- what is seen ------------------------------------------------------------------------------

def test_wiretap(net, foreign, trust):
    """All that the client sends, and which of it is plain text."""
    tap = Wiretap(net)
    with Probe(net, 80, SECRET + bytes(4000)), Probe(net, 443, SECRET, tls=(tls_client(trust.ours.ca_file), NAME)):
        pass
    with TlsFirewall(net, "TLS read along, CA unknown", trust=trust), Probe(net, 443, SECRET):
        pass
    sent = tap.stop()
    told = {(to.server, to.server_port, SECRET in data, SECRET in plain_text(data)) for to, data in sent.items()}
    assert told == {(SERVER, 80, True, True), (SERVER, 443, False, False), (SERVER, 443, True, True)}
    assert any(len(data) == len(SECRET) + 4000 for data in sent.values())
    assert plain_text(b"") == b"" and plain_text(connect_head(NAME, 443) + b"\x16\x03\x01") == b""
    assert plain_text(connect_head(NAME, 443) + SECRET) == SECRET


def test_nothing_is_left_behind(net):
    assert "drop" not in net.gateway.shell("nft list ruleset") and firewalls.KINDS.keys().isdisjoint(KINDS)
