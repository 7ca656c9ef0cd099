"""`culvert check` where nothing but TLS gets through, and where TLS is looked at (tls_networks.py): what is in the way is
called by its name, the way that a stream would take is the right one, and of rtmps:// nothing is said in plain text."""
import json

import pytest

import crossing
from certificates import days
from netns import NAME, NAME_ALIAS, NAME_EXPIRED, NAME_SSH, OTHER_EXPIRED, OTHER_SSH, SIDE_DOOR
from tls_networks import KINDS, TlsFirewall
from tlsbox import Banner, Terminator
from wiretap import Wiretap, plain_text

NO_WAY, CERTIFICATE = 7, 13
OFFERED, TUNNELLED = "RTMPS behind an HTTPS offer", "RTMPTS"

# What is in the way of rtmp:// and of rtmps://, and how a stream gets through.
EXPECTED = {
    "443 only, rest dropped": (["port-80-dropped"], ["open"], OFFERED),
    "443 only, rest reset": (["port-80-closed"], ["open"], OFFERED),
    "443 only, rest unreachable": (["port-80-closed"], ["open"], OFFERED),
    "only TLS, rest reset": (["port-80-dropped"], ["open"], OFFERED),
    "only TLS, rest swallowed": (["port-80-dropped"], ["open"], OFFERED),
    "SNI list, ours on it": (["port-80-dropped"], ["open"], OFFERED),
    "SNI list, ours not: reset": (["tls-cut"], ["tls-cut"], None),
    "SNI list, ours not: swallowed": (["tls-cut"], ["tls-cut"], None),
    "TLS read along, CA trusted": (["port-80-dropped", "tls-opened"], ["tls-opened"], TUNNELLED),
    "TLS read along, CA unknown": (["cert-untrusted"], ["cert-untrusted"], None),
    "squid, nothing but CONNECT": (["proxy-only", "plain-blocked"], ["proxy-only"], OFFERED),
    "squid, CONNECT with password": (["proxy-only", "plain-blocked"], ["proxy-only"], OFFERED),
    "squid, CONNECT, no password given": (["proxy-auth"], ["proxy-auth"], None),
    "443 only, cut": (["port-80-dropped"], ["open"], OFFERED),  # seen by --long alone
}


def check(net, wall, tmp_path, scheme, code, *options, host=None):
    """What it says, as JSON. What the client sent meanwhile is looked through, where only TLS is allowed."""
    url = f"{scheme}://{host}/live" if host else wall.url("live", scheme)
    tap = Wiretap(net)
    try:
        running = crossing.Command(net, crossing.log_of(tmp_path), ["check", url, "--json", "--ca", wall.ca_file, *options],
                                   wall.environment())
        said = json.loads(running.wait(40, code))
    finally:
        sent = tap.stop()
    if scheme == "rtmps":
        assert {to: plain_text(data)[:80] for to, data in sent.items() if plain_text(data)} == {}
    return said


def findings(said):
    return [finding["name"] for finding in said["findings"]]


def rungs_of(said):
    return {rung["name"]: rung for rung in said["rungs"]}


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@pytest.mark.parametrize("name", KINDS)
def test_kind(net, tls_serving, squid, trust, tmp_path, name, scheme):
    either, only, way = EXPECTED[name]
    expected = either if scheme == "rtmp" else only
    code = 0 if way else CERTIFICATE if expected[0].startswith("cert-") else NO_WAY
    with TlsFirewall(net, name, squid, trust) as wall:
        said = check(net, wall, tmp_path, scheme, code)
    assert findings(said) == expected
    assert (said["way"] or {}).get("name") == way
    if way:
        assert said["way"]["secure"] and 0 < said["way"]["ms"] < 2000
    if scheme == "rtmps":
        assert not any(rungs_of(said)[plain]["tried"] for plain in
                       ("port-1935", "rtmp", "offer", "rtmpt", "websocket", "connect"))


@pytest.fixture(scope="module")
def wrong_servers(net, trust):
    expired = Terminator(net.server, 443, trust.ours.context(NAME_EXPIRED, begin=days(-9), end=days(-1)), to=SIDE_DOOR,
                         address=OTHER_EXPIRED)
    ssh = Banner(net.server, 443, address=OTHER_SSH)
    yield
    expired.stop()
    ssh.stop()


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@pytest.mark.parametrize("host, name, code, words", [
    (NAME_EXPIRED, "cert-time", CERTIFICATE, "expired"), (NAME_ALIAS, "cert-name", CERTIFICATE, NAME_ALIAS),
    (NAME_SSH, "not-tls", NO_WAY, "SSH-2")])
def test_wrong_servers(net, tls_serving, wrong_servers, trust, tmp_path, scheme, host, name, code, words):
    with TlsFirewall(net, "443 only, rest dropped", trust=trust) as wall:
        said = check(net, wall, tmp_path, scheme, code, host=host)
    assert findings(said) == [name]
    assert words in rungs_of(said)["tls"]["words"]


def test_certificates_are_told_where_they_are_not_needed(net, tls_serving, wrong_servers, trust, tmp_path):
    with TlsFirewall(net, "open", None, trust) as wall:
        said = check(net, wall, tmp_path, "rtmp", 0, host=NAME_ALIAS)
    assert findings(said)[0] == "cert-name" and said["way"]["name"] == "RTMP behind an HTTP offer"


@pytest.mark.parametrize("scheme, way", [("rtmp", "RTMP behind an HTTP offer"), ("rtmps", OFFERED)])
def test_open(net, tls_serving, trust, tmp_path, scheme, way):
    with TlsFirewall(net, "open", None, trust) as wall:
        said = check(net, wall, tmp_path, scheme, 0, host=NAME)
    assert findings(said) == ["open"] and said["way"]["name"] == way
    worked = [rung["name"] for rung in said["rungs"] if rung["works"]]
    secure = ["tls", "secure-offer", "rtmps", "rtmpts", "wss"]
    plain = ["port-1935", "rtmp", "offer", "rtmpt", "websocket"] if scheme == "rtmp" else []
    assert worked == ["name", "tcp"] + plain + secure
