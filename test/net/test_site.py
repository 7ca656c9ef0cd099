"""The site behind the server: its pages, uploads, event streams and WebSockets come through, its
mistakes stay its own, and nothing that was refused reaches it."""
import hashlib
import signal
import socket
import threading

import pytest

import server as server_module
from clients import Playing
from server import free_port, wait_until
from site_kit import Ended, Head, Nginx, Site, echo, read_chunks, reply
from web_client import HOST, UPGRADE, Client, digest, download, pieces, status, upgraded, upload

GROWTH_BYTES = 30_000_000  # the address sanitizer alone keeps 16 MB of what was freed


@pytest.fixture
def site(time_limit):
    """Factory of upstreams that do what their function says."""
    sites = []

    def start(answer=echo, **settings):
        sites.append(Site(answer, **settings))
        return sites[-1]
    yield start
    for one in sites:
        one.close()


@pytest.fixture
def proxy(start_server):
    """Factory: a server in front of this upstream."""
    def start(upstream, **limits):
        url = upstream if isinstance(upstream, str) else upstream.url
        return start_server("--log-level", "debug",
                            config={"apps": [server_module.app()], "site": url, "limits": limits})
    return start


@pytest.fixture
def nginx(tmp_path):
    one = Nginx(tmp_path / "nginx")
    yield one
    one.close()


# ---- what the site gets

def test_requests_come_with_all_but_what_is_for_one_connection(site, proxy):
    upstream = site()
    client = Client(proxy(upstream))
    _, got = client.get("/a/b?c=d", "Cookie: e=f\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
                        "Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Authorization: Basic eA==\r\n"
                        "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=x\r\n")
    head = Head(got)
    assert head.line == "GET /a/b?c=d HTTP/1.1"
    assert head.fields == {"host": HOST, "cookie": "e=f", "x-forwarded-for": "127.0.0.1",
                           "x-forwarded-proto": "http", "x-forwarded-host": HOST}
    assert len(head.list) == len(head.fields)


def test_a_trusted_proxy_tells_whose_request_it_brings(site, start_server):
    upstream = site()
    server = start_server(config={"apps": [server_module.app()], "site": upstream.url,
                                  "trusted_proxies": ["127.0.0.0/8"]})
    _, got = Client(server).get("/", "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n")
    fields = Head(got).fields
    assert fields["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"
    assert fields["x-forwarded-proto"] == "https"


def test_forms_of_a_target(site, proxy):
    server = proxy(site())
    client = Client(server)
    client.ask("GET http://other.example.org:99/x?y HTTP/1.1")
    head = Head(client.answer()[1])
    assert head.line == "GET /x?y HTTP/1.1" and head.fields["host"] == "other.example.org:99"
    client.ask("OPTIONS * HTTP/1.1")
    assert Head(client.answer()[1]).line == "OPTIONS * HTTP/1.1"


def test_an_old_client(site, proxy):
    upstream = site()
    client = Client(proxy(upstream))
    client.ask("GET /old HTTP/1.0", host="")
    head, got = client.answer()
    assert status(head) == 200 and head.fields["connection"] == "close"
    assert Head(got).fields["host"] == f"127.0.0.1:{upstream.port}"
    assert client.rest() == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_bodies_arrive(site, proxy, method):
    upstream = site()
    client = Client(proxy(upstream))
    client.ask(f"{method} / HTTP/1.1", "Content-Length: 5\r\n", b"hello")
    assert client.answer()[1] == b"hello"
    assert upstream.heads[-1].fields["content-length"] == "5"
    client.ask(f"{method} / HTTP/1.1", "Transfer-Encoding: chunked\r\n",
               b"5\r\nhello\r\n6;x\r\n world\r\n0\r\nTrailer: t\r\n\r\n")
    assert client.answer()[1] == b"hello world"
    assert upstream.heads[-1].fields["transfer-encoding"] == "chunked"


def test_paths_that_look_like_ours_reach_the_site(site, proxy):
    upstream = site()
    client = Client(proxy(upstream))
    for method, path in (("GET", "/open/hello"), ("POST", "/send/contact"), ("GET", "/open/1"),
                         ("GET", "/idle/1/2"), ("POST", "/close/"), ("POST", "/send")):
        client.ask(f"{method} {path} HTTP/1.1", "Content-Length: 0\r\n")
        head, _ = client.answer()
        assert status(head) == 200, path
        assert upstream.heads[-1].line == f"{method} {path} HTTP/1.1"


def test_one_connection_serves_many_requests(site, proxy):
    upstream = site()
    server = proxy(upstream)
    client = Client(server)
    for i in range(5):
        assert Head(client.get(f"/{i}")[1]).line == f"GET /{i} HTTP/1.1"
    Client(server).get("/other")
    assert len(upstream.wires) == 1


def test_pipelined_requests_are_answered_in_order(site, proxy):
    client = Client(proxy(site()))
    client.send(b"".join(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for i in range(20)))
    assert [Head(client.answer()[1]).line for _ in range(20)] == [f"GET /{i} HTTP/1.1" for i in range(20)]


# ---- bodies in pieces

def test_a_client_that_waits_is_told_to_go_on(site, proxy):
    upstream = site()
    client = Client(proxy(upstream))
    client.ask("PUT / HTTP/1.1", "Content-Length: 5\r\nExpect: 100-continue\r\n")
    assert client.head().line == "HTTP/1.1 100 Continue"
    client.send(b"hello")
    assert client.answer()[1] == b"hello"
    assert "expect" not in upstream.heads[-1].fields


def test_nobody_uploads_to_a_site_that_is_down(proxy):
    client = Client(proxy(f"http://127.0.0.1:{free_port()}"))
    client.ask("PUT / HTTP/1.1", "Content-Length: 5\r\nExpect: 100-continue\r\n")
    assert status(client.head()) == 502


def test_a_slow_upload_arrives_as_it_comes(site, proxy):
    arrived = threading.Event()

    def answer(wire, head):
        chunks = read_chunks(wire)
        assert next(chunks) == b"first"
        arrived.set()
        assert list(chunks) == [b"last"]
        wire.send(reply(b"done"))
    client = Client(proxy(site(answer)))
    client.ask("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n", b"5\r\nfirst\r\n")
    assert arrived.wait(10)
    client.send(b"4\r\nlast\r\n0\r\n\r\n")
    assert client.answer()[1] == b"done"


def test_an_early_answer_ends_the_upload(site, proxy):
    def answer(wire, head):
        wire.take(1000)
        wire.send(reply(b"too large", "413 Content Too Large"))
        wire.close()
        raise Ended
    client = Client(proxy(site(answer)))
    client.ask("POST / HTTP/1.1", "Content-Length: 900000000\r\n", b"x" * 100000)
    head, got = client.answer()
    assert status(head) == 413 and head.fields["connection"] == "close" and got == b"too large"


def test_both_ways_at_the_same_time(site, proxy):
    """The site answers each piece of the upload while it runs."""
    def answer(wire, head):
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in read_chunks(wire):
            wire.send(b"%x\r\n%s\r\n" % (len(chunk), chunk.upper()))
        wire.send(b"0\r\n\r\n")
    client = Client(proxy(site(answer)))
    client.ask("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n", b"3\r\none\r\n")
    assert status(client.head()) == 200
    answers = read_chunks(client)
    assert next(answers) == b"ONE"
    client.send(b"3\r\ntwo\r\n")
    assert next(answers) == b"TWO"
    client.send(b"0\r\n\r\n")
    assert not list(answers)


def test_events_arrive_one_by_one(site, proxy):
    go_on = threading.Semaphore(0)

    def answer(wire, head):
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for i in range(5):
            wire.send(b"data: %d\n\n" % i)
            assert go_on.acquire(timeout=10)
        wire.close()
        raise Ended
    client = Client(proxy(site(answer)))
    client.ask("GET /events HTTP/1.1")
    assert client.head().fields["transfer-encoding"] == "chunked"
    events = read_chunks(client)
    for i in range(5):
        assert next(events) == b"data: %d\n\n" % i
        go_on.release()
    assert not list(events)


# ---- answers

ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n4;x\r\nello\r\n0\r\nT: x\r\n\r\n",
    "until close": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "old": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "bytes": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n",
}


@pytest.mark.parametrize("minor", [1, 0])
@pytest.mark.parametrize("kind", ANSWERS)
def test_every_framing_of_an_answer(site, proxy, kind, minor):
    def answer(wire, head):
        wire.send(ANSWERS[kind])
        if b"Content-Length" not in ANSWERS[kind] and b"chunked" not in ANSWERS[kind]:
            wire.close()
            raise Ended
    client = Client(proxy(site(answer)))
    for _ in range(3 if minor else 1):
        client.ask(f"GET / HTTP/1.{minor}")
        head, got = client.answer()
        assert got == (b"x" * 5000 if kind == "bytes" else b"hello")
        assert ("transfer-encoding" in head.fields) == (minor == 1 and kind != "length")
        assert head.fields.get("connection") == (None if minor else "close")


@pytest.mark.parametrize("code, text", [("204 No Content", ""), ("304 Not Modified", "Content-Length: 7\r\n"),
                                        ("304 Not Modified", "")])
def test_answers_without_a_body(site, proxy, code, text):
    client = Client(proxy(site(lambda wire, head: wire.send(
        f"HTTP/1.1 {code}\r\n{text}ETag: e\r\n\r\n".encode()))))
    for _ in range(3):
        client.ask("GET / HTTP/1.1")
        head, _ = client.answer(no_body=True)
        assert head.line == f"HTTP/1.1 {code}" and head.fields["etag"] == "e"
        assert head.fields.get("content-length") == ("7" if text else None)


def test_heads_only(site, proxy):
    client = Client(proxy(site(lambda wire, head: wire.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"))))
    for _ in range(3):
        head, _ = client.get(method="HEAD")
        assert head.fields["content-length"] == "900000"


def test_early_hints_go_on_to_who_can_read_them(site, proxy):
    server = proxy(site(lambda wire, head: wire.send(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply(b"hello"))))
    client = Client(server)
    client.ask("GET / HTTP/1.1")
    hint = client.head()
    assert status(hint) == 103 and hint.fields["link"] == "</a>"
    assert client.answer()[1] == b"hello"
    client.ask("GET / HTTP/1.0")
    assert status(client.head()) == 200


# ---- a site that misbehaves

def test_a_site_that_is_down_is_no_matter_for_streams(start_server, clients, clip, tmp_path):
    upstream = f"http://127.0.0.1:{free_port()}"
    server = start_server("--site", upstream, config={"apps": [server_module.app()]})
    playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
    publisher = clients.ffmpeg_publish(server.url(), clip("h264_aac"))
    client = Client(server)
    for _ in range(20):
        head, got = client.get()
        assert status(head) == 502 and b"live streams on this server go on" in got
    publisher.wait(30)
    playing.finish(clip("h264_aac"))
    assert sum("site.failed" in line for line in server.log().splitlines()) < 5


def test_a_site_that_comes_back(site, proxy):
    port = free_port()
    server = proxy(f"http://127.0.0.1:{port}")
    client = Client(server)
    assert status(client.get()[0]) == 502
    site(port=port)
    assert status(client.get()[0]) == 200
    assert "site.back" in server.log()


@pytest.mark.parametrize("sent", [
    b"", b"HTTP/1.1 200", b"garbage\r\n\r\n", b"\0\1\2\3\r\n", b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: " + b"x" * 20000 + b"\r\n\r\n"])
def test_bug_16_a_bad_answer_is_502(site, proxy, sent):
    def answer(wire, head):
        wire.send(sent)
        wire.close()
        raise Ended
    client = Client(proxy(site(answer)))
    head, _ = client.get()
    assert status(head) == 502


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("kind", ["length", "chunked", "bad chunk", "old client"])
def test_an_answer_that_breaks_off_is_cut(site, proxy, kind, how):
    def answer(wire, head):
        wire.send(b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 10" if kind == "length"
                                            else b"Transfer-Encoding: chunked") + b"\r\n\r\n")
        wire.send(b"hello" if kind == "length" else b"5\r\nhello\r\n")
        if kind == "bad chunk":
            wire.send(b"zzz\r\n")
            wire.rest()
        getattr(wire, how)()
        raise Ended
    client = Client(proxy(site(answer)))
    client.ask(f"GET / HTTP/1.{0 if kind == 'old client' else 1}")
    if kind == "old client":  # nothing but a reset tells it that something is missing
        with pytest.raises(ConnectionResetError):
            client.rest()
        return
    try:
        got = client.rest()
    except ConnectionResetError:
        return
    assert got.partition(b"\r\n\r\n")[2] in (b"", b"hello", b"5\r\nhello\r\n")


def test_a_site_that_is_silent_is_504(site, proxy):
    client = Client(proxy(site(lambda wire, head: wire.rest()), site_answer_s=1))
    head, _ = client.get()
    assert status(head) == 504
    client.ask("POST / HTTP/1.1", "Content-Length: 3\r\n", b"abc")
    assert status(client.head()) == 504


def test_a_stale_connection_is_not_noticed(site, proxy):
    """The site closes an old connection just when the next request comes."""
    second = []

    def answer(wire, head):
        if head.line.startswith("GET /first"):
            wire.send(reply(b"one"))
            wire.until(b"\r\n\r\n")
            second.append(1)
            wire.reset()
            raise Ended
        wire.send(reply(b"two"))
    upstream = site(answer)
    client = Client(proxy(upstream))
    assert client.get("/first")[1] == b"one"
    assert client.get("/second")[1] == b"two"
    assert second and len(upstream.wires) == 2


def test_what_is_not_idempotent_is_not_sent_twice(site, proxy):
    def answer(wire, head):
        wire.send(reply(b"one"))
        wire.until(b"\r\n\r\n")
        wire.reset()
        raise Ended
    upstream = site(answer)
    client = Client(proxy(upstream))
    assert client.get()[1] == b"one"
    client.ask("POST / HTTP/1.1", "Content-Length: 0\r\n")
    assert status(client.head()) == 502
    assert len(upstream.wires) == 1


def test_a_closed_connection_is_not_used_again(site, proxy):
    def answer(wire, head):
        wire.send(reply(b"bye"))
        wire.close()
        raise Ended
    upstream = site(answer)
    client = Client(proxy(upstream))
    for i in range(5):
        client.ask("POST / HTTP/1.1", "Content-Length: 0\r\n")
        assert client.answer()[1] == b"bye"
        assert len(upstream.wires) == i + 1


def test_the_client_leaves(site, proxy):
    """A long poll ends at the site when nobody waits for its answer any more."""
    left = threading.Event()

    def answer(wire, head):
        try:
            wire.more()
        except (Ended, OSError):
            left.set()
            raise Ended from None
    upstream = site(answer)
    client = Client(proxy(upstream))
    client.ask("GET /poll HTTP/1.1")
    wait_until(lambda: upstream.heads, 10)
    client.close()
    assert left.wait(10)


def test_more_requests_than_connections(site, proxy):
    upstream = site()
    server = proxy(upstream, site_connections_max=2)
    some = [Client(server) for _ in range(20)]
    for i, client in enumerate(some):
        client.ask(f"GET /{i} HTTP/1.1")
    for i, client in enumerate(some):
        assert Head(client.answer()[1]).line == f"GET /{i} HTTP/1.1"
    assert len(upstream.wires) <= 2


def test_who_waits_for_a_connection_too_long_is_told(site, proxy):
    upstream = site(lambda wire, head: wire.rest() if "/hold" in head.line else echo(wire, head))
    server = proxy(upstream, site_connections_max=1, site_answer_s=1)
    first, second = Client(server), Client(server)
    first.ask("GET /hold HTTP/1.1")
    wait_until(lambda: upstream.heads, 5)
    second.ask("GET / HTTP/1.1")
    assert status(first.head()) == 504
    assert status(second.head()) in (200, 504)


# ---- smuggling

EVIL = b"GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
VECTORS = [
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL,
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n0\r\n\r\n" + EVIL,
    POST + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + EVIL,
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + EVIL,
    POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" + EVIL,
    POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + EVIL,
    POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + EVIL,
    POST + b"Content_Length: 40\r\n\r\n" + EVIL,
    POST + b"Content-Length: 18446744073709551616\r\n\r\n" + EVIL,
    POST + b"Content-Length: -1\r\n\r\n" + EVIL,
    POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n" + EVIL,
    POST + b"X: y\rContent-Length: 40\r\n\r\n" + EVIL,
    POST + b"X: y\0\r\n\r\n" + EVIL,
    POST + b"Host: b\r\n\r\n" + EVIL,
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL,
    b"GET / HTTP/1.1\r\n\r\n" + EVIL,
    b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" + EVIL,
]


@pytest.mark.parametrize("vector", VECTORS)
def test_bug_16_what_was_refused_never_reaches_the_site(site, proxy, vector):
    upstream = site()
    client = Client(proxy(upstream))
    client.send(vector)
    assert status(client.head()) == 400
    client.rest()
    assert upstream.seen == b""


CHUNKS = [b"1;\nx\r\n", b"1 \r\nx\r\n", b"0x1\r\nx\r\n", b"fffffffffffffffff\r\n", b"1\r\nxy\r\n", b"-1\r\nx\r\n",
          b"1\nx\n"]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_bug_16_a_malformed_chunk_ends_the_request(site, proxy, chunk):
    """What came before it has left already; the site sees an incomplete request, and no other."""
    upstream = site()
    client = Client(proxy(upstream))
    client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + chunk + b"0\r\n\r\n" + EVIL)
    client.rest()
    wait_until(lambda: all(wire.sock.fileno() < 0 for wire in upstream.wires), 10)
    assert b"evil" not in upstream.seen and b"\r\n0\r\n" not in upstream.seen
    assert upstream.seen.count(b"HTTP/1.1") <= 1


def test_bug_16_a_body_is_never_a_request(site, proxy):
    upstream = site()
    client = Client(proxy(upstream))
    client.send(POST + b"Content-Length: %d\r\nConnection: Content-Length\r\n\r\n" % len(EVIL) + EVIL)
    assert client.answer()[1] == EVIL
    assert [head.line for head in upstream.heads] == ["POST / HTTP/1.1"]


def test_bug_16_answers_keep_their_requests(site, proxy):
    """Bytes behind an answer do not become the next one's."""
    def answer(wire, head):
        name = head.line.split()[1].encode()
        wire.send(reply(name) + reply(b"smuggled"))
    upstream = site(answer)
    client = Client(proxy(upstream))
    for path in ("/1", "/2", "/3"):
        assert client.get(path)[1] == path.encode()
    assert len(upstream.wires) == 3  # such a connection is not used again


def test_bug_16_upgrades_that_would_carry_requests_do_not_pass(site, proxy):
    upstream = site()
    client = Client(proxy(upstream))
    client.get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n")
    assert not {"upgrade", "connection", "http2-settings"} & set(upstream.heads[-1].fields)


# ---- other protocols

@pytest.mark.parametrize("protocol", ["websocket", "some-protocol/2"])
def test_a_websocket_goes_through(site, proxy, protocol):
    client = Client(proxy(site(upgraded)))
    client.ask("GET /chat HTTP/1.1", UPGRADE.format(protocol), b"early")
    head = client.head()
    assert status(head) == 101 and head.fields["upgrade"] == protocol
    assert head.fields["connection"] == "Upgrade" and head.fields["sec-websocket-accept"] == "x"
    assert client.take(10) == b"helloearly"
    for frame in (b"\x81\x85\x01\x02\x03\x04abcde", b"\x89\x00", bytes(range(256)) * 100):
        client.send(frame)
        assert client.take(len(frame)) == frame
    client.sock.shutdown(socket.SHUT_WR)
    assert client.rest() == b"bye"


def test_a_websocket_that_the_site_does_not_want(site, proxy):
    client = Client(proxy(site()))
    for _ in range(2):
        head, got = client.get("/chat", UPGRADE.format("websocket"))
        assert status(head) == 200 and Head(got).fields["upgrade"] == "websocket"


def test_a_websocket_whose_reader_is_slow_costs_no_memory(site, proxy):
    total = 40_000_000
    sent = []

    def flood(wire, head):
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        for _ in range(total // 100_000):
            wire.send(bytes(100_000))
            sent.append(1)
        wire.close()
        raise Ended
    server = proxy(site(flood))
    client = Client(server, buffer_bytes=20000)
    before = server.rss_bytes()
    client.ask("GET / HTTP/1.1", UPGRADE.format("websocket"))
    assert status(client.head()) == 101
    settled(sent)
    assert server.rss_bytes() - before < GROWTH_BYTES
    assert len(client.rest()) == total


def settled(counter):
    """Waits until the counter has not grown for a while."""
    last = []

    def same():
        last.append(len(counter))
        return len(last) > 15 and last[-1] > 0 and len(set(last[-15:])) == 1
    wait_until(same, 20, "the site stops to send")


# ---- a real web server, large bodies

def through(server, nginx, count):
    client = Client(server)
    assert upload(client, "/big", count) == 201
    wanted = digest(pieces(count))
    with open(nginx.www / "big", "rb") as file:
        assert digest(iter(lambda: file.read(1 << 20), b"")) == wanted
    before = server.rss_bytes()
    assert digest(download(client, "/big")) == wanted
    assert server.rss_bytes() - before < GROWTH_BYTES


def test_nginx_behind_it(nginx, proxy):
    client = Client(proxy(nginx))
    (nginx.www / "index.html").write_text("<h1>a page</h1>", encoding="utf-8")
    head, got = client.get()
    assert got == b"<h1>a page</h1>" and head.fields["server"].startswith("nginx")
    assert status(client.get(fields=f"If-None-Match: {head.fields['etag']}\r\n")[0]) == 304
    head, got = client.get(fields="Range: bytes=4-5\r\n")
    assert status(head) == 206 and got == b"a "
    assert client.get("/back?x=1")[1] == f"GET /back?x=1 {HOST}".encode()
    assert client.get(method="HEAD")[0].fields["content-length"] == "15"
    client.ask("PUT /new HTTP/1.1", "Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n")
    assert status(client.answer()[0]) == 201
    assert client.get("/new")[1] == b"abc"
    assert status(client.get("/new", method="DELETE")[0]) == 204
    assert status(client.get("/new")[0]) == 404


def test_100_megabytes_both_ways(nginx, proxy):
    through(proxy(nginx), nginx, 100)


def test_a_slow_reader_costs_no_memory(site, proxy):
    sent = []

    def flood(wire, head):
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1000):
            wire.send(bytes(100_000))
            sent.append(1)
    server = proxy(site(flood))
    client = Client(server, buffer_bytes=20000)
    before = server.rss_bytes()
    client.ask("GET / HTTP/1.1")
    client.head()
    settled(sent)
    assert len(sent) < 200  # what the sockets' buffers take
    assert server.rss_bytes() - before < GROWTH_BYTES


def test_a_slow_writer_to_a_slow_site_costs_no_memory(site, proxy):
    server = proxy(site(lambda wire, head: threading.Event().wait(15)))
    client = Client(server)
    before = server.rss_bytes()
    client.ask("POST / HTTP/1.1", "Content-Length: 200000000\r\n")
    client.sock.setblocking(False)
    sent, idle = [0], []

    def full():
        try:
            sent[0] += client.sock.send(bytes(100_000))
            idle.clear()
        except BlockingIOError:
            idle.append(1)
        return len(idle) > 20
    wait_until(full, 20, "nothing more is taken", every_s=0.01)
    assert 0 < sent[0] < 50_000_000
    assert server.rss_bytes() - before < GROWTH_BYTES


# ---- reload and several loops

def test_another_site_after_a_reload(site, start_server):
    go_on = threading.Event()

    def answer_late(wire, head):
        if "/late" in head.line:
            assert go_on.wait(20)
        wire.send(reply(b"old"))
    old, new = site(answer_late), site(lambda wire, head: wire.send(reply(b"new")))
    server = start_server(config={"apps": [server_module.app()], "site": old.url})
    client, late = Client(server), Client(server)
    assert client.get()[1] == b"old"
    late.ask("GET /late HTTP/1.1")
    wait_until(lambda: len(old.heads) == 2, 10)
    path = server.folder / "culvert.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old.url, new.url), encoding="utf-8")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "server.reload" in server.log(), 10)
    wait_until(lambda: client.get()[1] == b"new", 10)
    go_on.set()
    assert late.answer()[1] == b"old"  # it came before; its connection is not used again
    assert late.get()[1] == b"new"
    path.write_text(path.read_text(encoding="utf-8").replace(f"site: {new.url}", ""), encoding="utf-8")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: b"<h1>Culvert</h1>" in client.get()[1], 10)


def test_a_name_with_several_addresses(site, proxy):
    """localhost is ::1 first, where nobody listens."""
    upstream = site()
    client = Client(proxy(f"http://localhost:{upstream.port}"))
    assert status(client.get()[0]) == 200


def test_a_name_that_nobody_knows(proxy):
    client = Client(proxy("http://name.invalid:80"))
    assert status(client.get()[0]) == 502


@pytest.mark.threads
@pytest.mark.limit_s(120)
def test_many_clients_on_several_loops(site, start_server):
    upstream = site()
    server = start_server("--threads", "4", "--site", upstream.url)
    failures = []

    def work(number):
        for i in range(20):
            client = Client(server)
            client.sock.settimeout(60)
            for j in range(3):
                body = f"{number}/{i}/{j}".encode()
                client.ask("POST / HTTP/1.1", f"Content-Length: {len(body)}\r\n", body)
                if client.answer()[1] != body:
                    failures.append(body)
            client.close()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for one in workers:
        one.start()
    for one in workers:
        one.join(100)
    assert not failures and len(upstream.heads) == 8 * 20 * 3
