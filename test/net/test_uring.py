"""Many viewers sent to by one io_uring enter: real players, viewers that stop reading; and said where it is said."""
import pytest

import frames
from clients import PLAYERS, Playing
from rtmp_raw import VIDEO
from server import app
from synth import Publisher, collect, is_intact, number_of

FRAME_BYTES = 100_000


@pytest.fixture
def server_on(start_server):
    """With io_uring however few the viewers. Skipped where the kernel has none for us."""
    server = start_server(config={"io_uring": "on", "apps": [app()]})
    if " io_uring=yes" not in server.log():
        pytest.skip("no io_uring on this machine")
    return server


def sends_by_ring(server):
    """What the counters say: sends that went through it."""
    return server.stats()["io_uring"]


def test_players_get_every_frame(server_on, clients, clip, tmp_path):
    """All players at once, of FLV over HTTP, too."""
    source, flv = clip("h264_aac"), tmp_path / "http.flv"
    playing = [Playing(clients, name, server_on.url(), tmp_path / f"{name}.flv") for name in PLAYERS]
    http = clients.ffmpeg_play(f"http://127.0.0.1:{server_on.port}/live/a.flv", flv)
    clients.ffmpeg_publish(server_on.url(), source).wait(30)
    for one in playing:
        one.finish(source)
    http.wait(20)
    frames.check_file(source, flv)
    assert sends_by_ring(server_on) > 100


def test_a_full_socket_loses_nothing(server_on, raw):
    """A viewer stops reading while 10 MB pass, which are all in the log: it gets each picture once, in order."""
    fast, stopped = raw(server_on), raw(server_on, receive_buffer=65536)
    fast.play("a")
    stopped.play("a")
    pub = Publisher(server_on.port, size=FRAME_BYTES, chunk_size=65536, audio=False)
    raw.keep(pub.client)
    seen = []
    for _ in range(25):
        seen += collect(fast, pub.send(4), timeout_s=20)
    check_all(seen, 100)
    check_all(collect(stopped, 99, timeout_s=20), 100)
    assert sends_by_ring(server_on) >= 25


def check_all(messages, count):
    video = [msg for msg in messages if msg.type == VIDEO and not msg.is_header]
    assert [number_of(msg) for msg in video] == list(range(count))
    assert all(is_intact(msg) for msg in video)


def test_off_is_off(start_server, clients, clip, tmp_path):
    server = start_server(config={"io_uring": "off", "apps": [app()]})
    assert " io_uring=off" in server.log()
    playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
    clients.ffmpeg_publish(server.url(), clip("h264_aac")).wait(30)
    playing.finish(clip("h264_aac"))
    assert sends_by_ring(server) == 0
