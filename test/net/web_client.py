"""A browser, a server that upgrades, and megabytes, written by hand: for tests of the web on the port."""
import hashlib
import socket

from site_kit import Ended, Head, Wire, read_body

HOST = "www.example.org"
UPGRADE = "Connection: Upgrade\r\nUpgrade: {}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
BLOCK = bytes(range(256)) * 4096


class Client(Wire):
    """A connection to the server, for requests written by hand; inside TLS with a context for it."""

    def __init__(self, server, buffer_bytes=0, tls=None):
        sock = socket.socket()
        if buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", server.port))
        super().__init__(tls.wrap_socket(sock, server_hostname="127.0.0.1") if tls else sock)

    def ask(self, line, fields="", body=b"", host=f"Host: {HOST}\r\n"):
        self.send(f"{line}\r\n{host}{fields}\r\n".encode() + body)

    def head(self):
        return Head(self.until(b"\r\n\r\n")[:-4])

    def answer(self, no_body=False):
        head = self.head()
        bare = no_body or status(head) in (204, 304)
        return head, b"" if bare else read_body(self, head, until_close=True)

    def get(self, path="/", fields="", method="GET"):
        self.ask(f"{method} {path} HTTP/1.1", fields)
        return self.answer(no_body=method == "HEAD")


def status(head):
    return int(head.line.split()[1])


def upgraded(wire, head):
    """Accepts, says hello, and sends back what comes, until the other side ends."""
    assert head.fields["connection"] == "Upgrade"
    wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: " + head.fields["upgrade"].encode() +
              b"\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhello")
    try:
        while True:
            if not wire.unread:
                wire.more()
            wire.send(wire.take(len(wire.unread)))
    except Ended:
        wire.send(b"bye")
    wire.close()
    raise Ended


def digest(chunks):
    total = hashlib.md5()
    for chunk in chunks:
        total.update(chunk)
    return total.hexdigest()


def pieces(count):
    """Megabytes, each different."""
    for i in range(count):
        yield i.to_bytes(8, "big") + BLOCK[8:]


def upload(client, path, count):
    client.ask(f"PUT {path} HTTP/1.1", f"Content-Length: {count << 20}\r\n")
    for piece in pieces(count):
        client.send(piece)
    head, _ = client.answer()
    return status(head)


def download(client, path):
    client.ask(f"GET {path} HTTP/1.1")
    head = client.head()
    left = int(head.fields["content-length"])
    while left:
        if not client.unread:
            client.unread = client.sock.recv(1 << 20)
        piece, client.unread = client.unread[:left], client.unread[left:]
        left -= len(piece)
        yield piece
