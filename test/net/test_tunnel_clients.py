"""RTMPT as other people's clients spell it, and as it comes when things go wrong."""
import socket
import struct

import pytest

from rtmp_raw import Closed, RtmpClient
from rtmpt_raw import Http, Tunnel, c0c1, flight, numbers, request, video
from server import app, wait_until

ANSWER = 1 + 2 * 1536


def watch(server, raw, name="a"):
    viewer = raw(server)
    viewer.play(name)
    viewer.create_stream()
    return viewer


def reset(sock):
    """Ends the connection at once, with what was not read."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class RootEncoder(Tunnel):
    """Android's: a connection for each request, empty bodies, and a reader that loses what is cut."""

    def __init__(self, port, length):
        RtmpClient.__init__(self, port)
        self.sock.close()
        self.length = length
        self.number, self._waiting, self.answers = 0, b"", []
        assert self.ask("/fcs/ident2", b"\0").status == 404
        self.session = self.ask("/open/1", b"").body.decode().strip()
        assert self.post("idle", b"") == b""

    def ask(self, path, body):
        with Http(self.port) as http:
            data = request(path, body)
            if not body and not self.length:
                data = data.replace(b"Content-Length: 0\r\n", b"")
            http.send(data)
            return http.answer()

    def post(self, verb, body):
        answer = self.ask(self.next_path(verb), body if body != b"\0" else b"")
        assert answer.status == 200 and answer.body[0] == 1
        return answer.body[1:]

    def whole_messages(self):
        """What has come ends with a message."""
        while True:
            try:
                msg = self._chunk()
            except IndexError:
                break
            if msg:
                self._control(msg)
                self.inbox.append(msg)
        assert self._pos == len(self._buf)

    def call(self, data):
        """A command, and the busy polling for its answer."""
        had = len(self.inbox)
        self.send_raw(data)
        self.flush()
        self.whole_messages()
        for _ in range(100):
            if len(self.inbox) > had:
                return
            self._buf += self.post("idle", b"")
            self.whole_messages()
        raise AssertionError("no answer")


@pytest.mark.parametrize("length", [True, False])
def test_rootencoder_publishes(server, raw, length):
    viewer = watch(server, raw)
    phone = RootEncoder(server.port, length)
    phone.send_raw(c0c1())
    phone.flush()
    assert len(phone._buf) == ANSWER  # S0 S1 S2 in one reply
    phone._buf.clear()
    phone.call(flight()[:1536 + 16] + flight()[1536 + 16:])
    phone.expect_status("NetStream.Publish.Start")
    for at in range(0, 110, 11):
        phone.send_raw(video(at, 11))
        phone.flush()
        phone.whole_messages()
    assert numbers(viewer.media() for _ in range(110)) == list(range(110))
    assert phone.ask(f"/close/{phone.session}", b"").body == b"\0"
    viewer.expect_status("NetStream.Play.UnpublishNotify")


def test_other_spellings(server):
    """HaishinKit's /idel and a close without a number; Shumway's /close/2; Red5's first number."""
    with Http(server.port) as http:
        session = http.open()
        assert http.ask(f"/idel/{session}/0", b"").body == b"\1"
        assert http.ask(f"/close/{session}", b"").body == b"\0"
        assert http.ask("/close/2", b"\0").body == b"\0"
        session = http.open()
        assert http.ask(f"/send/{session}/1", c0c1()).body[:2] == b"\1\3"
        assert http.ask(f"/idle/{session}/2").body == b"\1"


# ---- clients that do not read

@pytest.mark.threads
@pytest.mark.parametrize("end", ["close", "vanish"])
def test_bug_32_publisher_that_never_reads(server, raw, end):
    """gst rtmpsink: one POST per tag, and no reply is ever read; then the connection is reset.

    What it has sent before that still counts, /close at its end too.
    """
    viewer = watch(server, raw)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(20)
    sock.connect(("127.0.0.1", server.port))
    with Http(server.port) as http:
        session = http.open()
    count = 30000
    before = server.rss_bytes()
    sock.sendall(request(f"/send/{session}/0", c0c1()) + request(f"/send/{session}/1", flight()))
    for at in range(0, count, 100):
        sock.sendall(b"".join(request(f"/send/{session}/{2 + n}", video(n, 1)) for n in range(at, at + 100)))
    assert numbers(viewer.media() for _ in range(count)) == list(range(count))
    assert server.rss_bytes() - before < (200 if server.sanitized() else 48) << 20
    if end == "close":
        sock.sendall(request(f"/close/{session}/{2 + count}"))
    reset(sock)
    if end == "close":  # else it may come again within 20 s
        viewer.expect_status("NetStream.Play.UnpublishNotify", timeout_s=8)


# ---- the same request again, or half of it

def publish_on(http, first=1):
    session = http.open()
    assert http.ask(f"/send/{session}/{first - 1}", c0c1()).status == 200
    assert http.ask(f"/send/{session}/{first}", flight(frames=1)).status == 200
    return session


@pytest.mark.threads
def test_bug_12_replay_on_another_connection(server, raw):
    """Proxies repeat a request whose connection went: the same answer, and nothing twice."""
    viewer = watch(server, raw)
    with Http(server.port) as first, Http(server.port) as second:
        session = publish_on(first)
        answer = first.ask(f"/send/{session}/2", video(1, 3))
        again = second.ask(f"/send/{session}/2", video(1, 3))
        assert again == answer
        assert second.ask(f"/send/{session}/3", video(4, 3)).status == 200
        assert numbers(viewer.media() for _ in range(7)) == list(range(7))
        # an older one, or another under the same number, is no repetition
        assert first.ask(f"/send/{session}/3", video(4, 2)).status == 404
        assert second.ask(f"/send/{session}/4", video(7, 1)).status == 404
        viewer.expect_status("NetStream.Play.UnpublishNotify")


@pytest.mark.threads
@pytest.mark.parametrize("how", ["close", "reset"])
def test_bug_30_body_cut_in_the_middle(server, raw, how):
    """The connection goes within a body; the request comes again on another one, whole."""
    viewer = watch(server, raw)
    data = request("/x", video(1, 8)).partition(b"\r\n\r\n")[2]
    for cut in (0, 1, 100, len(data) - 1):
        name = f"c{cut}"
        viewer = watch(server, raw, name)
        with Http(server.port) as http:
            session = http.open()
            assert http.ask(f"/send/{session}/0", c0c1()).status == 200
            assert http.ask(f"/send/{session}/1", flight(name, frames=1)).status == 200
        half = Http(server.port)
        half.send(request(f"/send/{session}/2", data[:cut], length=len(data)))
        if cut > 300:
            assert numbers([viewer.media()]) == [0]
        if how == "reset":
            reset(half.sock)
        half.close()
        with Http(server.port) as http:
            assert http.ask(f"/send/{session}/2", data).status == 200
            assert numbers(viewer.media() for _ in range(9 if cut <= 300 else 8))[-1] == 8
            assert http.ask(f"/close/{session}/3").status == 200


# ---- floods

def test_bug_11_sessions_are_counted_per_address(start_server):
    server = start_server(config={"limits": {"connections_per_address_max": 4}, "apps": [app()]})
    with Http(server.port) as http:
        sessions = [http.open() for _ in range(50)]  # ids are free
        assert [http.ask(f"/idle/{one}/0").status for one in sessions[:5]] == [200, 200, 200, 404, 404]
        for one in sessions[:3]:
            assert http.ask(f"/close/{one}/1").status == 200
        fresh = [http.open() for _ in range(3)]
        wait_until(lambda: http.ask(f"/idle/{http.open()}/0").status == 200, 5, "room again")
        assert fresh[0] != fresh[1]


def test_bug_11_old_ids_cannot_begin_again(server):
    with Http(server.port) as http:
        session = http.open()
        assert http.ask(f"/idle/{session}/0").status == 200
        assert http.ask(f"/close/{session}/1").status == 200
        assert http.ask(f"/idle/{session}/0").status == 404


def test_bug_30_slow_body_is_closed(start_server):
    server = start_server(config={"limits": {"idle_s": 5}, "apps": [app()]})
    with Http(server.port) as http:
        session = http.open()
        assert http.ask(f"/send/{session}/0", c0c1()).status == 200
        http.send(request(f"/send/{session}/1", b"abc", length=100000))
        assert http.is_closed()
    wait_until(lambda: "the request is not completed" in server.log(), 5, "a line about it")


def test_bug_30_hundred_megabytes_of_head(server):
    before = server.rss_bytes()
    with Http(server.port) as http:
        http.send(b"POST /open/1 HTTP/1.1\r\nHost: x\r\n")
        line = b"X-Line: " + b"a" * 1000 + b"\r\n"
        try:
            for _ in range(100):
                http.send(line * 1000)
        except OSError:
            pass
        assert server.rss_bytes() - before < (64 if server.sanitized() else 4) << 20
    with Http(server.port) as http:
        http.send(b"POST /open/1 HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 101 + b"\r\n")
        assert http.head()[0] == 431


@pytest.mark.parametrize("body", [b"\xff" * 5000, b"\3" + bytes(3072) + b"\xff" * 5000])
def test_bug_30_nonsense_ends_the_session_only(server, body):
    with Http(server.port) as http:
        session = http.open()
        first = http.ask(f"/send/{session}/0", body).status
        assert first == 404 or http.ask(f"/idle/{session}/1").status == 404
        assert http.ask("/open/1").status == 200


@pytest.mark.threads
def test_bug_30_connections_that_go_in_mid_request(server):
    """At every byte of a conversation, and the server serves on."""
    with Http(server.port) as http:
        session = http.open()
    data = (request("/open/1") + request(f"/idle/{session}/0") + request(f"/send/{session}/1", b"x" * 50)
            + request("/", method="GET", body=b""))
    for cut in range(1, len(data), 7):
        with Http(server.port) as http:
            http.send(data[:cut])
            if cut % 2:
                reset(http.sock)
    with Http(server.port) as http:
        assert http.ask("/open/1").status == 200


def test_too_many_connections_for_one_session(server):
    """Replies that are owed to more connections than a session may have: it ends, the server does not."""
    with Http(server.port) as http:
        session = http.open()
        assert http.ask(f"/idle/{session}/0").status == 200
    connections = [Http(server.port) for _ in range(40)]
    for number, http in enumerate(connections):
        http.send(request(f"/send/{session}/{number + 2}", b"x"))
    ends = []
    for http in connections:
        try:
            ends.append(http.answer().status)
        except Closed:
            ends.append(0)
        http.close()
    assert set(ends) <= {404, 0}
    with Http(server.port) as http:
        assert http.ask("/open/1").status == 200
