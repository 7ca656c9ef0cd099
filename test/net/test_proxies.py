"""The stream through real proxies, as doc/behind-a-proxy.md says they are to be set up."""
from http.client import HTTPConnection
import select
import socket
import struct
import threading

import pytest

from clients import Playing
from proxies import Proxy
from rtmp_raw import RtmpClient, VIDEO
from server import app, wait_until
from ws_raw import Refused, WebSocket, WsRtmpClient

# FFmpeg drops what it has not flushed when it closes a tunnel: by default up to ten packets.
FLUSHED = ["-rtmp_flush_interval", "1"]
CLIENT = "127.0.0.5"  # another address of this machine: a client that is not the proxy
REVERSE = ("nginx", "haproxy")


TRUSTING = {"apps": [app()], "trusted_proxies": ["127.0.0.1"], "log_level": "debug"}


@pytest.fixture
def edge(start_server):
    """A server that trusts proxies on 127.0.0.1 and tells everything."""
    return start_server(config=TRUSTING)


@pytest.fixture
def start_proxy(time_limit, start_server, tmp_path):
    """Factory: start_proxy("nginx", server) stands in front of it, or beside it."""
    proxies = []

    def start(kind, server):
        proxies.append(Proxy(kind, tmp_path / f"proxy{len(proxies)}", server.port))
        return proxies[-1]
    yield start
    for one in proxies:
        one.stop()


def url(port, path, scheme="rtmpt"):
    return f"{scheme}://127.0.0.1:{port}/live/{path}"


def from_client(port):
    return HTTPConnection("127.0.0.1", port, timeout=10, source_address=(CLIENT, 0))


def post(connection, path, body=b"\0", **headers):
    connection.request("POST", path, body, {"Content-Type": "application/x-fcs", **headers})
    answer = connection.getresponse()
    return answer.status, answer.read()


def begin_session(connection, **headers):
    session = post(connection, "/open/1")[1].strip().decode()
    assert post(connection, f"/idle/{session}/0", **headers) == (200, b"\1")
    return session


def lines_with(server, *parts):
    return [line for line in server.log().splitlines() if all(part in line for part in parts)]


# ---- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["squid", "privoxy"])
def test_both_ways_through_a_forward_proxy(edge, start_proxy, clients, short_clip, tmp_path, kind):
    proxy = start_proxy(kind, edge)
    clients.env = proxy.environment()
    playing = Playing(clients, "ffmpeg", url(edge.port, "a"), tmp_path / "out.flv")
    clients.ffmpeg_publish(url(edge.port, "a"), short_clip, after=FLUSHED).wait(30)
    playing.finish(short_clip)
    assert "/send/" in proxy.log() and "/idle/" in proxy.log()  # they did go through it


@pytest.mark.parametrize("kind", REVERSE)
def test_both_ways_through_a_reverse_proxy(edge, start_proxy, clients, short_clip, tmp_path, librtmp_binary, kind):
    """All at once, so that their requests come mixed on the proxy's connections.

    librtmp publishers (b, c) hang up right behind their last requests, and the proxy may drop those: the
    end is not known before the session has been silent for long, and the last frames may be missing.
    """
    clients.librtmp_binary = librtmp_binary
    port = start_proxy(kind, edge).port
    watched = [("a", "ffmpeg", 0), ("a", "rtmpdump", 0), ("a", "rtmpsrc", 0), ("b", "rtmpsrc", 4), ("c", "rtmpsrc", 4)]
    playing = [(Playing(clients, name, url(port, stream), tmp_path / f"{stream}-{name}.flv"), lost_at_end)
               for stream, name, lost_at_end in watched]
    publishing = [clients.ffmpeg_publish(url(port, "a"), short_clip, after=FLUSHED),
                  clients.librtmp_publish(url(port, "b"), short_clip),
                  clients.rtmpsink_publish(url(port, "c"), short_clip)]
    for one in publishing:
        one.wait(30)
    for one, lost_at_end in playing:
        one.finish(short_clip, slack_ms=1, lost_at_end=lost_at_end)


def test_both_ways_through_tcp(edge, start_proxy, clients, short_clip, tmp_path):
    """RTMP and RTMPT with a PROXY header before them."""
    port = start_proxy("haproxy-tcp", edge).port
    playing = [Playing(clients, "ffmpeg", url(port, "a", "rtmp"), tmp_path / "rtmp.flv"),
               Playing(clients, "rtmpdump", url(port, "a"), tmp_path / "rtmpt.flv")]
    clients.ffmpeg_publish(url(port, "a", "rtmp"), short_clip).wait(30)
    for one in playing:
        one.finish(short_clip)


@pytest.mark.parametrize("kind", REVERSE)
def test_a_connection_lives_longer_than_a_thousand_requests(edge, start_proxy, kind):
    """nginx ends a connection after 1000 unless it is told better; librtmp never comes back."""
    connection = HTTPConnection("127.0.0.1", start_proxy(kind, edge).port, timeout=10)
    connection.connect()
    wire = connection.sock
    for _ in range(1200):
        connection.request("HEAD", "/")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200 and connection.sock is wire


# The proxy's connections stay where they were accepted: a request of another thread's session takes its
# connection there.
SEVERAL_LOOPS = [*REVERSE, "haproxy-tcp"]


def idle_often(port, source, results):
    connection = HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
    session = begin_session(connection)
    results.append({post(connection, f"/idle/{session}/{number}") for number in range(1, 12)})


@pytest.mark.threads
@pytest.mark.parametrize("kind", SEVERAL_LOOPS)
def test_sessions_behind_a_proxy_find_their_thread(start_server, start_proxy, kind):
    """The proxy's connections are on all loops, and each carries requests of many sessions."""
    port = start_proxy(kind, start_server("--threads", "4", config=TRUSTING)).port
    results = []
    users = [threading.Thread(target=idle_often, args=(port, f"127.0.0.{10 + n}", results)) for n in range(8)]
    for user in users:
        user.start()
    for user in users:
        user.join(30)
    assert results == [{(200, b"\1")}] * 8


@pytest.mark.threads
@pytest.mark.parametrize("kind", SEVERAL_LOOPS)
def test_streams_behind_a_proxy_on_several_loops(start_server, start_proxy, clients, short_clip, tmp_path, kind):
    port = start_proxy(kind, start_server("--threads", "4", config=TRUSTING)).port
    playing = [Playing(clients, name, url(port, "a"), tmp_path / f"{name}.flv") for name in ("ffmpeg", "rtmpdump")]
    clients.ffmpeg_publish(url(port, "a"), short_clip, after=FLUSHED).wait(30)
    for one in playing:
        one.finish(short_clip)


@pytest.mark.parametrize("kind", REVERSE)
def test_both_ways_over_websocket_through_a_reverse_proxy(edge, start_proxy, raw, kind):
    port = start_proxy(kind, edge).port
    publisher, viewer = (WsRtmpClient(port) for _ in range(2))
    for client in (publisher, viewer):
        raw.keep(client)
        client.handshake()
        client.connect()
    viewer.play("a")
    msid = publisher.publish("a")
    frames = [(b"\x17" if number == 0 else b"\x27") + b"\1\0\0\0" + bytes([number]) * 5000 for number in range(50)]
    for number, frame in enumerate(frames):
        publisher.send_message(VIDEO, frame, number * 40, msid, csid=6)
    assert [viewer.media().payload for _ in frames] == frames


# ---- who the client is --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REVERSE)
def test_the_log_names_the_client(edge, start_proxy, kind):
    port = start_proxy(kind, edge).port
    begin_session(from_client(port), **{"X-Forwarded-For": "203.0.113.66"})
    assert lines_with(edge, "conn.open", "by=rtmpt", f"peer={CLIENT}")
    assert "203.0.113.66" not in edge.log()


def test_the_log_names_who_publishes_by_http(edge, start_proxy, short_clip):
    connection = from_client(start_proxy("nginx", edge).port)
    connection.request("POST", "/live/a.flv", short_clip.read_bytes())
    assert connection.getresponse().status // 100 == 2
    assert lines_with(edge, "publish.start", f"peer={CLIENT} ") and lines_with(edge, "publish.end", f"peer={CLIENT} ")


def open_websocket(port, source):
    return WebSocket(port, sock=socket.create_connection(("127.0.0.1", port), 10, (source, 0)))


@pytest.mark.parametrize("kind", REVERSE)
def test_a_websocket_is_its_clients(start_server, start_proxy, kind):
    """Counted there, too."""
    server = start_server(config={**TRUSTING, "limits": {"connections_per_address_max": 2}})
    port = start_proxy(kind, server).port
    with open_websocket(port, CLIENT), open_websocket(port, CLIENT), open_websocket(port, "127.0.0.6"):
        assert len(lines_with(server, "conn.open", "by=ws", f"peer={CLIENT} ")) == 2
        with pytest.raises(Refused, match="503"):
            open_websocket(port, CLIENT)

    def has_room():
        try:
            open_websocket(port, CLIENT).sock.close()
        except Refused:
            return False
        return True
    wait_until(has_room, 10, "room for another")


def test_the_log_names_the_client_behind_a_proxy_header(edge, start_proxy):
    port = start_proxy("haproxy-tcp", edge).port
    connection = from_client(port)
    begin_session(connection)
    client_port = connection.sock.getsockname()[1]
    assert lines_with(edge, "conn.open", "by=rtmpt", f"peer={CLIENT}:{client_port}")
    assert lines_with(edge, "conn.proxy", f"peer={CLIENT}:{client_port}", "via=127.0.0.1:")


def proxy_line(client, port=4000):
    return f"PROXY TCP4 {client} 127.0.0.1 {port} 80\r\n".encode()


def test_rtmp_behind_a_proxy_header(edge, raw):
    """The header and the handshake in one piece, and in many."""
    for step in (1, 10, 10_000):
        client = RtmpClient(edge.port)
        raw.keep(client)
        data = proxy_line("203.0.113.7", 4000 + step)
        for at in range(0, len(data), step):
            client.send_raw(data[at:at + step])
        client.handshake()
        client.connect()
        assert lines_with(edge, "conn.open", "by=rtmp", f"peer=203.0.113.7:{4000 + step}")


def refused(server, data, source="127.0.0.1"):
    with socket.create_connection(("127.0.0.1", server.port), 10, (source, 0)) as wire:
        wire.sendall(data)
        try:
            return wire.recv(100) == b""
        except ConnectionResetError:
            return True


def test_strangers_may_not_speak_for_others(edge):
    assert refused(edge, proxy_line("203.0.113.7"), CLIENT)
    line = wait_until(lambda: lines_with(edge, "conn.close", f"peer={CLIENT}"), 5, "a line about it")[0]
    assert "trusted_proxies" in line
    connection = from_client(edge.port)
    begin_session(connection, **{"X-Forwarded-For": "203.0.113.66"})
    assert lines_with(edge, "conn.open", "by=rtmpt", f"peer={CLIENT}:")
    assert "203.0.113" not in edge.log()


SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MALFORMED = {
    "64_kb": SIGNATURE + b"\x21\x11\xff\xff" + bytes(70_000),
    "no_crlf": b"PROXY TCP4 " + b"1" * 200,
    "two": proxy_line("203.0.113.7") * 2,
    "one_of_each": proxy_line("203.0.113.7") + SIGNATURE + b"\x20\0\0\0",
    "version_3": SIGNATURE + b"\x31\x11" + struct.pack(">H", 0),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_headers_end_the_connection(edge, data):
    assert refused(edge, data)
    assert post(HTTPConnection("127.0.0.1", edge.port, timeout=10), "/open/1")[0] == 200


def test_caps_count_clients_and_not_the_proxy(start_server, start_proxy):
    server = start_server(config={**TRUSTING, "limits": {"connections_per_address_max": 2}})
    port = start_proxy("nginx", server).port
    one = [HTTPConnection("127.0.0.1", port, timeout=10, source_address=("127.0.0.6", 0)) for _ in range(3)]
    begin_session(one[0])
    begin_session(one[1])
    session = post(one[2], "/open/1")[1].strip().decode()
    assert post(one[2], f"/idle/{session}/0")[0] == 404
    begin_session(from_client(port))


# ---- bodies that stay open ----------------------------------------------------------------------

HELD_MS = 600  # so long after its first byte a body ends


@pytest.mark.parametrize("kind, flows", [("squid", True), ("privoxy", False), ("nginx", True), ("haproxy", True)])
def test_how_early_a_body_was_there_is_told(edge, start_proxy, kind, flows):
    """By that our own publisher knows which proxies pass on the pieces of its sends."""
    proxy = start_proxy(kind, edge)
    begin = "" if kind in REVERSE else f"http://127.0.0.1:{edge.port}"
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    session = post(connection, f"{begin}/open/1")[1].strip().decode()
    assert post(connection, f"{begin}/idle/{session}/0") == (200, b"\1")

    def pieces():
        yield b"\3"  # C0
        assert not select.select([connection.sock], [], [], HELD_MS / 1000)[0]  # no answer before its end
        yield b"\0"
    connection.request("POST", f"{begin}/send/{session}/1", pieces(), encode_chunked=True, headers={
        "Content-Type": "application/x-fcs", "Culvert": "1; stream", "Transfer-Encoding": "chunked"})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read()[:1] == b"\1"
    early_ms = int(answer.headers["Culvert"].removeprefix("1; early="))
    # The mean of a byte at the beginning and one at the end.
    assert (early_ms >= HELD_MS / 4) == flows
    assert early_ms <= HELD_MS
