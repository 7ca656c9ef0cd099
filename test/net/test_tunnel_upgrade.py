"""POST /open/1 of clients that can do more: RTMP on the same connection, a handshake in the same flight."""
import time

import pytest

from rtmp_raw import HANDSHAKE_BYTES, Closed, RtmpClient, TimedOut
from rtmpt_raw import FCS, OFFER, Http, Tunnel, Upgraded, c0c1, flight, numbers, offer, request, video
from server import app, wait_until

ANSWER = 1 + 2 * HANDSHAKE_BYTES


def test_offer_is_taken_with_the_handshake_in_one_piece(server):
    with Http(server.port) as http:
        http.send(offer(c0c1()))
        http.fill()
        head, _, rest = http.buf.partition(b"\r\n\r\n")
        assert head.split(b"\r\n") == [b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: rtmp",
                                       b"Culvert: 1"]
        assert len(rest) == ANSWER and rest[0] == 3


@pytest.mark.parametrize("first", [None, b"\0", b""])
def test_media_over_an_upgraded_connection(server, raw, first):
    viewer = raw(server)
    viewer.play("a")
    viewer.create_stream()
    publisher = Upgraded(server.port, first)
    raw.keep(publisher)
    publisher.connect()
    msid = publisher.publish("a")
    publisher.set_chunk_size(1 << 20)
    assert msid == 1
    publisher.send_raw(video(0, 50))
    assert numbers(viewer.media() for _ in range(50)) == list(range(50))
    publisher.close()
    viewer.expect_status("NetStream.Play.UnpublishNotify")


@pytest.mark.parametrize("cut", [1, 2, 700, HANDSHAKE_BYTES + 1, HANDSHAKE_BYTES + 400])
@pytest.mark.parametrize("piece", [None, 1000, 1])
def test_everything_in_one_flight_cut_anywhere(server, raw, cut, piece):
    """C0 C1 C2 and everything up to media, in the body and behind it."""
    viewer = raw(server)
    viewer.play("a")
    viewer.create_stream()
    data = c0c1() + flight(frames=20)
    data = offer(data[:cut]) + data[cut:]
    with Http(server.port) as http:
        for at in range(0, len(data), piece or len(data)):
            http.send(data[at:at + (piece or len(data))])
        assert http.head()[0] == 101
        assert http.exactly(ANSWER)[0] == 3
        assert numbers(viewer.media() for _ in range(20)) == list(range(20))


def test_chunked_body(server):
    with Http(server.port) as http:
        head = offer(b"", headers={"Content-Length": None, "Transfer-Encoding": "chunked"})
        body = c0c1()
        http.send(head + b"100\r\n" + body[:256] + b"\r\n501\r\n" + body[256:] + b"\r\n0\r\n\r\n")
        assert http.head()[0] == 101
        assert len(http.exactly(ANSWER)) == ANSWER


@pytest.mark.parametrize("how", [
    {"version": "1.0"},
    {"headers": {"Connection": "keep-alive"}},
    {"headers": {"Upgrade": "websocket"}},
    {"headers": {"Upgrade": None}},
    {"body": b"GET / HTTP/1.1\r\n\r\n"},
    {"body": b"\6" + bytes(1536)},
])
def test_ordinary_session_for_all_others(server, how):
    body = how.pop("body", c0c1())
    with Http(server.port) as http:
        http.send(offer(body, **how))
        answer = http.answer()
        assert answer.status == 200 and len(answer.body) == 32 and answer.body.endswith(b"\n")
        assert "Upgrade" not in answer.headers and "Culvert" not in answer.headers


def test_body_of_open_has_a_limit(server):
    with Http(server.port) as http:
        http.send(offer(b"\3", length=65537))
        assert http.head()[0] == 413
    with Http(server.port) as http:
        http.send(offer(c0c1() + bytes(65536 - 1537)))
        assert http.head()[0] == 101


def test_offer_behind_other_requests(server):
    with Http(server.port) as http:
        session = http.open()
        http.send(request(f"/idle/{session}/0") + request("/nothing", method="GET", body=b"") + offer(c0c1()))
        assert http.answer().body == b"\1"
        assert http.answer().status == 404
        assert http.head()[0] == 101
        assert http.exactly(ANSWER)[0] == 3


def test_bug_30_upgraded_connection_must_shake_hands_in_time(start_server):
    server = start_server(config={"limits": {"handshake_s": 1}, "apps": [app()]})
    with Http(server.port) as old, Http(server.port) as slow:
        old.open()
        slow.send(b"POST /open/1 HT")
        assert slow.is_closed()  # more than the time for a handshake is over
        # that time begins with the upgrade, not with the connection
        client = Upgraded(server.port, http=old)
        client.connect()
        msid = client.publish("a")
        assert msid == 1
    with Http(server.port) as http:
        http.send(offer())
        assert http.head()[0] == 101
        assert http.is_closed()
    wait_until(lambda: "place=handshake" in server.log(), 5, "a line about it")


def test_bug_30_unfinished_offers_are_closed(start_server):
    server = start_server(config={"limits": {"idle_s": 5}})
    with Http(server.port) as http:
        http.send(offer(c0c1()[:100], length=1537))
        assert http.is_closed()


def test_client_of_ours_whose_upgrade_was_taken_away(server):
    with Http(server.port) as http:
        answer = http.ask("/open/1", c0c1(), {**FCS, "Culvert": "1"})
        assert answer.status == 200 and answer.headers["Culvert"] == "1" and len(answer.body) == 32
        assert "Culvert" not in http.ask("/open/1", c0c1()).headers
        assert "Culvert" not in http.ask("/open/1", c0c1(), {**FCS, "Culvert": "2; handshake"}).headers


@pytest.mark.parametrize("first", [c0c1(), c0c1() + bytes(1536), c0c1() + flight()])
def test_handshake_with_the_open(server, raw, first):
    """A round trip less: the session has begun when its id comes."""
    viewer = raw(server)
    viewer.play("a")
    viewer.create_stream()
    with Http(server.port) as http:
        answer = http.ask("/open/1", first, {**FCS, "Culvert": "1; handshake"})
        assert answer.status == 200 and answer.headers["Culvert"] == "1"
        assert answer.body[31:33] == b"\n\3" and len(answer.body) >= 32 + ANSWER
        session = answer.body[:31].decode()
        rest = (c0c1() + flight(frames=10))[len(first):] if len(first) < 3100 else video(0, 10)
        assert http.ask(f"/send/{session}/0", rest).status == 200
        assert numbers(viewer.media() for _ in range(10)) == list(range(10))
        assert http.ask(f"/close/{session}/1").status == 200
    viewer.expect_status("NetStream.Play.UnpublishNotify")


class Eager(RtmpClient):
    """Everything up to publish or play travels with the offer. What came of it is `way`: 101 or 200."""

    def __init__(self, port, upgrade, **wanted):
        super().__init__(port)
        self.sock.close()  # of the base class
        self.http = Http(port)
        headers = {"Culvert": "1; handshake", **(OFFER if upgrade else FCS)}
        self.http.send(request("/open/1", c0c1() + flight(**wanted), headers))
        self.way, headers, _ = self.http.head()
        self.number = 0
        if self.way == 101:
            self.sock, self._buf = self.http.sock, bytearray(self.http.buf)
        else:
            body = self.http.exactly(int(headers["Content-Length"]))
            self.session, self._buf = body[:31].decode(), bytearray(body[32:])
        assert self._exactly(ANSWER, time.monotonic() + 5)[0] == 3

    def close(self):
        self.http.close()

    def _read(self, deadline):
        if self.way == 101:
            return super()._read(deadline)
        while time.monotonic() < deadline:
            answer = self.http.ask(f"/idle/{self.session}/{self.number}")
            self.number += 1
            if answer.status != 200:
                raise Closed(f"idle: {answer}")
            if answer.body[1:]:
                return answer.body[1:]
        raise TimedOut("only empty replies came")


@pytest.mark.threads
@pytest.mark.parametrize("upgrade, way", [(True, 101), (False, 200)])
def test_first_flight_up_to_play(server, raw, upgrade, way):
    """The stream is there, or comes later: two round trips are saved each time."""
    publisher = Upgraded(server.port)
    raw.keep(publisher)
    publisher.connect()
    publisher.publish("a")
    publisher.set_chunk_size(1 << 20)
    publisher.send_raw(video(0, 20))
    publisher.create_stream()
    there, waiting = (Eager(server.port, upgrade, name=name, play=True) for name in "ab")
    raw.keep(there)
    raw.keep(waiting)
    assert there.way == waiting.way == way
    assert there.expect_reply(1)[0] == "_result" and there.expect_reply(2)[1][-1] == 1
    there.expect_status("NetStream.Play.Start", msid=1)
    assert numbers(there.media() for _ in range(20)) == list(range(20))
    assert waiting.expect_reply(2)[1][-1] == 1
    other = Upgraded(server.port)
    raw.keep(other)
    other.connect()
    other.publish("b")
    other.set_chunk_size(1 << 20)
    other.send_raw(video(0, 5))
    waiting.expect_status("NetStream.Play.Start", msid=1)
    assert numbers(waiting.media() for _ in range(5)) == list(range(5))


@pytest.mark.threads
@pytest.mark.parametrize("upgrade, way", [(True, 101), (False, 200)])
def test_first_flight_up_to_publish(server, raw, upgrade, way):
    viewer = raw(server)
    viewer.play("a")
    viewer.create_stream()
    publisher = Eager(server.port, upgrade, frames=20)
    raw.keep(publisher)
    assert publisher.way == way
    assert publisher.expect_reply(2)[1][-1] == 1
    publisher.expect_status("NetStream.Publish.Start", msid=1)
    assert numbers(viewer.media() for _ in range(20)) == list(range(20))


@pytest.mark.threads
@pytest.mark.parametrize("upgrade", [True, False])
@pytest.mark.parametrize("wanted, code", [
    ({"app": "nowhere"}, "NetStream.Publish.BadName"),
    ({"app": "nowhere", "play": True}, "NetStream.Play.StreamNotFound"),
    ({"name": "taken"}, "NetStream.Publish.BadName"),
])
def test_first_flight_that_is_refused(start_server, raw, upgrade, wanted, code):
    """At once, or by the stream's home: the client reads why before the end."""
    server = start_server(config={"apps": [app(takeover=False)]})
    first = raw(server, source="127.0.0.2")
    first.publish("taken")
    client = Eager(server.port, upgrade, **wanted)
    raw.keep(client)
    assert client.expect_reply(2)[1][-1] == 1
    info, _ = client.expect_status(msid=1)
    assert info["code"] == code
    with pytest.raises(Closed):
        client.drain(5)


@pytest.mark.parametrize("body", [b"\0", b"\3", b"", b"\6" + bytes(1536)])
def test_handshake_with_the_open_needs_one(server, body):
    with Http(server.port) as http:
        answer = http.ask("/open/1", body, {**FCS, "Culvert": "1; handshake"})
        assert answer.status == 200 and len(answer.body) == 32
        session = answer.body[:31].decode()
        assert http.ask(f"/idle/{session}/0").status == 200


def test_bug_11_begun_sessions_are_counted(start_server):
    server = start_server(config={"limits": {"connections_per_address_max": 3}})
    with Http(server.port) as http:
        headers = {**FCS, "Culvert": "1; handshake"}
        assert [http.ask("/open/1", c0c1(), headers).status for _ in range(3)] == [200, 200, 503]


def test_upgraded_client_that_says_nonsense(server):
    with Http(server.port) as http:
        http.send(offer(c0c1() + bytes(1536) + b"\xff" * 3000))
        try:
            while True:
                http.fill()
        except Closed:
            pass
    Tunnel(server.port).close()


def test_bug_30_upgrades_through_a_trusted_proxy_count_for_their_client(start_server):
    server = start_server(config={"limits": {"connections_per_address_max": 2}, "trusted_proxies": ["127.0.0.1"],
                                  "apps": [app()]})
    kept, seen = [], []
    for client in ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"):
        http = Http(server.port)
        http.send(offer(c0c1(), headers={"X-Forwarded-For": client}))
        seen.append(http.head()[0])
        kept.append(http)
    assert seen == [101, 101, 503, 101]
    for http in kept:
        http.close()
