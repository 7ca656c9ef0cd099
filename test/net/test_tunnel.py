"""RTMPT: the same frames through HTTP, on the same port, with real clients; and the web beside it."""
from http.client import HTTPConnection
import socket

import pytest

from clients import Playing
from rtmp_raw import amf_encode, chunks
from server import wait_until


def tunnel(server, path="live/a"):
    return server.url(path).replace("rtmp://", "rtmpt://")


def web(server):
    return HTTPConnection("127.0.0.1", server.port, timeout=10)


def post(connection, path, body=b"\0"):
    connection.request("POST", path, body, {"Content-Type": "application/x-fcs"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def raw_exchange(server, data, until=None):
    """What comes back on a connection of its own, until the server closes it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(data)
        got = b""
        while until is None or until not in got:
            piece = wire.recv(65536)
            if not piece:
                break
            got += piece
        return got


def test_players_get_every_frame_through_http(server, clients, clip, tmp_path):
    names = ("ffmpeg", "rtmpdump", "rtmpsrc")
    playing = [Playing(clients, name, tunnel(server), tmp_path / f"{name}.flv") for name in names]
    clients.ffmpeg_publish(server.url(), clip("h264_aac")).wait(30)
    for one in playing:
        one.finish(clip("h264_aac"))


# FFmpeg drops what it has not flushed when it closes a tunnel: by default up to ten packets.
FLUSHED = ["-rtmp_flush_interval", "1"]


def test_ffmpeg_publishes_through_http(server, clients, clip, tmp_path):
    playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
    clients.ffmpeg_publish(tunnel(server), clip("h264_aac"), after=FLUSHED).wait(60)
    playing.finish(clip("h264_aac"))


@pytest.mark.parametrize("publisher", ["rtmpsink_publish", "librtmp_publish"])
def test_publishers_through_http(server, clients, clip, tmp_path, publisher, librtmp_binary):
    clients.librtmp_binary = librtmp_binary
    playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
    getattr(clients, publisher)(tunnel(server), clip("h264_aac")).wait(60)
    playing.finish(clip("h264_aac"), slack_ms=1)


def test_both_ways_through_http(server, clients, clip, tmp_path):
    playing = Playing(clients, "ffmpeg", tunnel(server), tmp_path / "out.flv")
    clients.ffmpeg_publish(tunnel(server), clip("h264_aac_bframes"), after=FLUSHED).wait(30)
    playing.finish(clip("h264_aac_bframes"))


@pytest.mark.threads
def test_several_loops(start_server, clients, clip, tmp_path):
    server = start_server("--threads", "4")
    playing = [Playing(clients, name, tunnel(server), tmp_path / f"{name}.flv") for name in ("ffmpeg", "rtmpdump")]
    clients.ffmpeg_publish(tunnel(server), clip("h264_aac"), after=FLUSHED).wait(30)
    for one in playing:
        one.finish(clip("h264_aac"))


def test_close_of_a_publisher_ends_its_viewers(server, clients, clip, raw):
    viewer = raw(server)
    viewer.play("a")
    clients.ffmpeg_publish(tunnel(server), clip("h264_aac"), realtime=False).wait(30)
    viewer.expect_status("NetStream.Play.UnpublishNotify")


def test_open_gives_an_id_and_one_line_feed(server):
    status, body = post(web(server), "/open/1")
    assert status == 200 and body.endswith(b"\n") and body.count(b"\n") == 1 and b"\r" not in body
    assert len(body) == 32
    again = post(web(server), "/open/1")[1]
    assert again != body


def test_reply_is_spelled_as_librtmp_needs_it(server):
    got = raw_exchange(server, b"POST /open/1 HTTP/1.1\r\nHost: x\r\nContent-length: 1\r\n\r\n\0", b"\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\nContent-Length: 32\r\n" in got


@pytest.mark.parametrize("path", ["/send/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/0", "/idle/short/0", "/idle/x/1",
                                  "/fcs/ident2", "/send/contact/1"])
def test_bug_13_guessed_sessions_are_not_found(server, path):
    assert post(web(server), path)[0] == 404


def test_bug_12_foreign_number_ends_the_session_only(server):
    connection = web(server)
    session = post(connection, "/open/1")[1].strip().decode()
    assert post(connection, f"/idle/{session}/0")[0] == 200
    assert post(connection, f"/idle/{session}/7777")[0] == 404
    assert post(web(server), f"/idle/{session}/1")[0] == 404
    assert post(web(server), "/open/1")[0] == 200


def test_close_is_never_an_error(server):
    for path in ("/close/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/0", "/close/2", "/close/nobody"):
        assert post(web(server), path) == (200, b"\0")


def test_bug_11_open_costs_nothing(server):
    connection = web(server)
    before = server.rss_bytes()
    for _ in range(3000):
        assert post(connection, "/open/1")[0] == 200
    limit = 64 if server.sanitized() else 4  # MiB: a sanitizer keeps what was freed for a while
    assert server.rss_bytes() - before < limit << 20


@pytest.mark.threads
def test_session_over_several_connections(server):
    session = post(web(server), "/open/1")[1].strip().decode()
    for number in range(6):
        assert post(web(server), f"/idle/{session}/{number}") == (200, b"\1")


@pytest.mark.threads
def test_page_beside_the_streams(server, clients, clip, tmp_path):
    playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
    publishing = clients.ffmpeg_publish(tunnel(server), clip("h264_aac"), after=FLUSHED)
    connection = web(server)
    for _ in range(50):
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.status == 200 and b"Culvert" in answer.read()
        connection.request("GET", "/nothing?key=secret")
        answer = connection.getresponse()
        assert answer.status == 404
        answer.read()
    publishing.wait(30)
    playing.finish(clip("h264_aac"))
    assert "secret" not in server.log()


def test_head_and_other_methods(server):
    got = raw_exchange(server, b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    assert b" 200 " in head and body == b"" and b"Content-Length: " in head
    assert b" 405 " in raw_exchange(server, b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab")


def test_pipelined_requests_are_answered_in_order(server):
    one = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    got = raw_exchange(server, b"".join(one % n for n in range(40)) + last)
    assert got.count(b"HTTP/1.1 404 ") == 40 and got.count(b"HTTP/1.1 200 ") == 1
    assert got.rindex(b" 404 ") < got.index(b" 200 ")


def test_bytes_one_by_one(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            wire.send(bytes([byte]))
        got = b""
        while piece := wire.recv(65536):
            got += piece
    assert got.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("vector", [
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /open/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
])
def test_bug_16_ambiguous_requests_are_refused(server, vector):
    assert raw_exchange(server, vector).startswith(b"HTTP/1.1 400 ")


def test_huge_head_is_refused(server):
    head = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 100_000
    assert b" 431 " in raw_exchange(server, head)[:20]


def test_bug_30_slow_head_is_closed(start_server):
    server = start_server(config={"limits": {"handshake_s": 1}})
    assert raw_exchange(server, b"GET / HTTP/1.1\r\nHost:") == b""
    wait_until(lambda: "the request is not completed" in server.log(), 5, "a line about it")


def test_sigterm_with_a_tunnel(server, clients, clip, tmp_path):
    playing = Playing(clients, "rtmpdump", tunnel(server), tmp_path / "out.flv")
    clients.ffmpeg_publish(tunnel(server), clip("h264_aac"))
    wait_until(lambda: "play.start" in server.log(), 20, "a viewer")
    server.stop()
    playing.child.wait(30)


@pytest.mark.threads
@pytest.mark.parametrize("loops", ["1", "4"])
def test_a_publisher_in_one_flight_loses_nothing(start_server, raw, loops):
    """More than the server takes before it has said Publish.Start: it waits, and order is kept."""
    server = start_server("--threads", loops)
    viewer = raw(server)
    viewer.play("a")
    viewer.create_stream()  # play has been seen
    connection = web(server)
    session = post(connection, "/open/1")[1].strip().decode()
    post(connection, f"/send/{session}/0", b"\3" + bytes(1536))
    commands = [(0, amf_encode("connect", 1, {"app": "live"})), (0, amf_encode("createStream", 2, None)),
                (1, amf_encode("publish", 3, None, "a", "live"))]
    body = bytes(1536) + chunks(1, (1 << 20).to_bytes(4, "big"), 0, 0, 2)
    body += b"".join(chunks(20, command, 0, msid, 3) for msid, command in commands)
    count = 3000
    for number in range(count):
        head = b"\x17" if number == 0 else b"\x27"
        frame = head + b"\1\0\0\0" + number.to_bytes(4, "big") + bytes(150)
        body += chunks(9, frame, number, 1, 6, chunk_size=1 << 20)
    half = len(body) // 2 + 13
    assert post(connection, f"/send/{session}/1", body[:half])[0] == 200
    assert post(connection, f"/send/{session}/2", body[half:])[0] == 200
    got = [viewer.media() for _ in range(count)]
    assert [int.from_bytes(msg.payload[5:9], "big") for msg in got] == list(range(count))
    assert post(connection, f"/close/{session}/3")[0] == 200
    viewer.expect_status("NetStream.Play.UnpublishNotify")


def open_session(server):
    return post(web(server), "/open/1")[1].strip().decode()


def request(path, length, body=b""):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + body


def test_bug_12_close_while_a_request_is_incomplete(server):
    session = open_session(server)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(request(f"/idle/{session}/0", 1, b"\0"))
        assert wire.recv(4096).startswith(b"HTTP/1.1 200 ")
        wire.sendall(request(f"/send/{session}/2", 5000, b"abc"))
        post(web(server), f"/close/{session}/1")
        while wire.recv(4096):
            pass
    assert post(web(server), "/open/1")[0] == 200


@pytest.mark.parametrize("requests", [1, 3, 60])
def test_bug_16_malformed_request_behind_owed_replies(server, requests):
    session = open_session(server)
    data = b"".join(request(f"/idle/{session}/{number}", 1, b"\0") for number in range(requests))
    raw_exchange(server, data + b"GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\n")
    assert post(web(server), "/open/1")[0] == 200


def test_bug_15_page_behind_tunnel_requests(server):
    session = open_session(server)
    data = b"".join(request(f"/idle/{session}/{number}", 1, b"\0") for number in range(5))
    got = raw_exchange(server, data + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert got.count(b"HTTP/1.1 200 ") == 6 and got.endswith(b"</html>\n")


def test_bug_15_two_sessions_pipelined_on_one_connection(server):
    first, second = open_session(server), open_session(server)
    data = request(f"/idle/{first}/0", 1, b"\0") + request(f"/idle/{second}/0", 1, b"\0")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(data)
        assert wire.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert post(web(server), "/open/1")[0] == 200
