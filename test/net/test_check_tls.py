"""`culvert check` where nothing but TLS gets through, and where TLS is looked at (tls_networks.py): what is in the way
is called by its name, the way that a stream would take is the right one, and of rtmps:// nothing is said in plain
text."""
import json

import pytest

import crossing
from firewalls import CUT_S
from netns import NAME, NAME_ALIAS, NAME_EXPIRED, NAME_SSH
from tls_networks import KINDS, OPEN_80, TlsFirewall
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
# rtmps:// where rtmp:// gets through, in plain text alone: what is in the way, and the exit code.
ONLY_PLAIN = {
    ("SNI list, ours not: reset", OPEN_80): ("tls-cut", NO_WAY),
    ("TLS read along, CA unknown", OPEN_80): ("cert-untrusted", CERTIFICATE),
    ("80 only, rest reset", None): ("port-closed", NO_WAY),
    ("transparent squid", None): ("port-dropped", NO_WAY),
    ("squid, no CONNECT", None): ("no-connect", NO_WAY),
}


def check(net, wall, tmp_path, scheme, code, *options, host=None, trusts=True):
    """What it says, as JSON. What the client sent meanwhile is looked through, where only TLS is allowed."""
    url = f"{scheme}://{host}/live" if host else wall.url("live", scheme)
    trust = ["--ca", wall.ca_file] if trusts else ["--insecure"]
    tap = Wiretap(net)
    try:
        running = crossing.Command(net, crossing.log_of(tmp_path), ["check", url, "--json", *trust, *options],
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


@pytest.mark.parametrize("name, rules", ONLY_PLAIN)
def test_only_plain_text_passes(net, tls_serving, squid, trust, tmp_path, name, rules):
    obstacle, code = ONLY_PLAIN[name, rules]
    with TlsFirewall(net, name, squid, trust, rules) as wall:
        said = check(net, wall, tmp_path, "rtmp", 0)
        assert said["works"] and not said["way"]["secure"]
        said = check(net, wall, tmp_path, "rtmps", code)
    assert findings(said) == [obstacle] and said["way"] is None


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
def test_cuts_are_seen(net, tls_serving, trust, tmp_path, scheme):
    with TlsFirewall(net, "443 only, cut", None, trust) as wall:
        said = check(net, wall, tmp_path, scheme, 0, "--long", "8")
    assert said["obstacle"] == "cut-later" and said["way"]["secure"]
    assert 2 <= len(said["cuts_ms"]) <= 3
    assert abs(said["period_ms"] - CUT_S * 1000) <= CUT_S * 100 + 500


def test_who_checks_nothing_is_told(net, tls_serving, trust, tmp_path):
    """--insecure gets through where somebody reads along, and says that somebody does."""
    with TlsFirewall(net, "TLS read along, CA unknown", None, trust) as wall:
        said = check(net, wall, tmp_path, "rtmps", 0, trusts=False)
    assert said["works"] and "tls-opened" in findings(said)
