"""One URL, many clients, each with its own split into app and name: all meet on the joined path."""
import pytest

from clients import Playing
from rtmp_raw import Closed, RtmpClient
from synth import Publisher, check_run, collect


@pytest.mark.parametrize("path", ["live/a", "live/x/y"])
def test_clients_meet_on_the_url(server, clients, clip, tmp_path, path):
    playing = [Playing(clients, name, server.url(path), tmp_path / f"{name}.flv")
               for name in ("ffmpeg", "rtmpdump", "rtmp2src")]
    clients.ffmpeg_publish(server.url(path), clip("h264_aac")).wait(30)
    for one in playing:
        one.finish(clip("h264_aac"))


def test_deep_path_that_three_clients_split_in_three_ways(server, clients, clip, tmp_path):
    """Four parts: FFmpeg says live/x + y/z, rtmpdump and GStreamer live/x/y + z."""
    url = server.url("live/x/y/z")
    playing = [Playing(clients, name, url, tmp_path / f"{name}.flv") for name in ("ffmpeg", "rtmpdump", "rtmp2src")]
    clients.rtmp2sink_publish(url, clip("h264_aac")).wait(30)
    for one in playing:
        one.finish(clip("h264_aac"), slack_ms=1)


SPLITS = [("live", "x/y/z"), ("live/x", "y/z"), ("live/x/y", "z"), ("live/x/y/z", ""), ("live/", "x/y/z"),
          ("/live", "/x/y/z"), ("live", "x/y/z?a=1"), ("live/x?a=1", "y/z"), ("live", "x/%79/z")]


@pytest.mark.parametrize("app, name", SPLITS)
def test_splits(server, raw, app, name):
    pub = Publisher(server.port, app="live", name="x/y/z")
    raw.keep(pub.client)
    viewer = raw(server, app)
    viewer.play(name)
    check_run(collect(viewer, pub.send(5)), first=0)


@pytest.mark.parametrize("name", ["../live/a", "x/../../etc/passwd", "a\0b", "a\nb", "%2e%2e/a", "", "n" * 600])
def test_bug_17_names_that_are_refused(server, name):
    """Refused with a status or by closing; the server lives."""
    with RtmpClient.open(server.port) as client:
        msid = client.create_stream()
        client.command("publish", name, "live", msid=msid)
        try:
            info, _ = client.expect_status(timeout_s=5)
            assert info["level"] == "error", info
        except Closed:
            pass
    Publisher(server.port).close()


def test_names_in_the_log_cannot_break_lines(server):
    """A name with control characters never starts a line of its own in the log."""
    with RtmpClient.open(server.port) as client:
        msid = client.create_stream()
        client.command("publish", "a\n2026-01-01T00:00:00.000Z info FORGED x=1\x1b[31m", "live", msid=msid)
        client.closed_within(1)
    assert not any(" info FORGED" in line[20:40] for line in server.log().splitlines())
    assert "\x1b" not in server.log()


def test_two_names_are_two_streams(server, raw):
    one, two = Publisher(server.port, name="one"), Publisher(server.port, name="two")
    raw.keep(one.client)
    raw.keep(two.client)
    viewer = raw(server)
    viewer.play("two")
    one.send(50)
    check_run(collect(viewer, two.send(10)), first=0)
