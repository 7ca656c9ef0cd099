"""RTMP over WebSocket, on the same port: the same frames, the frames' rules, and all who break them."""
import random
import socket
import struct

import pytest

import flv
import frames
import server as server_module
import ws_raw
from clients import Playing
from rtmp_raw import COMMAND, VIDEO, Refused, TimedOut, amf_encode, chunks
from server import wait_until
from synth import Publisher, check_run, collect, number_of
from test_slow_viewer import FRAME_BYTES, MIB, check_jumps, limit_bytes
from ws_raw import BINARY, CLOSE, CONTINUATION, PING, TEXT, PeerClosed, WebSocket, WsRtmpClient, encode_close, encode_frame

AT_ONCE_S = 1.5  # less than the two seconds for which the server waits in vain


@pytest.fixture
def ws(raw):
    """Factory of raw clients over WebSocket, connected to an app."""
    def connect(server, app="live", path=None, **kwargs):
        client = WsRtmpClient(server.port, path or f"/{app}", **kwargs)
        raw.keep(client)
        client.handshake()
        client.connect(app)
        return client
    return connect


@pytest.fixture
def opened(server):
    """A WebSocket of a server, and nothing said yet."""
    with WebSocket(server.port) as websocket:
        yield websocket


def open_raw(server, data):
    """The status of the answer to these bytes, and its headers."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(data)
        got = b""
        while b"\r\n\r\n" not in got:
            piece = wire.recv(65536)
            if not piece:
                break
            got += piece
    return int(got.split()[1]), got.partition(b"\r\n\r\n")[0].lower()


# ---- media

def send_file(client, msid, path):
    """A whole FLV file, as fast as it goes."""
    for tag in flv.read_tags(path):
        payload = amf_encode("@setDataFrame") + tag.data if tag.type == 18 else tag.data
        client.send_message(tag.type, payload, tag.timestamp, msid, csid=4)


@pytest.mark.threads
@pytest.mark.parametrize("loops", ["1", "4"])
def test_publisher_over_websocket(start_server, ws, raw, clients, clip, tmp_path, loops):
    server = start_server("--threads", loops)
    source = clip("h264_aac")
    playing = [Playing(clients, name, server.url(), tmp_path / f"{name}.flv") for name in ("ffmpeg", "rtmpdump")]
    scout, publisher = raw(server), ws(server, pieces=1000)
    scout.play("a")
    publisher.set_chunk_size(4096)
    msid = publisher.publish("a")
    wait_until(lambda: server.log().count("play.start") == 3, 20, "all players are there")
    send_file(publisher, msid, source)
    scout.expect(lambda msg: msg.is_media and msg.payload == flv.read_tags(source)[-1].data, what="the last frame")
    publisher.command("deleteStream", msid, call_id=0)
    for one in playing:
        one.finish(source)


@pytest.mark.threads
@pytest.mark.parametrize("loops", ["1", "4"])
def test_player_over_websocket(start_server, ws, clients, clip, tmp_path, loops):
    server = start_server("--threads", loops)
    source, out = clip("h264_aac_bframes"), tmp_path / "out.flv"
    viewer, tags = ws(server), []
    viewer.play("a")
    viewer.create_stream()  # play has been seen
    clients.ffmpeg_publish(server.url(), source)
    while True:
        msg = viewer.recv(20)
        if msg.is_media:
            tags.append(flv.Tag(msg.type, msg.timestamp, msg.payload))
        elif msg.type == COMMAND and b"UnpublishNotify" in msg.payload:
            break
    flv.write_tags(out, tags)
    frames.check_file(source, out)


@pytest.mark.threads
def test_both_ways_over_websocket(server, ws):
    viewer = ws(server)
    viewer.play("a")
    viewer.create_stream()
    pub = Publisher(server.port, client=ws(server, pieces=777), size=70_000)
    check_run(collect(viewer, pub.send(100)), first=0)
    pub.unpublish()
    viewer.expect_status("NetStream.Play.UnpublishNotify")


def in_fragments(data, rand):
    """The same bytes as messages in fragments of any size, with control frames between."""
    out, at, fresh = [], 0, True
    while at < len(data):
        size = rand.choice([0, 1, 2, 125, 126, 127, 5000, 65535, 65536])
        fin = rand.random() < 0.3
        out.append(encode_frame(data[at:at + size], BINARY if fresh else CONTINUATION, fin=fin))
        out.append(encode_frame(b"x", PING) if rand.random() < 0.1 else b"")
        at, fresh = at + size, fin
    if not fresh:
        out.append(encode_frame(b"", CONTINUATION))
    return b"".join(out)


@pytest.mark.parametrize("seed", range(4))
def test_fragments_split_anywhere(server, ws, raw, seed):
    rand = random.Random(seed)
    viewer, client = raw(server), ws(server)
    viewer.play("a")
    viewer.create_stream()

    def send_in_fragments(data):
        flight = in_fragments(data, rand)
        while flight:
            size = rand.choice([1, 2, 13, 1000, 100_000])
            client.ws.send_raw(flight[:size])
            flight = flight[size:]
    client.send_raw = send_in_fragments
    pub = Publisher(server.port, client=client, size=9000)
    check_run(collect(viewer, pub.send(30)), first=0)


def test_data_behind_the_request(server):
    """A client that does not wait for the 101."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        c0c1 = b"\3" + bytes(1536)
        wire.sendall(ws_raw.request() + encode_frame(c0c1[:700]) + encode_frame(c0c1[700:]))
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < 4 + 1 + 2 * 1536:
            got += wire.recv(65536)
    head, _, frame = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frame[:4] == b"\x82\x7e" + struct.pack(">H", 1 + 2 * 1536) and frame[4] == 3


def test_opening_behind_other_requests(server):
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(get * 3 + ws_raw.request() + encode_frame(b"", PING))
        got = b""
        while not got.endswith(b"\x8a\0"):
            got += wire.recv(65536)
    assert got.count(b"HTTP/1.1 200 ") == 3 and got.count(b"HTTP/1.1 101 ") == 1
    assert got.endswith(b"\r\n\r\n\x8a\0")


# ---- the opening

@pytest.mark.parametrize("path", ["/", "/live", "/live/a", "/any/thing?key=secret", "/live/a.flv"])
def test_every_path_is_served(server, ws, path):
    client = ws(server, path=path)
    assert client.ws.headers["sec-websocket-protocol"] == "rtmp"
    assert "secret" not in server.log()


def test_subprotocol_among_others(server):
    with WebSocket(server.port, protocol="chat, rtmp") as websocket:
        assert websocket.headers["sec-websocket-protocol"] == "rtmp"
    with WebSocket(server.port, protocol="chat\r\nSec-WebSocket-Protocol: rtmp",
                   Connection="keep-alive, Upgrade") as websocket:
        assert websocket.headers["sec-websocket-protocol"] == "rtmp"


def test_pages_of_any_origin(server):
    WebSocket(server.port, Origin="https://elsewhere.example").sock.close()


@pytest.mark.parametrize("changes, status", [
    ({"Sec_WebSocket_Version": "8"}, 426),
    ({"Sec_WebSocket_Version": None}, 426),
    ({"Sec_WebSocket_Key": "short"}, 400),
    ({"Sec_WebSocket_Key": None}, 400),
    ({"Connection": "keep-alive"}, 400),
    ({"Content_Length": "5"}, 400),
])
def test_openings_that_are_refused(server, changes, status):
    body = b"hello" if "Content_Length" in changes else b""
    got, head = open_raw(server, ws_raw.request(**changes) + body)
    assert got == status
    assert (b"\r\nsec-websocket-version: 13" in head) == (status == 426)


def test_post_and_http_1_0_are_refused(server):
    assert open_raw(server, ws_raw.request().replace(b"GET ", b"POST ", 1))[0] == 400
    assert open_raw(server, ws_raw.request().replace(b"HTTP/1.1", b"HTTP/1.0", 1))[0] == 400


def test_plain_requests_are_not_taken(server):
    assert open_raw(server, b"GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Protocol: rtmp\r\n\r\n")[0] == 200
    assert open_raw(server, ws_raw.request("/live", Upgrade="h2c"))[0] == 404
    assert open_raw(server, ws_raw.request("/live", protocol=None))[0] == 404
    assert open_raw(server, ws_raw.request("/live", protocol="RTMP, rtmpx"))[0] == 404


def test_bug_33_publish_needs_the_key_here_too(start_server, ws):
    server = start_server(open_publish=False)
    client = ws(server)
    msid = client.create_stream()
    client.command("publish", "a", "live", msid=msid)
    assert client.expect_status()[0]["level"] == "error"
    key = server.publish_key()
    Publisher(server.port, name=f"a?key={key}", client=ws(server)).sync()
    assert key not in server.log()


# ---- control frames

def test_pings_are_answered(server, ws, opened):
    opened.send_frame(b"hello", PING)
    assert opened.recv_frame().payload == b"hello"
    pub = Publisher(server.port, client=ws(server))
    pub.client.ws.send_frame(b"in between", PING)
    pub.send(5)
    pub.sync()
    assert pub.client.ws.pongs == [b"in between"]


def test_bug_10_ping_flood_costs_nothing(server, ws):
    client = ws(server)
    before = server.rss_bytes()
    flight = encode_frame(b"p" * 125, PING) * 4000
    for _ in range(10):
        client.ws.send_raw(flight)
        client.create_stream() if not client.ws.pongs else None
    client.create_stream()
    assert 1 <= len(client.ws.pongs) <= 40_000
    assert server.rss_bytes() - before < 32 * MIB


@pytest.mark.slow
@pytest.mark.limit_s(90)
def test_silence_is_broken_by_pings(start_server, ws):
    server = start_server(config={"limits": {"idle_s": 300}, "apps": [server_module.app(play_wait_s=300)]})
    viewer = ws(server)
    viewer.play("nobody")
    with pytest.raises(TimedOut):
        viewer.expect(lambda msg: False, 35)
    assert viewer.ws.pings == 1


BREACHES = {
    "unmasked": (encode_frame(b"hello", mask=False), 1002),
    "control too long": (encode_frame(b"x" * 126, PING), 1002),
    "control in fragments": (encode_frame(b"x", PING, fin=False), 1002),
    "first reserved bit": (encode_frame(b"\3", rsv=4), 1002),
    "last reserved bit": (encode_frame(b"\3", rsv=1), 1002),
    "opcode 3": (encode_frame(b"\3", 3), 1002),
    "opcode 11": (encode_frame(b"\3", 11), 1002),
    "continuation of nothing": (encode_frame(b"x", CONTINUATION), 1002),
    "message in a message": (encode_frame(b"\3", fin=False) + encode_frame(b"\3"), 1002),
    "half a close code": (encode_frame(b"x", CLOSE), 1002),
    "close code of no frame": (encode_close(1005), 1002),
    "close reason": (encode_close(1000, b"\xff"), 1007),
    "length with its top bit": (b"\x82\xff" + b"\xff" * 8 + b"mask", 1002),
    "text": (encode_frame(b"hello", TEXT), 1003),
    "empty text": (encode_frame(b"", TEXT), 1003),
    "text that goes on": (encode_frame(b"hello", TEXT, fin=False), 1003),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_breaches_are_answered_with_a_code(server, opened, breach):
    frame, code = BREACHES[breach]
    opened.send_raw(frame)
    assert opened.expect_close()[0] == code
    opened.expect_end()
    wait_until(lambda: f":{opened.sock.getsockname()[1]}" in server.log(), 5, "a line about it")


def test_breach_in_the_middle_of_a_stream(server, ws, raw):
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port, client=ws(server))
    collect(viewer, pub.send(5))
    pub.client.ws.send_frame(b"text", TEXT)
    viewer.expect_status("NetStream.Play.UnpublishNotify")
    assert pub.client.ws.expect_close()[0] == 1003


def test_bug_06_announced_lengths_cost_nothing(server, raw):
    before = server.rss_bytes()
    for _ in range(50):
        websocket = WebSocket(server.port)
        raw.keep(websocket.sock)
        websocket.send_raw(encode_frame(b"\3" + bytes(100), length=(1 << 63) - 1))
    with WebSocket(server.port) as last:
        last.send_frame(b"", PING)
        last.recv_frame()
    assert server.rss_bytes() - before < (64 if server.sanitized() else 8) * MIB


def test_one_endless_message_carries_a_stream(server, ws, raw):
    """A length of 2^63-1 whose bytes come: RTMP is a stream, so is this."""
    viewer, client = raw(server), ws(server)
    viewer.play("a")
    viewer.create_stream()
    client.ws.send_raw(encode_frame(b"", mask=b"\0\0\0\0", length=(1 << 63) - 1))
    client.send_raw = client.ws.send_raw
    pub = Publisher(server.port, client=client)
    check_run(collect(viewer, pub.send(20)), first=0)


# ---- the end

def test_close_of_a_publisher_ends_its_viewers(server, ws, raw):
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port, client=ws(server))
    collect(viewer, pub.send(5))
    pub.client.ws.send_raw(encode_close(1001, b"page closed"))
    viewer.expect_status("NetStream.Play.UnpublishNotify")
    assert pub.client.ws.expect_close()[0] == 1001
    pub.client.ws.expect_end(AT_ONCE_S)
    Publisher(server.port, client=raw(server)).sync()


def test_close_without_a_code(opened):
    opened.send_frame(b"", CLOSE)
    assert opened.expect_close()[0] is None
    opened.expect_end(AT_ONCE_S)


def test_a_reset_publisher_is_missed(server, ws, raw):
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port, client=ws(server))
    collect(viewer, pub.send(5))
    pub.client.reset()
    viewer.expect_status("NetStream.Play.UnpublishNotify")


def test_refusals_are_told_before_the_close(start_server, ws):
    client = ws(start_server(open_publish=False))
    with pytest.raises(Refused):
        client.publish("a")
    assert client.ws.expect_close() == (1000, "")
    client.ws.send_raw(encode_close(1000))
    client.ws.expect_end(AT_ONCE_S)


def test_a_breach_of_rtmp_has_a_reason(server, opened):
    opened.send_frame(b"GET / HTTP/1.1")
    code, reason = opened.expect_close()
    assert code == 1002 and reason


def test_sigterm_is_told(server, ws):
    viewer = ws(server)
    viewer.play("a")
    pub = Publisher(server.port, client=ws(server))
    collect(viewer, pub.send(5))
    server.terminate()
    viewer.expect_status("NetStream.Play.UnpublishNotify")
    for client in (viewer, pub.client):
        assert client.ws.expect_close()[0] == 1001
        client.ws.send_raw(encode_close(1001))
        client.ws.expect_end()
    server.stop()


def test_bug_30_slow_handshake_is_closed(start_server):
    """Pings do not count as a handshake."""
    server = start_server(config={"limits": {"handshake_s": 1}})
    with WebSocket(server.port) as websocket:
        websocket.send_frame(b"\3")

        def has_ended():
            try:
                websocket.send_frame(b"", PING)
                websocket.recv_data(0.05)
            except TimedOut:
                return None
            except PeerClosed as closed:
                return closed.code
            return None
        assert wait_until(has_ended, 10, "the end") == 1008


# ---- back-pressure

@pytest.mark.limit_s(120)
def test_bug_10_stopped_viewer_over_websocket(server, ws, raw):
    fast, stopped = raw(server), ws(server, receive_buffer=65536)
    fast.play("a")
    stopped.play("a")
    pub = Publisher(server.port, size=FRAME_BYTES, chunk_size=65536, audio=False, client=ws(server))
    pub.send(1)
    stopped.media()
    before, highest = server.rss_bytes(), 0
    while pub.number * FRAME_BYTES < 120_000_000:
        collect(fast, pub.send(20), timeout_s=20)
        highest = max(highest, server.rss_bytes())
    assert highest - before < limit_bytes(server), f"grew by {(highest - before) // MIB} MiB"
    last = pub.send(30)
    assert check_jumps(collect(stopped, last, timeout_s=20)) >= 1, "it was never behind"
    video = [msg for msg in collect(stopped, pub.send(30)) if msg.type == VIDEO]
    assert [number_of(msg) for msg in video] == list(range(last + 1, last + 31))


@pytest.mark.threads
@pytest.mark.parametrize("loops", ["1", "4"])
@pytest.mark.parametrize("size", [100, 5000, 1 << 30])
def test_a_publisher_in_one_flight_loses_nothing(start_server, ws, raw, loops, size):
    """More than the server takes before it has said Publish.Start: it waits, and order is kept."""
    server = start_server("--threads", loops)
    viewer, client = raw(server), ws(server)
    viewer.play("a")
    viewer.create_stream()
    commands = [(0, amf_encode("createStream", 2, None)), (1, amf_encode("publish", 3, None, "a", "live"))]
    data = chunks(1, (1 << 20).to_bytes(4, "big"), 0, 0, 2)
    data += b"".join(chunks(COMMAND, command, 0, msid, 3) for msid, command in commands)
    count = 3000
    for number in range(count):
        head = b"\x17" if number == 0 else b"\x27"
        frame = head + b"\1\0\0\0" + number.to_bytes(4, "big") + bytes(150)
        data += chunks(VIDEO, frame, number, 1, 6, chunk_size=1 << 20)
    client.pieces = size
    client.send_raw(data)
    got = [viewer.media() for _ in range(count)]
    assert [int.from_bytes(msg.payload[5:9], "big") for msg in got] == list(range(count))
    client.ws.send_raw(encode_close(1000))
    viewer.expect_status("NetStream.Play.UnpublishNotify")
