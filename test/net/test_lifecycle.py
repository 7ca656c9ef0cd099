"""Streams that do not exist, waiting players, and the end of the server."""
import time

import pytest

import server as server_module
from clients import Playing
from rtmp_raw import STREAM_EOF, Closed, RtmpClient
from synth import Publisher, check_run, collect


@pytest.fixture
def impatient(start_server):
    return start_server(config={"apps": [server_module.app(play_wait_s=1)]})


def test_unknown_stream(impatient, raw):
    begin = time.monotonic()
    viewer = raw(impatient)
    viewer.play("nothing")
    info, _ = viewer.expect_status("NetStream.Play.StreamNotFound", timeout_s=5)
    assert info["level"] == "error"
    assert 0.9 <= time.monotonic() - begin < 4


@pytest.mark.parametrize("player", ["ffmpeg", "rtmpdump"])
def test_players_end_on_an_unknown_stream(impatient, clients, tmp_path, player):
    playing = Playing(clients, player, impatient.url("live/nothing"), tmp_path / "out.flv")
    assert playing.child.wait(15, codes=None) != 0


def test_each_of_several_players_is_told(impatient, raw):
    """Not only the first one that waits for a name."""
    viewers = [raw(impatient) for _ in range(4)]
    for viewer in viewers:
        viewer.play("nothing")
    for viewer in viewers:
        viewer.expect_status("NetStream.Play.StreamNotFound", timeout_s=5)


def test_player_waits_for_its_stream(server, raw):
    viewer = raw(server)
    viewer.play("later")
    raw(server).create_stream()
    pub = Publisher(server.port, name="later")
    raw.keep(pub.client)
    check_run(collect(viewer, pub.send(10)), first=0)


def test_unpublish_is_told(server, raw):
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port)
    raw.keep(pub.client)
    collect(viewer, pub.send(5))
    pub.unpublish()
    viewer.expect_status("NetStream.Play.UnpublishNotify", timeout_s=5)
    viewer.expect_user_control(STREAM_EOF, 5)


def test_sigterm_tells_viewers_and_ends_with_zero(server, raw):
    viewer, idle = raw(server), raw(server)
    viewer.play("a")
    pub = Publisher(server.port)
    raw.keep(pub.client)
    collect(viewer, pub.send(30))
    begin = time.monotonic()
    server.terminate()
    viewer.expect_status("NetStream.Play.UnpublishNotify", timeout_s=5)
    viewer.expect_user_control(STREAM_EOF, 5)
    for client in (viewer, pub.client, idle):
        assert client.closed_within(5) is not None
    assert server.wait(10) == 0
    assert time.monotonic() - begin < 10


def test_sigterm_ends_players(server, clients, clip, raw, tmp_path):
    playing = [Playing(clients, name, server.url(), tmp_path / f"{name}.flv") for name in ("ffmpeg", "rtmpdump")]
    scout = raw(server)
    scout.play("a")
    publishing = clients.ffmpeg_publish(server.url(), clip("h264_aac"))
    first = scout.media(20)
    scout.expect(lambda m: m.is_media and m.timestamp - first.timestamp > 2000, 20, "2 s")
    server.terminate()
    assert server.wait(10) == 0
    for one in playing:
        one.child.wait(10, one.player.codes)
    publishing.wait(10, codes=None)


def test_sigterm_with_a_viewer_that_does_not_read(server, raw):
    """Nobody can hold up the end of the server."""
    stopped = raw(server, receive_buffer=16384)
    stopped.play("a")
    pub = Publisher(server.port, size=100_000, chunk_size=65536)
    raw.keep(pub.client)
    pub.send(1)
    stopped.media()
    pub.send(100)
    pub.sync()
    server.terminate()
    assert server.wait(15) == 0


def test_sigterm_at_once(start_server):
    server = start_server()
    server.terminate()
    assert server.wait(10) == 0


def test_no_new_connections_after_the_end(server):
    server.terminate()
    server.wait(10)
    with pytest.raises((ConnectionError, Closed)):
        RtmpClient.open(server.port)


