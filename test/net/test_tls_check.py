"""`culvert check` where nothing but TLS gets through, and where TLS is looked at: each obstacle by its name."""
import json

import pytest

import crossing
from firewalls import CUT_S, PASSWORD, USER_IN_URL
from netns import NAME_ALIAS, NAME_EXPIRED, NAME_SSH
from test_tls_through import KEY, NO_WAY, OPEN_80, watched, wrong_servers  # noqa: F401  (a fixture)
from tls_networks import KINDS, TlsFirewall

OFFERED, TUNNELLED = "RTMPS behind an HTTPS offer", "RTMPTS"

# What is in the way of rtmp://, and of rtmps://; and how a stream of both gets through.
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
# rtmps:// in networks where rtmp:// gets through in plain text: the obstacle, no way.
ONLY_PLAIN = {
    ("SNI list, ours not: reset", OPEN_80): "tls-cut",
    ("TLS read along, CA unknown", OPEN_80): "cert-untrusted",
    ("80 only, rest reset", None): "port-closed",
    ("transparent squid", None): "port-dropped",
    ("squid, no CONNECT", None): "no-connect",
}


def check(net, wall, tmp_path, url, *options, trusts=True):
    """What `culvert check` says; its exit code is right."""
    trust = ["--ca", wall.ca_file] if trusts else ["--insecure"]
    command = crossing.Command(net, crossing.log_of(tmp_path), ["check", url, "--json", *trust, *options],
                               wall.environment())
    try:
        code = command.process.wait(40)
    finally:
        command.stop()
    said = json.loads(command.out)
    assert code == (0 if said["works"] else NO_WAY), command.log()
    assert not any(secret in command.out.decode() + command.log() for secret in (PASSWORD, USER_IN_URL, KEY))
    return said


def names(said):
    return [finding["name"] for finding in said["findings"]]


def test_every_kind_is_tried():
    assert list(EXPECTED) == list(KINDS)


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@pytest.mark.parametrize("name", KINDS)
def test_kind(net, tls_serving, squid, trust, tmp_path, name, scheme):
    obstacles, way = EXPECTED[name][scheme == "rtmps"], EXPECTED[name][2]
    with TlsFirewall(net, name, squid, trust) as wall, watched(net, scheme == "rtmps"):
        said = check(net, wall, tmp_path, wall.url(f"live/a?key={KEY}", scheme))
    assert names(said) == obstacles and said["obstacle"] == obstacles[0]
    assert said["works"] == (way is not None) == KINDS[name].kind.passes
    assert (said["way"] or {}).get("name") == way
    assert not way or said["way"]["secure"] and 0 < said["way"]["ms"] < 2500


@pytest.mark.parametrize("name, rules", ONLY_PLAIN)
def test_only_plain_text_passes(net, tls_serving, squid, trust, tmp_path, name, rules):
    with TlsFirewall(net, name, squid, trust, rules) as wall:
        said = check(net, wall, tmp_path, wall.url())
        assert said["works"] and not said["way"]["secure"]
        with watched(net, True):
            said = check(net, wall, tmp_path, wall.url(f"live/a?key={KEY}", "rtmps"))
        assert names(said) == [ONLY_PLAIN[name, rules]] and said["way"] is None


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
@pytest.mark.parametrize("host, obstacle", [(NAME_EXPIRED, "cert-time"), (NAME_ALIAS, "cert-name"), (NAME_SSH, "not-tls")])
def test_servers(net, tls_serving, wrong_servers, trust, tmp_path, scheme, host, obstacle):  # noqa: F811
    with TlsFirewall(net, "443 only, rest dropped", trust=trust) as wall, watched(net, scheme == "rtmps"):
        said = check(net, wall, tmp_path, f"{scheme}://{host}/live/a?key={KEY}")
    assert names(said) == [obstacle] and not said["works"]


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
def test_cuts_are_seen(net, tls_serving, trust, tmp_path, scheme):
    with TlsFirewall(net, "443 only, cut", trust=trust) as wall:
        said = check(net, wall, tmp_path, wall.url("live", scheme), "--long", "8")
    assert said["obstacle"] == "cut-later" and said["way"]["secure"]
    assert 2 <= len(said["cuts_ms"]) <= 3
    assert abs(said["period_ms"] - CUT_S * 1000) <= CUT_S * 100 + 500


def test_checks_without_checking(net, tls_serving, trust, tmp_path):
    """--insecure: what reads along is passed, and is named."""
    with TlsFirewall(net, "TLS read along, CA unknown", trust=trust) as wall:
        said = check(net, wall, tmp_path, wall.url("live", "rtmps"), trusts=False)
    assert said["works"] and "tls-opened" in names(said)
