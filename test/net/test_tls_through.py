"""`culvert publish` and `play` where nothing but TLS gets through, and where TLS is looked at (tls_networks.py).

rtmp:// may use TLS, and does when plain text gets nowhere; rtmps:// uses nothing else, whatever happens: all that the
client sends is written down at the gateway, and looked through for plain text and for its key.
"""
import contextlib

import pytest

import crossing
import synth
import tls_networks
from crossing import play_through, publish_through, slug
from netns import NAME_ALIAS, NAME_EXPIRED, NAME_SSH
from tls_networks import FLOOR_MS, KINDS, OPEN_80, PASSING, TlsFirewall
from wiretap import Wiretap, plain_text

FIRST_MEDIA_MAX_S = 3
KEY = "0123456789abcdef-a-key"
NO_WAY, CERTIFICATE = 7, 13
WHOLE = [name for name in PASSING if name != "443 only, cut"]
# Of firewalls.KINDS: where 443 is open, too, or a proxy allows CONNECT to it.
OPEN = ["open", "80 and 443 only", "inspector swallows", "squid, CONNECT to 443", "IPv6 broken"]
REFUSING = {
    "SNI list, ours not: reset": NO_WAY,
    "SNI list, ours not: swallowed": NO_WAY,
    "TLS read along, CA unknown": CERTIFICATE,
    "squid, CONNECT, no password given": NO_WAY,
}


@contextlib.contextmanager
def watched(net, secure):
    """What the client sends meanwhile; in TLS alone when that was asked for."""
    tap = Wiretap(net)
    try:
        yield tap
    finally:
        sent = tap.stop()
    if secure:
        assert {to: plain_text(data)[:80] for to, data in sent.items() if plain_text(data)} == {}
        assert not any(KEY.encode() in data for data in sent.values())


def keyed(wall, stream, scheme):
    return wall.url(f"live/{stream}?key={KEY}", scheme)


def trusting(wall):
    return ["--no-memory", "--ca", wall.ca_file]


def refused(net, wall, tmp_path, source, url, code, *options, **env):
    """A publisher that gives up with this code. Returns what it said; nothing may have reached the server."""
    log = crossing.log_of(tmp_path)
    command = crossing.Command(net, log, ["publish", source, url, "--no-memory", *options], wall.environment(**env))
    command.wait(30, code)
    said = command.log()
    assert KEY not in said
    return said


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@pytest.mark.parametrize("name", WHOLE)
def test_publish(net, tls_serving, squid, trust, source, tmp_path, measured, name, scheme):
    with TlsFirewall(net, name, squid, trust) as wall, watched(net, scheme == "rtmps") as tap:
        known, stream = len(tls_serving.log()), f"{scheme}-publish-{slug(name)}"
        first_s, _ = publish_through(net, wall, tmp_path, source, keyed(wall, stream, scheme), stream, *trusting(wall))
        measured("publish", f"{name}, {scheme}", first_s, net.counted().connections, FLOOR_MS)
        assert first_s < FIRST_MEDIA_MAX_S
        assert len(tls_serving.connects(known)) == 1
    assert sum(map(len, tap.sent.values())) > source.stat().st_size


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@pytest.mark.parametrize("name", WHOLE)
def test_play(net, tls_serving, squid, trust, tmp_path, measured, name, scheme):
    with TlsFirewall(net, name, squid, trust) as wall, watched(net, scheme == "rtmps"):
        known, stream = len(tls_serving.log()), f"{scheme}-play-{slug(name)}"
        first_s, _ = play_through(net, wall, tmp_path, keyed(wall, stream, scheme), stream, *trusting(wall))
        measured("play", f"{name}, {scheme}", first_s, net.counted().connections, FLOOR_MS)
        assert first_s < FIRST_MEDIA_MAX_S
        assert len(tls_serving.connects(known)) == 1


@pytest.mark.parametrize("name", ["SNI list, ours on it", "only TLS, rest swallowed"])
def test_a_hello_in_segments(net, tls_serving, trust, source, tmp_path, name):
    with TlsFirewall(net, name, trust=trust) as wall, watched(net, True), net.small_segments(140):
        publish_through(net, wall, tmp_path, source, keyed(wall, "small", "rtmps"), "small", *trusting(wall))


@pytest.mark.parametrize("name", OPEN)
def test_only_tls_where_all_passes(net, tls_serving, squid, trust, source, tmp_path, measured, name):
    with TlsFirewall(net, name, squid, trust) as wall, watched(net, True):
        stream = f"only-{slug(name)}"
        first_s, _ = publish_through(net, wall, tmp_path, source, keyed(wall, stream, "rtmps"), stream, *trusting(wall))
        measured("publish", f"{name}, rtmps", first_s, net.counted().connections, FLOOR_MS)
        first_s, _ = play_through(net, wall, tmp_path, keyed(wall, stream, "rtmps"), stream, *trusting(wall))
        measured("play", f"{name}, rtmps", first_s, net.counted().connections, FLOOR_MS)


def test_plain_where_it_passes(net, tls_serving, trust, tmp_path):
    """rtmp:// opens no second connection for TLS when it needs none."""
    with TlsFirewall(net, "open", trust=trust) as wall:
        play_through(net, wall, tmp_path, wall.url("live/plain"), "plain", *trusting(wall))
        assert net.counted().connections == 1


@pytest.mark.parametrize("scheme", ["rtmpts", "wss", "https"])
@pytest.mark.parametrize("name", ["443 only, rest dropped", "squid, CONNECT with password"])
def test_schemes(net, tls_serving, squid, trust, source, tmp_path, measured, scheme, name):
    with TlsFirewall(net, name, squid, trust) as wall, watched(net, True):
        stream = f"{scheme}-{slug(name)}"
        first_s, _ = publish_through(net, wall, tmp_path, source, keyed(wall, stream, scheme), stream, *trusting(wall))
        measured("publish", f"{name}, {scheme}", first_s, net.counted().connections, FLOOR_MS)
        first_s, _ = play_through(net, wall, tmp_path, keyed(wall, stream, scheme), stream, *trusting(wall))
        measured("play", f"{name}, {scheme}", first_s, net.counted().connections, FLOOR_MS)


# ---- no way, and none in plain text ------------------------------------------------------------

def test_every_kind_is_tried():
    assert {*WHOLE, *REFUSING, "443 only, cut"} == set(KINDS)


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@pytest.mark.parametrize("name", REFUSING)
def test_refusals(net, tls_serving, squid, trust, source, tmp_path, name, scheme):
    with TlsFirewall(net, name, squid, trust) as wall, watched(net, scheme == "rtmps"):
        known = len(tls_serving.log())
        refused(net, wall, tmp_path, source, keyed(wall, "no", scheme), REFUSING[name], "--ca", wall.ca_file)
        assert tls_serving.connects(known) == []
        if name == "TLS read along, CA unknown":
            assert wall.box.refusals and not wall.box.heard


@pytest.mark.parametrize("name, rules", [
    ("SNI list, ours not: reset", OPEN_80), ("SNI list, ours not: swallowed", OPEN_80),
    ("TLS read along, CA unknown", OPEN_80), ("80 only, rest reset", None), ("squid, no CONNECT", None),
    ("transparent squid", None)])
def test_never_in_plain_text(net, tls_serving, squid, trust, source, tmp_path, name, rules):
    """rtmp:// gets through on 80. rtmps:// says that there is no way, and tries none in plain text."""
    with TlsFirewall(net, name, squid, trust, rules) as wall:
        stream = f"plain-{slug(name)}"
        publish_through(net, wall, tmp_path, source, wall.url(f"live/{stream}"), stream, *trusting(wall))
        known = len(tls_serving.log())
        with watched(net, True):
            refused(net, wall, tmp_path, source, keyed(wall, "no", "rtmps"), REFUSING.get(name, NO_WAY), "--ca",
                    wall.ca_file)
        assert tls_serving.connects(known) == []


def test_who_checks_nothing_is_told(net, tls_serving, trust, source, tmp_path):
    """--insecure gets through where somebody reads along, and all is heard."""
    with TlsFirewall(net, "TLS read along, CA unknown", trust=trust) as wall:
        publish_through(net, wall, tmp_path, source, keyed(wall, "insecure", "rtmps"), "insecure", "--no-memory",
                        "--insecure")
        assert KEY.encode() in wall.box.heard
    assert any("not checked" in path.read_text() for path in tmp_path.iterdir())


def test_trust_of_the_environment(net, tls_serving, trust, source, tmp_path):
    """SSL_CERT_FILE names who is trusted; without it, the machine's own store, which knows none of them."""
    with TlsFirewall(net, "TLS read along, CA trusted", trust=trust) as wall:
        publish_through(net, wall, tmp_path, source, keyed(wall, "env", "rtmps"), "env", "--no-memory",
                        SSL_CERT_FILE=str(wall.ca_file))
        heard = len(wall.box.heard)
        refused(net, wall, tmp_path, source, keyed(wall, "no", "rtmps"), CERTIFICATE)
        assert len(wall.box.heard) == heard


# ---- servers with something wrong --------------------------------------------------------------

@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@pytest.mark.parametrize("host, code, words", [
    (NAME_EXPIRED, CERTIFICATE, "expired"), (NAME_ALIAS, CERTIFICATE, NAME_ALIAS), (NAME_SSH, NO_WAY, "encrypted")])
def test_servers(net, tls_serving, wrong_servers, trust, source, tmp_path, scheme, host, code, words):
    with TlsFirewall(net, "443 only, rest dropped", trust=trust) as wall, watched(net, scheme == "rtmps"):
        known = len(tls_serving.log())
        said = refused(net, wall, tmp_path, source, f"{scheme}://{host}/live/no?key={KEY}", code, "--ca", wall.ca_file)
        assert words in said
        assert tls_serving.connects(known) == []


# ---- connections that are cut ------------------------------------------------------------------

@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
def test_publish_is_cut(net, tls_serving, trust, tmp_path, tell, scheme):
    with TlsFirewall(net, "443 only, cut", trust=trust, rules=tls_networks.cut_443(1.5)) as wall:
        long, stream = synth.write_file(tmp_path / "long.flv", 125), f"publish-cut-{scheme}"
        _, gap_s = publish_through(net, wall, tmp_path, long, wall.url(f"live/{stream}", scheme), stream,
                                   *trusting(wall), last=124)
        tell(f"publish  TLS cut after 1.5 s, {scheme}: longest time without media {gap_s * 1000:.0f} ms")
        assert gap_s < FIRST_MEDIA_MAX_S
        assert net.counted().connections >= 3


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
def test_play_is_cut(net, tls_serving, trust, tmp_path, tell, scheme):
    with TlsFirewall(net, "443 only, cut", trust=trust, rules=tls_networks.cut_443(1.5)) as wall:
        stream = f"play-cut-{scheme}"
        _, gap_s = play_through(net, wall, tmp_path, wall.url(f"live/{stream}", scheme), stream, *trusting(wall),
                                frames=125)
        tell(f"play     TLS cut after 1.5 s, {scheme}: longest time without media {gap_s * 1000:.0f} ms")
        assert gap_s < FIRST_MEDIA_MAX_S
        assert net.counted().connections >= 3
