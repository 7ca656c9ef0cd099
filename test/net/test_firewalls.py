"""Do the firewalls of firewalls.py do what reference says? With plain sockets, and no client of ours: so that a network
that is broken in the wrong way cannot make the tests of our clients pass."""
import concurrent.futures
import socket
import time

import pytest

import firewalls
from firewalls import KINDS, SQUID_PORTS, Firewall
from netns import CLIENT, GATEWAY, NAME, NAME_BEHIND, NAME_BOTH, R_MS, SERVER
from probe import ANSWER, CREDENTIALS, Probe, connect_head, tunnel
from rtmpt_raw import c0c1, offer
from server import wait_until

ELSEWHERE = "198.18.0.4"  # at the server's end, where no server is
R_S = R_MS / 1000
NEAR_S = 0.6 * R_S  # what the gateway does by itself is done by then

# What comes of four tries: TCP to 1935; RTMP, a tunnel and an offer on 80.
EXPECTED = {
    "open": ("rtmp", "rtmp", "200", "101"),
    "1935 dropped": ("no answer", "rtmp", "200", "101"),
    "80 and 443 only": ("no answer", "rtmp", "200", "101"),
    "80 only, rest reset": ("refused", "rtmp", "200", "101"),
    "inspector resets": ("no answer", "reset", "200", "101"),
    "inspector swallows": ("no answer", "silence", "200", "101"),
    "inspector accepts and swallows": ("no answer", "silence", "200", "101"),
    "transparent squid": ("no answer", "400", "200", "200"),
    "squid, CONNECT to 443": ("no answer", "no answer", "no answer", "no answer"),
    "squid, CONNECT to 80": ("no answer", "no answer", "no answer", "no answer"),
    "squid, no CONNECT": ("no answer", "no answer", "no answer", "no answer"),
    "squid, password": ("no answer", "no answer", "no answer", "no answer"),
    "squid, no password given": ("no answer", "no answer", "no answer", "no answer"),
    "cut": ("rtmp", "rtmp", "200", "101"),
    "captive portal": ("refused", "400", "302", "302"),
    "IPv6 broken": ("rtmp", "rtmp", "200", "101"),
    "proxy that closes": ("no answer", "reset", "200", "200"),
    "proxy that buffers": ("no answer", "reset", "200", "200"),
}


def probe_all(net):
    tries = [(1935, c0c1()), (80, c0c1()), (80, tunnel()), (80, offer(c0c1(), headers={"Host": NAME}))]
    with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
        return list(pool.map(lambda one: Probe(net, *one), tries))


def test_every_kind_is_proved():
    assert list(EXPECTED) == list(KINDS)


def test_distance(net, serving):
    """R to the server and next to nothing to the gateway; the client's names; the counters."""
    net.rules(firewalls.forward("reject with tcp reset"))
    with Probe(net, 80, b"") as refused:
        assert refused.outcome == "refused" and refused.answered_s < NEAR_S
    net.rules("")
    assert net.counted() == (0, 0)
    with Probe(net, 80, c0c1()) as probe:
        assert R_S <= probe.connected_s and 2 * R_S <= probe.answered_s < 4 * R_S
        assert probe.sock.getsockname()[0] == CLIENT
    opened, carried = net.counted()
    assert opened == 1 and carried > 3
    names = net.client.shell(f"getent ahostsv4 {NAME}; getent ahosts {NAME_BOTH}; getent ahosts {NAME_BEHIND} || echo none")
    assert SERVER in names and "fd00:18::1" in names and names.endswith("none\n")


@pytest.mark.parametrize("name", KINDS)
def test_row(net, serving, squid, name):
    with Firewall(net, name, squid):
        probes = probe_all(net)
        assert tuple(probe.outcome for probe in probes) == EXPECTED[name]
        for probe in probes:
            probe.sock.close()
        if probes[0].outcome == "refused":
            assert probes[0].answered_s < NEAR_S
        if probes[3].outcome == "101":
            offered = probes[3].received.partition(b"\r\n\r\n")
            assert b"Upgrade: rtmp" in offered[0]


@pytest.mark.parametrize("name", ["inspector resets", "inspector swallows"])
def test_inspector_in_the_path(net, serving, name):
    """The handshake of TCP reaches the server; what follows it does not. HTTP then may become anything."""
    with Firewall(net, name):
        with Probe(net, 80, c0c1()) as probe:
            assert probe.connected_s >= R_S
            if name == "inspector resets":
                assert probe.outcome == "reset" and probe.answered_s < R_S + NEAR_S
        with Probe(net, 80, offer(c0c1(), headers={"Host": NAME})) as probe:
            rest = probe.received.partition(b"\r\n\r\n")[2]
            assert rest + probe.read(ANSWER - len(rest)) and probe.outcome == "101"
            assert request_stays_open(probe)


def request_stays_open(probe):
    """Raw bytes pass after the upgrade: C2 and a broken message, at which the server closes."""
    probe.sock.sendall(bytes(1536) + b"\xff" * 64)
    try:
        return probe.read(1, 2) == b""
    except ConnectionResetError:
        return True


def test_what_a_filter_accepted_never_reached_the_server(net, serving):
    with Firewall(net, "inspector accepts and swallows") as wall, Probe(net, 80, c0c1()) as probe:
        assert probe.connected_s < NEAR_S and wall.box.seen == [c0c1()[:4]]


def through(net, kind, data):
    return Probe(net, SQUID_PORTS[kind], data, GATEWAY)




def test_explicit_squid(net, serving, squid):
    """Absolute URIs pass, with a password where one is needed; CONNECT as its port allows; offers are stripped."""
    tries = {
        ("https", tunnel(target=f"http://{NAME_BEHIND}")): "200",
        ("https", connect_head(NAME_BEHIND, 80)): "403",
        ("https", connect_head(NAME_BEHIND, 443)): "503",  # allowed; nobody listens there
        ("web", connect_head(NAME_BEHIND, 80)): "200",
        ("none", tunnel(target=f"http://{NAME}")): "200",
        ("none", connect_head(NAME, 443)): "403",
        ("auth", tunnel(target=f"http://{NAME}")): "407",
        ("auth", tunnel(target=f"http://{NAME}", head=CREDENTIALS)): "200",
        ("auth", tunnel(target=f"http://{NAME}", head=CREDENTIALS.replace("Basic ", "Basic AA"))): "407",
    }
    with Firewall(net, "squid, no CONNECT", squid):
        with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
            probes = list(pool.map(lambda one: through(net, *one), tries))
        assert [probe.outcome for probe in probes] == list(tries.values())
        offered = offer(c0c1(), headers={"Host": NAME}).replace(b"/open/1", f"http://{NAME}/open/1".encode())
        with through(net, "none", offered) as probe:
            assert probe.outcome == "200" and b"Culvert" not in probe.received.partition(b"\r\n\r\n")[2]
    for probe in probes:
        probe.sock.close()


def test_connect_tunnel_carries_rtmp(net, serving, squid):
    with Firewall(net, "squid, CONNECT to 80", squid), \
            through(net, "web", connect_head(NAME_BEHIND, 80)) as probe:
        probe.sock.sendall(c0c1())
        assert len(probe.read(ANSWER)) == ANSWER


@pytest.mark.parametrize("speaker", ["client", "server"])
def test_cut(net, serving, speaker):
    """After its time: a reset to whoever sends, nothing to the other."""
    listener = net.server.run(socket.create_server, ("0.0.0.0", 8000))
    listener.settimeout(5)
    net.rules(firewalls.cut_after(0.3))
    begin = time.monotonic()
    with listener, Probe(net, 8000, b"?", SERVER) as probe:
        far, _ = listener.accept()
        with far:
            assert far.recv(1) == b"?"
            sender, other = (probe.sock, far) if speaker == "client" else (far, probe.sock)

            def is_cut():
                try:
                    sender.send(b"x")
                    return False
                except (ConnectionResetError, BrokenPipeError):
                    return True
            wait_until(is_cut, 3, "a reset")
            assert time.monotonic() - begin >= 0.3
            other.settimeout(0.2)
            with pytest.raises(socket.timeout):  # no end, no reset
                while other.recv(1000):
                    pass
    net.rules("")


def test_portal(net, serving):
    with Firewall(net, "captive portal"), Probe(net, 80, tunnel()) as probe:
        assert probe.answered_s < NEAR_S
        assert b"\r\nLocation: http://login.portal.test/\r\n" in probe.received
    with Firewall(net, "captive portal"), Probe(net, 443, b"") as probe:
        assert probe.outcome == "refused"


def test_ipv6(net, serving):
    with Probe(net, 80, c0c1(), "fd00:18::1") as probe:
        assert probe.outcome == "rtmp" and probe.answered_s >= 2 * R_S
    with Firewall(net, "IPv6 broken"), Probe(net, 80, c0c1(), "fd00:18::1") as probe:
        assert probe.outcome == "no answer"


def test_proxy_that_closes(net, serving):
    with Firewall(net, "proxy that closes"), Probe(net, 80, tunnel()) as probe:
        assert b"Connection: close" in probe.received
        while probe.read(1):
            pass


def comes(sock, data):
    """Whether this is what comes, all of it, before long."""
    sock.settimeout(4 * R_S)
    got = b""
    try:
        while len(got) < len(data):
            got += sock.recv(65536) or b"?"
    except socket.timeout:
        return False
    return got == data


@pytest.mark.parametrize("name, buffers", [("proxy that buffers", True), ("proxy that closes", False)])
def test_what_a_proxy_holds_back(net, serving, name, buffers):
    """Before all of a message is there it passes nothing on, in either direction; others do."""
    asked, said = [b"POST /send/x/0 HTTP/1.1\r\nContent-Length: 4\r\n\r\nab", b"cd"], [b"he", b"re"]
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
    listener = net.server.run(socket.create_server, (ELSEWHERE, 80))
    listener.settimeout(5)
    with listener, Firewall(net, name), net.client.run(socket.socket) as near:
        near.settimeout(5)
        near.connect((ELSEWHERE, 80))
        near.sendall(asked[0])
        far, _ = listener.accept()
        with far:
            assert comes(far, asked[0]) != buffers
            near.sendall(asked[1])
            assert comes(far, b"".join(asked) if buffers else asked[1])
            far.sendall(reply + said[0])
            assert comes(near, reply + said[0]) != buffers
            far.sendall(said[1])
            assert comes(near, reply + b"".join(said) if buffers else said[1])


def test_nothing_is_left_behind(net):
    """Namespaces without names, and an open gateway."""
    assert "culvert" not in net.gateway.shell("ip netns list")
    assert "drop" not in net.gateway.shell("nft list ruleset")
