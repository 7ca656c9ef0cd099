"""The web side of the port: the page, the order of answers, bodies that nobody asked for."""

import socket

import pytest


@pytest.fixture
def port(server):
    return server.port


def talk(port, *pieces):
    """Sends the pieces and returns all that comes until the server closes or 5 s are over."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        for piece in pieces:
            client.sendall(piece)
        got = b""
        while True:
            data = client.recv(65536)
            if not data:
                return got
            got += data


def ask(port, line, fields="", body=b""):
    request = f"{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"
    head, _, rest = talk(port, request.encode() + body).partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), rest


def test_the_page(port):
    status, head, body = ask(port, "GET /")
    assert status == 200 and b"<h1>Culvert</h1>" in body
    assert f"Content-Length: {len(body)}" in head
    status, head, none = ask(port, "HEAD /")
    assert status == 200 and none == b"" and f"Content-Length: {len(body)}" in head


def test_what_is_not_there(port):
    assert ask(port, "GET /elsewhere")[0] == 404
    assert ask(port, "GET /open/1")[0] == 404
    status, head, _ = ask(port, "DELETE /")
    assert status == 405 and "Allow: GET, HEAD" in head


def test_small_bodies_are_read_away_and_large_ones_refused(port):
    assert ask(port, "POST /x", "Content-Length: 5\r\n", b"hello")[0] == 404
    assert ask(port, "POST /x", "Content-Length: 9000000\r\n")[0] == 413
    assert ask(port, "POST /x", "Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")[0] == 404


def test_nobody_is_asked_for_a_useless_body(port):
    status, head, _ = ask(port, "PUT /x", "Content-Length: 5\r\nExpect: 100-continue\r\n")
    assert status == 404 and "Connection: close" in head


def test_a_tunnel_asks_for_a_body_that_waits(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"POST /open/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                       b"Expect: 100-continue\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"\0")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_pipelined_requests_are_answered_in_order(port):
    one = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
    page = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    got = talk(port, one % 1 + page + one % 2 + page + last)
    assert [part.split()[0] for part in got.split(b"HTTP/1.1 ")[1:]] == [
        b"404", b"200", b"404", b"200", b"404"]


def test_one_byte_at_a_time(port):
    request = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    got = talk(port, *(request[i:i + 1] for i in range(len(request))))
    assert got.startswith(b"HTTP/1.1 404 ")


def test_bug_16_two_lengths_are_refused(port):
    status, _, _ = ask(port, "POST /", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                       b"0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n")
    assert status == 400
