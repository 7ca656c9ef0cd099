"""`culvert relay` in a network that changes: FFmpeg publishes to it as OBS would, and knows nothing of all that."""
import pytest

import crossing
import firewalls
import flv
import frames
from firewalls import Firewall
from rtmp_raw import AUDIO, VIDEO, Closed, TimedOut
from server import wait_until

PORT = 1935
BEFORE = 60  # messages, about a second


@pytest.fixture
def relay(net, tmp_path):
    """relay(wall, url): the running command, which listens on 127.0.0.1:1935 at the client's end."""
    crossing.require("relay")
    started = []

    def start(wall, url, *options):
        command = crossing.Command(net, tmp_path / "relay.log", ["relay", url, "--no-memory", *options],
                                   wall.environment())
        started.append(command)
        wait_until(lambda: "LISTEN" in net.client.shell(f"ss -Hltn sport = {PORT}") or command.process.poll() is not None,
                   10, "the relay listens", 0.05)
        assert command.process.poll() is None, command.log()
        return command
    yield start
    for command in started:
        command.stop()


def as_obs(net, tmp_path, source, stream):
    return crossing.Service(net.client, ["ffmpeg", "-hide_banner", "-nostdin", "-re", "-i", source, "-c", "copy", "-f",
                                         "flv", f"rtmp://127.0.0.1:{PORT}/live/{stream}"], tmp_path / "ffmpeg.log")


def far_file(watcher, path, source):
    """What the watcher gets until the last picture and the last sound of the source, as a file."""
    missing = {kind: frames.packets(source, letter)[-1].hash for kind, letter in ((VIDEO, "v"), (AUDIO, "a"))}
    while missing:
        message = watcher.next(20)
        if not message.is_header and frames.message_hash(message) == missing.get(message.type):
            del missing[message.type]
    flv.write_tags(path, [flv.Tag(one.type, one.timestamp, one.payload) for one in watcher.messages])
    return path


def check_complete(source, played):
    """Every frame once, in order, at its time."""
    offsets = set()
    for kind in "va":
        want, got = frames.packets(source, kind), frames.packets(played, kind)
        assert frames.start_in(want, got) == 0 and len(got) == len(want)
        offsets |= frames.time_offsets(want, got, 0)
    assert max(offsets) - min(offsets) <= 1, f"time stamps moved against each other: {sorted(offsets)[:9]}"


def changes(net, wall, relay, rules, clip, stream, tmp_path, *options):
    """While FFmpeg publishes to the relay the gateway gets these rules. Returns the longest time without media."""
    source = clip("h264_aac")
    watcher = crossing.Watcher(net, stream)
    command = relay(wall, wall.url(f"live/{stream}"), *options)
    ffmpeg = as_obs(net, tmp_path, source, stream)
    try:
        while len(watcher.messages) < BEFORE:
            watcher.next(20)
        net.rules(rules)
        played = far_file(watcher, tmp_path / "far.flv", source)
        assert ffmpeg.process.wait(20) == 0, ffmpeg.log()
    except (Closed, TimedOut) as err:
        raise AssertionError(f"{err}\nrelay: {command.log()[-3000:]}\nFFmpeg: {ffmpeg.log()[-2000:]}") from err
    finally:
        ffmpeg.stop()
        watcher.close()
    check_complete(source, played)
    return watcher.longest_gap_s()


@pytest.mark.parametrize("how", ["reset", "silent"])
def test_the_network_changes_in_mid_stream(net, serving, clip, relay, tmp_path, tell, how):
    """From open to "HTTP is all that passes"; connections from before are reset, or hear nothing more."""
    known = len(serving.log())
    with Firewall(net, "inspector accepts and swallows", rules=firewalls.KINDS["open"].rules) as wall:
        gap_s = changes(net, wall, relay, firewalls.HTTP_ONLY[how], clip, f"obs-{how}", tmp_path)
        tell(f"relay    to HTTP only, {how}: longest time without media {gap_s * 1000:.0f} ms")
        assert len(serving.connects(known)) >= 2
        assert b"POST" in wall.box.seen


def test_relay_plays(net, serving, relay, tmp_path):
    """A player at the relay gets what is published beside the server."""
    feed = crossing.Feeder(net, "far")
    try:
        with Firewall(net, "inspector swallows") as wall:
            relay(wall, wall.url("live/far"))
            watcher = crossing.Watcher(net, "far", at=net.client, port=PORT)
            try:
                while sum(message.type == VIDEO for message in watcher.messages) < 25:
                    watcher.next(20)
                crossing.check_whole(watcher.messages)
            finally:
                watcher.close()
    finally:
        feed.stop()
