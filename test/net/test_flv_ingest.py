"""FLV over HTTP, the way in: POST and PUT of /{app}/{stream}.flv."""
from http.client import HTTPConnection
import random
import socket
import struct
import time

import pytest

import flv
import server as server_module
import synth
from clients import Playing
from rtmp_raw import AUDIO, DATA, VIDEO, Refused, amf_encode
from server import wait_until
from synth import Publisher, check_run, collect

HEADER = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"


def tag(kind, stamp, data):
    head = bytes([kind]) + len(data).to_bytes(3, "big") + (stamp & 0xFFFFFF).to_bytes(3, "big")
    return head + bytes([stamp >> 24 & 255]) + b"\0\0\0" + data + struct.pack(">I", 11 + len(data))


def start(first_ms=0):
    """The beginning of a file of synthetic media."""
    return (HEADER + tag(DATA, 0, amf_encode("onMetaData", synth.METADATA)) +
            tag(AUDIO, first_ms, synth.AAC_HEADER) + tag(VIDEO, first_ms, synth.AVC_HEADER))


def pictures(first, count, size=400):
    return b"".join(tag(VIDEO, n * 40, synth.picture(n, n % 25 == 0, size)) + tag(AUDIO, n * 40, synth.sound(n))
                    for n in range(first, first + count))


class Post:
    """A request whose body is sent in chunks, whenever the test likes."""

    def __init__(self, server, path="/live/a.flv", fields="", method="POST"):
        self.wire = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{fields}\r\n".encode())

    def send(self, data):
        self.wire.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end(self):
        self.wire.sendall(b"0\r\n\r\n")
        return self.answer()

    def answer(self):
        """(status, text) of the answer."""
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self.wire.recv(4096)
            assert piece, f"closed after {got}"
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        assert b"\r\nAccess-Control-Allow-Origin: *" in head  # the preflight promises it
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self.wire.recv(4096)
        return int(head.split()[1]), body.decode()

    def closed(self):
        """Waits until the server has closed."""
        try:
            while self.wire.recv(4096):
                pass
        except ConnectionResetError:
            pass

    def close(self):
        self.wire.close()


@pytest.fixture
def post(time_limit, start_server):
    opened = []

    def begin(*args, **kwargs):
        opened.append(Post(*args, **kwargs))
        return opened[-1]
    yield begin
    for one in opened:
        one.close()


def upload(server, body, path="/live/a.flv", method="POST", fields=None):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, body, fields or {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def waiting_viewer(server, raw, name="a"):
    viewer = raw(server)
    viewer.play(name)
    viewer.create_stream()  # play has been seen
    return viewer


def check_against_file(viewer, source):
    """Every audio and video tag came, unchanged, with its time."""
    wanted = [one for one in flv.read_tags(source) if one.type in (AUDIO, VIDEO)]
    got = [viewer.media() for _ in wanted]
    assert [(msg.type, msg.timestamp, msg.payload) for msg in got] == \
        [(one.type, one.timestamp, one.data) for one in wanted]
    assert any(msg.type == DATA and msg.payload.startswith(amf_encode("onMetaData")) for msg in viewer.inbox)


def as_it_is_seen(viewer, source):
    """The file as a body; its last bytes are sent when the viewer has everything else."""
    data = source.read_bytes()
    yield data[:-4]
    check_against_file(viewer, source)
    yield data[-4:]


def with_length(source):
    return {"Content-Length": str(source.stat().st_size)}


# ---- what arrives

@pytest.mark.threads
@pytest.mark.parametrize("expect", ["0", "1"])
def test_ffmpeg_posts_a_stream(server, clients, clip, tmp_path, expect):
    playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
    url = server.url("live/a.flv").replace("rtmp://", "http://")
    clients.ffmpeg_publish(url, clip("h264_aac_bframes"),
                           after=["-method", "POST", "-send_expect_100", expect]).wait(30)
    playing.finish(clip("h264_aac_bframes"))
    assert "by=http" in server.log()


@pytest.mark.threads
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_file_with_its_length(server, clip, raw, method):
    viewer, source = waiting_viewer(server, raw), clip("h264_aac")
    status, text, _ = upload(server, as_it_is_seen(viewer, source), method=method, fields=with_length(source))
    tags = [one for one in flv.read_tags(source) if one.type in (AUDIO, VIDEO, DATA)]
    assert status == 200 and f"{len(tags)} messages, {sum(len(one.data) for one in tags)} bytes" in text
    viewer.expect_status("NetStream.Play.UnpublishNotify")


def test_chunks_of_any_size(server, clip, raw, post):
    """One byte each at first, so that the file's head and tags' heads are cut everywhere."""
    viewer = waiting_viewer(server, raw)
    data = clip("h264_aac").read_bytes()
    sizes = random.Random(1)
    one = post(server)
    at = 0
    while at < len(data):
        size = 1 if at < 1500 else sizes.randint(1, 900)
        one.send(data[at:at + size])
        at += size
    check_against_file(viewer, clip("h264_aac"))
    assert one.end()[0] == 200


def test_two_files_on_one_connection(server, clip, raw):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    source = clip("h264_mp3")
    for name in ("a", "b"):
        viewer = waiting_viewer(server, raw, name)
        connection.request("PUT", f"/live/{name}.flv", as_it_is_seen(viewer, source), with_length(source))
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read() and not answer.will_close


def test_names_are_those_of_rtmp(server, raw, post):
    """Encoded, nested, with a foreign query: the same stream as rtmp://.../live/a b/c."""
    viewer = waiting_viewer(server, raw, "a b/c")
    one = post(server, "/live/a%20b/c.flv?user=1")
    one.send(start() + pictures(0, 5))
    check_run(collect(viewer, 4), first=0)
    assert one.end()[0] == 200


@pytest.mark.threads
@pytest.mark.limit_s(120)
def test_as_fast_as_it_goes(start_server, raw, post):
    """Much more than may wait: the body is not read while the stream's home is behind."""
    server = start_server("--threads", "4")
    assert upload(server, start() + pictures(0, 3))[0] == 200
    viewer = waiting_viewer(server, raw)
    before = server.rss_bytes()
    one = post(server)
    one.send(start())
    many = b"".join(tag(AUDIO, 0, synth.sound(n, 0)) for n in range(4000))
    large = pictures(0, 25, size=200_000)
    for _ in range(20):
        one.send(large)
        one.send(many)
    limit = 400 if server.sanitized() else 150
    assert server.rss_bytes() - before < limit << 20
    status, text = one.end()
    assert status == 200 and f"{3 + 20 * (50 + 4000)} messages" in text
    viewer.expect_status("NetStream.Play.UnpublishNotify", timeout_s=30)


# ---- who may

@pytest.fixture
def guarded(start_server):
    return start_server(open_publish=False, config={"apps": [server_module.app(publish="key")]})


def test_the_key_opens_and_is_never_shown(guarded, raw, post):
    key = guarded.publish_key()
    viewer = waiting_viewer(guarded, raw)
    one = post(guarded, f"/live/a.flv?x=1&key={key}")
    one.send(start() + pictures(0, 5))
    got = collect(viewer, 4)
    assert one.end()[0] == 200
    assert key not in guarded.log()
    assert not any(key.encode() in msg.payload for msg in got + list(viewer.inbox))


@pytest.mark.parametrize("query", ["", "?key=", "?key=wrong-secret", "?other=1"])
def test_bug_33_missing_or_wrong_key(guarded, query):
    guarded.publish_key()
    status, text, _ = upload(guarded, start() + pictures(0, 5), "/live/a.flv" + query)
    assert status == 403 and "key" in text
    assert "wrong-secret" not in guarded.log() and "publish.refused" in guarded.log()


def test_wrong_key_gets_no_continue(guarded, post):
    guarded.publish_key()
    one = post(guarded, "/live/a.flv?key=no", "Expect: 100-continue\r\n")
    assert one.answer()[0] == 403
    one.closed()


def test_right_key_gets_continue(guarded, post):
    one = post(guarded, f"/live/a.flv?key={guarded.publish_key()}", "Expect: 100-continue\r\n")
    assert one.wire.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    one.send(start() + pictures(0, 3))
    assert one.end()[0] == 200


def test_publish_off(start_server):
    server = start_server(open_publish=False, config={"apps": [server_module.app(publish="off")]})
    assert upload(server, start())[0] == 403


def test_busy(server, raw, post):
    pub = Publisher(server.port, client=raw(server, source="127.0.0.2"))
    one = post(server)
    one.send(start() + pictures(0, 3))
    status, text = one.answer()
    assert status == 409 and "already" in text
    one.closed()
    pub.sync()


def test_rtmp_is_refused_while_somebody_posts(server, raw, post):
    viewer = waiting_viewer(server, raw)
    one = post(server)
    one.send(start() + pictures(0, 3))
    collect(viewer, 2)
    with pytest.raises(Refused):
        Publisher(server.port, client=raw(server, source="127.0.0.2"))
    one.send(pictures(3, 3))
    collect(viewer, 5)


def test_too_many_streams(start_server, post):
    server = start_server(config={"apps": [server_module.app(streams_max=1)]})
    one = post(server, "/live/a.flv")
    one.send(start() + pictures(0, 2))
    wait_until(lambda: "publish.start" in server.log(), 5, "the first stream")
    assert upload(server, start(), "/live/b.flv")[0] == 503
    one.send(pictures(2, 2))
    assert one.end()[0] == 200
    assert upload(server, start(), "/live/b.flv")[0] == 200  # the place is free again


@pytest.mark.parametrize("path", ["/nosuch/a.flv", "/live/.flv", "/.flv", "/live/a.mp4", "/live.flv"])
def test_not_ours(server, path):
    assert upload(server, b"12345", path)[0] == 404


# ---- what is no FLV, and what is cut

@pytest.mark.parametrize("body", [b"GARBAGE" * 10, b"", b"FLV", b"FLV\x02" + bytes(30), HEADER[:5] + b"\xff" * 40])
def test_no_flv(server, body):
    status, text, _ = upload(server, body)
    assert status == 400 and text.strip()
    assert "publish.start" not in server.log()


def test_garbage_does_not_disturb_a_stream_in_its_grace_time(start_server, raw, post):
    server = start_server(config={"apps": [server_module.app(grace_s=15)]})
    viewer = waiting_viewer(server, raw)
    one = post(server)
    one.send(start() + pictures(0, 5))
    collect(viewer, 4)
    one.close()
    wait_until(lambda: "publish.end" in server.log(), 5, "its end")
    assert upload(server, b"GARBAGE" * 10)[0] == 400
    again = post(server)
    again.send(start() + pictures(25, 5))
    collect(viewer, 29)


def test_encrypted_and_unknown_tags(server, raw, post):
    viewer = waiting_viewer(server, raw)
    one = post(server)
    one.send(start() + tag(3, 0, b"what is it") + tag(15, 0, b"\0\2\0\1x") + pictures(0, 2))
    collect(viewer, 1)
    one.send(tag(VIDEO | 0x20, 80, b"secret"))
    status, text = one.answer()
    assert status == 400 and "encrypted" in text
    one.closed()


def test_end_inside_a_tag(server, raw, post):
    viewer = waiting_viewer(server, raw)
    one = post(server)
    one.send((start() + pictures(0, 6))[:-30])
    collect(viewer, 4)
    status, text = one.end()
    assert status == 400 and "inside a tag" in text
    viewer.expect_status("NetStream.Play.UnpublishNotify")


@pytest.mark.threads
@pytest.mark.parametrize("how", ["close", "reset"])
def test_cut_and_return(start_server, raw, post, how):
    """Without a word in the middle of a tag: the stream waits, and the viewer goes on."""
    server = start_server(config={"apps": [server_module.app(grace_s=15)]})
    viewer = waiting_viewer(server, raw)
    one = post(server)
    one.send((start() + pictures(0, 11))[:-120])
    collect(viewer, 9)
    if how == "reset":
        one.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
    again = post(server)
    again.send(start() + pictures(0, 30))
    check_run(collect(viewer, 29), first=0)
    assert again.end()[0] == 200
    viewer.expect_status("NetStream.Play.UnpublishNotify")


def test_idle_publisher(start_server, raw, post):
    server = start_server(config={"apps": [server_module.app(grace_s=15)], "limits": {"idle_s": 5}})
    viewer = waiting_viewer(server, raw)
    one = post(server)
    one.send(start() + pictures(0, 3))
    collect(viewer, 2)
    one.closed()
    assert "the request is not completed" in server.log()
    again = post(server)
    again.send(start() + pictures(25, 5))
    collect(viewer, 29)


def test_slow_body(start_server, raw, post):
    """Slower than idle_s as a whole, but never silent for so long."""
    server = start_server(config={"apps": [server_module.app()], "limits": {"idle_s": 5}})
    viewer = waiting_viewer(server, raw)
    data = start() + pictures(0, 1, 40)
    one = post(server)
    began = time.monotonic()
    for at in range(0, len(data), len(data) // 10):
        one.send(data[at:at + len(data) // 10])
        viewer.drain(0.6)
    assert time.monotonic() - began > 5
    one.send(pictures(1, 1))
    collect(viewer, 1)
    assert one.end()[0] == 200


# ---- ghosts

@pytest.mark.threads
def test_a_silent_post_gives_way(guarded, raw, post):
    path = f"/live/a.flv?key={guarded.publish_key()}"
    viewer = waiting_viewer(guarded, raw)
    ghost = post(guarded, path)
    ghost.send(start() + pictures(0, 10))
    collect(viewer, 9)
    asked = time.monotonic()
    again = post(guarded, path)
    again.send(start() + pictures(0, 30))
    check_run(collect(viewer, 29), first=0)
    assert time.monotonic() - asked < 3
    status, text = ghost.answer()
    assert status == 409 and "taken over" in text
    ghost.closed()
    assert again.end()[0] == 200


def test_rtmp_follows_a_silent_post(guarded, raw, post):
    key = guarded.publish_key()
    viewer = waiting_viewer(guarded, raw)
    ghost = post(guarded, f"/live/a.flv?key={key}")
    ghost.send(start() + pictures(0, 10))
    collect(viewer, 9)
    pub = Publisher(guarded.port, name=f"a?key={key}")
    raw.keep(pub.client)
    check_run(collect(viewer, pub.send(10)), first=0)


def test_sigterm_while_somebody_posts(server, raw, post):
    viewer = waiting_viewer(server, raw)
    one = post(server)
    one.send(start() + pictures(0, 3))
    collect(viewer, 2)
    server.stop()
