"""`culvert publish` and `play` behind other people's firewalls (firewalls.py), and to other people's servers.

Numbered frames: none may be missing and none come twice. How long it took from the start of the process to the first
media message is printed at the end of the run, beside the floor: what a client could do that did everything right. The
bench (bench/ways.py) holds it to a target; here it must only not be a time-out of anybody's.
"""
import pytest

import crossing
import firewalls
import synth
from crossing import play_through as play, publish_through as publish, slug
from firewalls import PASSING, Firewall
from netns import NAME_RTMP, NAME_RTMPT, OTHER_RTMP

FIRST_MEDIA_MAX_S = 3


@pytest.mark.parametrize("name", [name for name in PASSING if name != "cut"])
def test_publish(net, serving, squid, source, tmp_path, measured, name):
    with Firewall(net, name, squid) as wall:
        known, stream = len(serving.log()), f"publish-{slug(name)}"
        first_s, _ = publish(net, wall, tmp_path, source, wall.url(f"live/{stream}"), stream, "--no-memory")
        measured("publish", name, first_s, net.counted().connections)
        assert first_s < FIRST_MEDIA_MAX_S
        assert len(serving.connects(known)) == 1


@pytest.mark.parametrize("name", [name for name in PASSING if name != "cut"])
def test_play(net, serving, squid, tmp_path, measured, name):
    with Firewall(net, name, squid) as wall:
        known, stream = len(serving.log()), f"play-{slug(name)}"
        first_s, _ = play(net, wall, tmp_path, wall.url(f"live/{stream}"), stream, "--no-memory")
        measured("play", name, first_s, net.counted().connections)
        assert first_s < FIRST_MEDIA_MAX_S
        assert len(serving.connects(known)) == 1


@pytest.mark.parametrize("name", ["open", "1935 dropped", "80 and 443 only", "80 only, rest reset",
                                  "inspector resets", "inspector swallows"])
def test_one_connection(net, serving, tmp_path, name):
    """Where the offer passes nothing else is opened."""
    with Firewall(net, name) as wall:
        play(net, wall, tmp_path, wall.url("live/one"), "one", "--no-memory")
        assert net.counted().connections == 1


# ---- connections that are cut ------------------------------------------------------------------

@pytest.mark.parametrize("seconds", [1.5])
def test_publish_is_cut(net, serving, tmp_path, tell, seconds):
    """Nothing is lost, nothing comes twice, and there is one stream."""
    with Firewall(net, "cut", rules=firewalls.cut_after(seconds)) as wall:
        known, long = len(serving.log()), synth.write_file(tmp_path / "long.flv", 125)
        _, gap_s = publish(net, wall, tmp_path, long, wall.url("live/cut"), "cut", "--no-memory", last=124)
        tell(f"publish  cut after {seconds} s: longest time without media {gap_s * 1000:.0f} ms")
        assert gap_s < FIRST_MEDIA_MAX_S
        assert net.counted().connections >= 3
        assert 3 <= len(serving.connects(known)) <= 6


@pytest.mark.parametrize("seconds", [1.5])
def test_play_is_cut(net, serving, tmp_path, tell, seconds):
    with Firewall(net, "cut", rules=firewalls.cut_after(seconds)) as wall:
        _, gap_s = play(net, wall, tmp_path, wall.url("live/cut"), "cut", "--no-memory", frames=125)
        tell(f"play     cut after {seconds} s: longest time without media {gap_s * 1000:.0f} ms")
        assert gap_s < FIRST_MEDIA_MAX_S
        assert net.counted().connections >= 3


# ---- servers of other people -------------------------------------------------------------------

@pytest.fixture(scope="module")
def rtmp_only(net, tmp_path_factory):
    made = crossing.RtmpOnly(net, tmp_path_factory.mktemp("nginx"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def rtmpt_only(net, serving, tmp_path_factory):
    made = crossing.RtmptOnly(net, tmp_path_factory.mktemp("rtmpt"))
    yield made
    made.stop()


def test_publish_to_rtmp_only(net, rtmp_only, source, tmp_path, measured):
    with Firewall(net, "open") as wall:
        first_s, _ = publish(net, wall, tmp_path, source, f"rtmp://{NAME_RTMP}/live/p", "p", "--no-memory", at=OTHER_RTMP)
        measured("publish", "RTMP-only server", first_s, net.counted().connections)
        assert first_s < FIRST_MEDIA_MAX_S


def test_play_from_rtmp_only(net, rtmp_only, tmp_path, measured):
    with Firewall(net, "open") as wall:
        first_s, _ = play(net, wall, tmp_path, f"rtmp://{NAME_RTMP}/live/q", "q", "--no-memory", at=OTHER_RTMP, ends=False)
        measured("play", "RTMP-only server", first_s, net.counted().connections)
        assert first_s < FIRST_MEDIA_MAX_S


def test_publish_to_rtmpt_only(net, rtmpt_only, source, tmp_path, measured):
    with Firewall(net, "open") as wall:
        first_s, _ = publish(net, wall, tmp_path, source, f"rtmp://{NAME_RTMPT}/live/p", "p", "--no-memory")
        measured("publish", "RTMPT-only server", first_s, net.counted().connections)
        assert first_s < FIRST_MEDIA_MAX_S


def test_play_from_rtmpt_only(net, rtmpt_only, tmp_path, measured):
    with Firewall(net, "open") as wall:
        first_s, _ = play(net, wall, tmp_path, f"rtmp://{NAME_RTMPT}/live/q", "q", "--no-memory")
        measured("play", "RTMPT-only server", first_s, net.counted().connections)
        assert first_s < FIRST_MEDIA_MAX_S


def test_remembered(net, rtmp_only, tmp_path, measured):
    """The second time the way that won is taken at once, and no other is opened."""
    state = str(tmp_path / "state")
    connections = []
    for _ in range(2):
        with Firewall(net, "open") as wall:
            first_s, _ = play(net, wall, tmp_path, f"rtmp://{NAME_RTMP}/live/r", "r", at=OTHER_RTMP, ends=False,
                           XDG_STATE_HOME=state)
            connections.append(net.counted().connections)
    measured("play", "RTMP-only server, remembered", first_s, connections[1])
    assert connections[0] > 1 and connections[1] == 1
