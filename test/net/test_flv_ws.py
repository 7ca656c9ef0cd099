"""Live FLV over WebSocket: the bytes of FLV over HTTP, in binary messages; ends, and clients that misbehave."""
import os

import pytest

import frames
from flv_raw import FlvParser, HttpPlayer, numbers
from rtmp_raw import VIDEO
from server import app
from synth import Publisher
from ws_raw import BINARY, CONTINUATION, PING, TEXT, PeerClosed, Refused, WebSocket, encode_frame


class WsPlayer:
    """A player over WebSocket. Every wait has a time-out in seconds."""

    def __init__(self, port, path="/live/a.flv", **settings):
        self.ws = WebSocket(port, path, protocol=None, **settings)
        self.flv = FlvParser()

    def close(self):
        self.ws.sock.close()

    def step(self, timeout_s=10):
        frame = self.ws.recv_data(timeout_s)
        assert frame.opcode == BINARY and frame.fin
        self.flv.feed(frame.payload)

    def until(self, last, timeout_s=10):
        """Up to the picture with this number."""
        while numbers(self.flv.tags, VIDEO)[-1:] != [last]:
            self.step(timeout_s)

    def to_close(self, timeout_s=10):
        """(code, reason) of the close frame behind everything."""
        try:
            while True:
                self.step(timeout_s)
        except PeerClosed as closed:
            return closed.code, closed.reason


@pytest.fixture
def play(start_server):
    """Factory of players that are closed at the end."""
    players = []

    def start(server, *args, **settings):
        players.append(WsPlayer(server.port, *args, **settings))
        return players[-1]
    yield start
    for player in players:
        player.close()


@pytest.fixture
def pub(server):
    publisher = Publisher(server.port)
    yield publisher
    publisher.close()


def end(pub):
    pub.sync()
    pub.unpublish()


# ---- the stream

def test_the_bytes_are_those_of_http(server, play):
    """Both have waited for the publisher."""
    player, http = play(server), HttpPlayer(server.port)
    pub = Publisher(server.port)
    pub.send(200)
    end(pub)
    assert player.to_close() == (1000, "the stream has ended")
    player.ws.expect_end()
    http.to_end()
    assert player.flv.data == http.flv.data and player.flv.is_whole
    assert numbers(player.flv.tags, VIDEO) == list(range(200))
    http.close()
    pub.close()


def test_every_frame_of_ffmpeg(server, clients, clip, play, tmp_path):
    player = play(server)
    clients.ffmpeg_publish(server.url(), clip("h264_aac_bframes")).wait(30)
    assert player.to_close()[0] == 1000
    frames.check_file(clip("h264_aac_bframes"), player.flv.save(tmp_path / "ws.flv"))


def test_on_other_threads(start_server, play):
    server = start_server("--threads", "3", config={"apps": [app()]})
    players = [play(server, f"/live/s{i}.flv") for i in range(6)]
    pubs = [Publisher(server.port, f"s{i}") for i in range(6)]
    for pub in pubs:
        pub.send(60)
        end(pub)
    for player, pub in zip(players, pubs):
        assert player.to_close()[0] == 1000
        assert numbers(player.flv.tags, VIDEO) == list(range(60))
        pub.close()


def test_nobody_publishes(start_server, play):
    """Told in a close frame, since a page learns nothing of an opening that failed."""
    server = start_server(config={"apps": [app(play_wait_s=1)]})
    player = play(server)
    assert player.to_close() == (1013, "nobody publishes this stream")
    player.ws.expect_end()


def test_refused_openings(start_server):
    server = start_server(config={"apps": [app("shut", play="off"), app()]})
    for path, status, changes in (("/shut/a.flv", 403, {}),
                                  ("/live/a.flv", 426, {"Sec_WebSocket_Version": "8"}),
                                  ("/live/a.flv", 400, {"Sec_WebSocket_Key": "short"})):
        with pytest.raises(Refused) as refused:
            WebSocket(server.port, path, protocol=None, **changes)
        assert refused.value.status == status


def test_stop_of_the_server(server, pub, play):
    player = play(server)
    last = pub.send(5)
    player.until(last)
    server.terminate()
    assert player.to_close() == (1001, "the server stops")
    player.close()
    pub.close()
    assert server.wait(10) == 0


# ---- control frames

def test_pings_of_the_client_are_answered(server, pub, play):
    player = play(server)
    player.until(pub.send(5))
    player.ws.send_frame(b"are you there", PING)
    while not player.ws.pongs:
        pub.send(1)
        player.step()
    assert player.ws.pongs == [b"are you there"]


@pytest.mark.slow
@pytest.mark.limit_s(90)
def test_the_server_pings(server, pub, play):
    """Every 20 to 30 s, for proxies that close what is silent."""
    player = play(server)
    player.until(pub.send(5))
    frame = player.ws.recv_frame(30)
    assert (frame.opcode, frame.payload) == (PING, b"")


def test_close_of_the_client_is_answered(server, pub, play):
    player = play(server)
    player.until(pub.send(5))
    player.ws.send_raw(encode_frame(b"\x03\xe8bye", 8))
    assert player.ws.expect_close()[0] == 1000
    player.ws.expect_end()
    other = play(server)
    other.until(pub.send(5))


# ---- clients that misbehave

BAD = {
    "text": (lambda: encode_frame(b"hello", TEXT), 1003),
    "text in fragments": (lambda: encode_frame(b"he", TEXT, fin=False) + encode_frame(b"llo", CONTINUATION), 1003),
    "announced too long": (lambda: encode_frame(b"x", BINARY, length=1 << 40), 1009),
    "too long": (lambda: encode_frame(bytes(70_000), BINARY), 1009),
    "too long in fragments": (lambda: encode_frame(bytes(100), BINARY, fin=False)
                              + encode_frame(bytes(1000), CONTINUATION, fin=False) * 70, 1009),
    "too much": (lambda: encode_frame(bytes(1000), BINARY) * 70, 1009),
    "not masked": (lambda: encode_frame(b"x", BINARY, mask=False), 1002),
    "reserved bit": (lambda: encode_frame(b"x", BINARY, rsv=4), 1002),
    "a lone fragment": (lambda: encode_frame(b"x", CONTINUATION), 1002),
    "a long ping": (lambda: encode_frame(bytes(126), PING), 1002),
    "half a close": (lambda: encode_frame(b"\x03", 8), 1002),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_frames(server, pub, play, name):
    """The close frame says why; media before it is whole; others see nothing of it."""
    good, bad = play(server), play(server)
    last = pub.send(5)
    good.until(last)
    bad.until(last)
    make, code = BAD[name]
    bad.ws.send_raw(make())
    assert bad.to_close()[0] == code
    assert bad.flv.is_whole
    good.until(pub.send(5))


def test_small_messages_are_read_away(server, pub, play):
    player = play(server)
    player.until(pub.send(5))
    for _ in range(20):
        player.ws.send_raw(encode_frame(os.urandom(50), BINARY, fin=False) + encode_frame(b"", PING)
                           + encode_frame(os.urandom(50), CONTINUATION))
    player.until(pub.send(5))


def test_bytes_that_are_no_frames(server, pub, play):
    player = play(server)
    player.until(pub.send(5))
    player.ws.send_raw(b"GET / HTTP/1.1\r\n\r\n")
    assert player.to_close()[0] == 1002
    player.ws.expect_end()


def test_clients_that_vanish(server, pub, play):
    """In the middle of a frame, and while they wait for a stream."""
    pub.send(60)
    for path in ("/live/a.flv", "/live/nothing.flv"):
        for _ in range(5):
            player = WsPlayer(server.port, path)
            player.ws.send_raw(encode_frame(b"abc", BINARY)[:5])
            player.close()
    play(server).until(pub.send(1))
