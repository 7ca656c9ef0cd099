"""`culvert check`: behind other people's firewalls each obstacle is called by its name; and what it says to people."""
import json
import os
import re
import subprocess

import pytest

import crossing
from firewalls import CUT_S, KINDS, PASSWORD, USER_IN_URL, Firewall
from hostile import Hostile, command, handshake
from server import SANITIZER, SANITIZER_ENV, find_binary

USAGE, UNKNOWN_HOST, NO_WAY = 2, 6, 7
OFFERED, TUNNELLED = "RTMP behind an HTTP offer", "RTMPT"
ESCAPES = "\x1b]0;title\x07\x1b[2J\r\n"

# What is in the way, and how a stream gets through.
EXPECTED = {
    "open": (["open"], OFFERED),
    "1935 dropped": (["port-1935-dropped"], OFFERED),
    "80 and 443 only": (["port-1935-dropped"], OFFERED),
    "80 only, rest reset": (["port-1935-closed"], OFFERED),
    "inspector resets": (["filter-resets", "port-1935-dropped"], OFFERED),
    "inspector swallows": (["filter-swallows", "port-1935-dropped"], OFFERED),
    "inspector accepts and swallows": (["filter-swallows", "port-1935-dropped"], OFFERED),
    "transparent squid": (["proxy-between", "port-1935-dropped"], TUNNELLED),
    "squid, CONNECT to 443": (["proxy-only"], TUNNELLED),
    "squid, CONNECT to 80": (["proxy-only"], TUNNELLED),
    "squid, no CONNECT": (["proxy-only", "connect-refused"], TUNNELLED),
    "squid, password": (["proxy-only"], TUNNELLED),
    "squid, no password given": (["proxy-auth"], None),
    "cut": (["open"], OFFERED),  # seen by --long alone
    "captive portal": (["portal"], None),
    "IPv6 broken": (["ipv6-broken"], OFFERED),
    "proxy that closes": (["proxy-between", "port-1935-dropped"], TUNNELLED),
    "proxy that buffers": (["proxy-between", "port-1935-dropped"], TUNNELLED),
}


def check_behind(net, wall, tmp_path, code, *options):
    log = tmp_path / f"{len(list(tmp_path.iterdir()))}.log"
    running = crossing.Command(net, log, ["check", wall.url("live"), *options], wall.environment())
    return running.wait(30, code)


def rungs_of(said):
    return {rung["name"]: rung for rung in said["rungs"]}


@pytest.mark.parametrize("name", KINDS)
def test_kind(net, serving, squid, tmp_path, name):
    obstacles, way = EXPECTED[name]
    with Firewall(net, name, squid) as wall:
        said = json.loads(check_behind(net, wall, tmp_path, 0 if KINDS[name].passes else NO_WAY, "--json"))
    assert PASSWORD not in json.dumps(said) and USER_IN_URL not in json.dumps(said)
    assert [finding["name"] for finding in said["findings"]] == obstacles
    assert said["obstacle"] == obstacles[0]
    assert said["works"] == (way is not None) == KINDS[name].passes
    assert (said["way"] or {}).get("name") == way
    if way:
        assert 0 < said["way"]["ms"] < 1000
    if name == "squid, CONNECT to 80":
        assert rungs_of(said)["connect"]["works"]
    if name == "captive portal":
        assert "http://login.portal.test/" in rungs_of(said)["offer"]["words"]


@pytest.mark.limit_s(60)
def test_cuts_are_seen(net, serving, tmp_path):
    with Firewall(net, "cut") as wall:
        said = json.loads(check_behind(net, wall, tmp_path, 0, "--json", "--long", "8"))
    assert said["obstacle"] == "cut-later"
    assert 2 <= len(said["cuts_ms"]) <= 3 and said["held_ms"] >= 8000
    assert abs(said["period_ms"] - CUT_S * 1000) <= CUT_S * 100 + 500  # a ping notices


# ---- on loopback ------------------------------------------------------------------------------

def run(url, *options, code=0, timeout_s=40, **more):
    """(stdout, stderr) of a check without a proxy."""
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    for name, value in SANITIZER_ENV.items():
        env[name] = value + (":" + env[name] if name in env else "")
    done = subprocess.run([str(find_binary()), "check", url, *options], stdin=subprocess.DEVNULL, timeout=timeout_s,
                          capture_output=True, check=False, env={**env, **more})
    assert not SANITIZER.search(done.stderr), done.stderr[:4000]
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode("ascii"), done.stderr.decode("ascii")


def test_people_can_read_it(server):
    out, err = run(f"rtmp://127.0.0.1:{server.port}/live/a?key=secret")
    assert err == "" and "secret" not in out and "\x1b" not in out
    rung = {line[2:16].strip(): line[17:].split()[0] for line in out.splitlines() if line.startswith("  ")
            and re.search(r" \d+(\.\d)? (us|ms|s)$", line)}
    assert [rung[name] for name in ("Name", "TCP", "RTMP", "HTTP offer", "RTMPT", "WebSocket")] == ["ok"] * 6
    assert "CONNECT" not in rung and "Proxy" not in rung
    assert "Result       It works: a stream gets through as RTMP behind an HTTP offer" in out
    assert max(map(len, out.splitlines())) <= 100


def test_it_publishes_nothing(server):
    known = len(server.log())
    run(f"rtmp://127.0.0.1:{server.port}/live/a")
    assert "publish" not in server.log()[known:] and "play" not in server.log()[known:]


@pytest.mark.parametrize("url", ["", "example.org/live", "rtmp://", "rtmp://host:99999/live", "rtmpx://host/live"])
def test_wrong_urls(url):
    out, err = run(url, code=USAGE)
    assert out == "" and err.startswith("culvert check: ")


@pytest.mark.parametrize("options", [["--long", "0"], ["--long", "soon"], ["--via", "pigeon"], ["--proxy", ""], ["--jsn"]])
def test_wrong_options(options):
    run("rtmp://127.0.0.1/live", *options, code=USAGE)


def test_unknown_host():
    out, _ = run("rtmp://no-such-host.invalid/live", code=UNKNOWN_HOST)
    assert "no server of this name" in out


def test_closed_port(free_port):
    said = json.loads(run(f"rtmp://127.0.0.1:{free_port}/live", "--json", code=NO_WAY)[0])
    assert said["obstacle"] == "port-closed" and said["way"] is None
    assert not rungs_of(said)["offer"]["tried"]


@pytest.fixture
def free_port():
    with Hostile(lambda peer: None) as hostile:
        port = hostile.port
    return port


def test_a_web_server_alone():
    def behave(peer):
        while b"\r\n\r\n" not in peer.heard and not peer.heard.startswith(b"\x03"):
            peer.listen()
        word = b"404 Not Found" if peer.heard[:1] in b"PG" else b"400 Bad Request"
        peer.send(b"HTTP/1.1 " + word + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    with Hostile(behave) as hostile:
        out, _ = run(f"rtmp://127.0.0.1:{hostile.port}/live", code=NO_WAY)
    assert "In the way   A web server answers" in out
    assert re.search(r"RTMP +no +answered by HTTP: 400 ", out) and re.search(r"RTMPT +no +answered by HTTP: 404 ", out)


def test_another_service():
    def behave(peer):
        peer.listen()
        peer.send(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        peer.hold()
    with Hostile(behave) as hostile:
        said = json.loads(run(f"rtmp://127.0.0.1:{hostile.port}/live", "--json", code=NO_WAY)[0])
    assert said["obstacle"] == "foreign"


def test_a_refused_app_is_reached():
    """And the server's words are shown without their orders to the terminal."""
    info = {"level": "error", "code": "NetConnection.Connect.InvalidApp", "description": "no such app" + ESCAPES}

    def behave(peer):
        handshake(peer)
        peer.send(command("_error", 1, None, info))
        peer.hold()
    with Hostile(behave) as hostile:
        url = f"rtmp://127.0.0.1:{hostile.port}/nope"
        out, _ = run(url, "--via", "rtmp")
        said = json.loads(run(url, "--via", "rtmp", "--json")[0])
    assert re.search(r"RTMP +ok +the server is reached, and says no", out) and "\x1b" not in out
    assert "no such app" in out
    assert said["works"] and said["way"]["name"] == "RTMP"


@pytest.mark.slow
def test_silence_has_an_end():
    with Hostile(lambda peer: peer.hold()) as hostile:
        said = json.loads(run(f"rtmp://127.0.0.1:{hostile.port}/live", "--json", code=NO_WAY)[0])
    assert said["obstacle"] == "swallowed"
    assert all(rungs_of(said)[name]["result"] == "mute" for name in ("rtmp", "offer", "rtmpt", "websocket"))


@pytest.mark.slow
def test_dripping_has_an_end():
    with Hostile(lambda peer: peer.drip(b"HTTP/1.1 200 OK\r\nX: y\r\n")) as hostile:
        run(f"rtmp://127.0.0.1:{hostile.port}/live", "--json", code=NO_WAY)
