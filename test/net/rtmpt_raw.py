"""HTTP/1 over a plain socket, written by hand, and RTMP through a tunnel on top of it.

What the tests send is theirs to the last byte; what comes back is read strictly: status line, header lines,
Content-Length or chunks.
"""
import collections
import os
import select
import socket
import threading
import time

from rtmp_raw import Closed, ProtocolError, RtmpClient, TimedOut, amf_encode, chunks

FCS = {"Content-Type": "application/x-fcs"}
# What FFmpeg's player sends with each request, in its spelling.
FFMPEG = {"Accept": "*/*", "Connection": "keep-alive", "Icy-MetaData": "1", "Cache-Control": "no-cache",
          "Content-type": "application/x-fcs", "User-Agent": "Shockwave Flash"}

Answer = collections.namedtuple("Answer", "status headers body chunks version")


def request(path, body=b"\0", headers=None, method="POST", version="1.1", length=None):
    """The bytes of a request. length: what is announced, when that is not the truth; headers: None leaves out."""
    lines = {"Host": "x", **(FCS if headers is None else headers)}
    if body or method == "POST":
        lines.setdefault("Content-Length", str(len(body) if length is None else length))
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"{method} {path} HTTP/{version}\r\n{text}\r\n".encode() + body


class Http:
    """One connection, inside TLS with a context for it. Every wait has a time-out in seconds."""

    def __init__(self, port, source="127.0.0.1", timeout_s=10, tls=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout_s, (source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="127.0.0.1")
        self.timeout_s = timeout_s
        self.buf = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        try:
            piece = self.sock.recv(1 << 18)
        except ConnectionResetError as err:
            raise Closed(str(err)) from err
        except socket.timeout as err:
            raise TimedOut(f"nothing came; had {self.buf[:200]!r}") from err
        if not piece:
            raise Closed(f"end; had {self.buf[:200]!r}")
        self.buf += piece

    def exactly(self, count):
        while len(self.buf) < count:
            self.fill()
        data, self.buf = self.buf[:count], self.buf[count:]
        return data

    def line(self):
        while b"\r\n" not in self.buf:
            self.fill()
        text, _, self.buf = self.buf.partition(b"\r\n")
        return text.decode("latin-1")

    def head(self):
        """(status, headers, version) of the next answer; names as they were spelled."""
        version, status, _ = self.line().split(" ", 2)
        headers = {}
        while line := self.line():
            name, _, value = line.partition(": ")
            if name in headers:
                raise ProtocolError(f"{name} twice")
            headers[name] = value
        return int(status), headers, version

    def chunk(self):
        """The next chunk; empty at the end."""
        data = self.exactly(int(self.line(), 16))
        if self.line():
            raise ProtocolError("a chunk is longer than it says")
        return data

    def answer(self):
        status, headers, version = self.head()
        if headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while piece := self.chunk():
                pieces.append(piece)
            return Answer(status, headers, b"".join(pieces), pieces, version)
        if status in (101, 204):
            return Answer(status, headers, b"", None, version)
        return Answer(status, headers, self.exactly(int(headers["Content-Length"])), None, version)

    def ask(self, *args, **kwargs):
        self.send(request(*args, **kwargs))
        return self.answer()

    def open(self, **kwargs):
        """A new session's id."""
        answer = self.ask("/open/1", **kwargs)
        if answer.status != 200 or answer.body[-1:] != b"\n":
            raise ProtocolError(f"/open/1: {answer}")
        return answer.body[:-1].decode()

    def is_silent(self, seconds):
        """Nothing comes for so long."""
        return not self.buf and not select.select([self.sock], [], [], seconds)[0]

    def is_closed(self):
        """The server closes it, and says nothing before."""
        try:
            self.fill()
        except Closed:
            return True
        return False


class Tunnel(RtmpClient):
    """The raw RTMP client through a tunnel: one request at a time, idle when there is nothing to say.

    http: the connection, which others may use, too. headers: of each request. tls: a context, for RTMPTS.
    """

    def __init__(self, port, http=None, headers=None, first=0, tls=None, **kwargs):
        super().__init__(port, **kwargs)
        self.sock.close()  # of the base class
        self.http = http or Http(port, timeout_s=self.timeout_s, tls=tls)
        self.headers = headers
        self.session = self.http.open(headers=headers)
        self.number = first
        self.answers = []
        self._waiting = b""

    def close(self):
        self.http.close()

    def send_raw(self, data):
        self._waiting += data

    def next_path(self, verb):
        self.number += 1
        return f"/{verb}/{self.session}/{self.number - 1}"

    def post(self, verb, body):
        answer = self.http.ask(self.next_path(verb), body, headers=self.headers)
        self.answers.append(answer)
        if answer.status != 200:
            raise Closed(f"{verb}: {answer}")
        return answer.body[1:]

    def flush(self):
        """Sends what waits, and puts what comes back with it to what is to be read."""
        data, self._waiting = self._waiting, b""
        self._buf += self.post("send", data)

    def _read(self, deadline):
        while time.monotonic() < deadline:
            data, self._waiting = self._waiting, b""
            got = self.post("send" if data else "idle", data or b"\0")
            if got:
                return got
        raise TimedOut("only empty replies came")


class Relay:
    """Passes connections on to the server, and keeps what it has said. header: put into each request."""

    def __init__(self, port, header=b""):
        self.target, self.header = port, header
        self.said = bytearray()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pump, args=(client, server, self._mark), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, self._keep), daemon=True).start()

    def _mark(self, data):
        # good enough for heads that come in one piece, as FFmpeg's do
        return data.replace(b"\r\nHost: ", b"\r\n" + self.header + b"Host: ", 1) if data[:5] == b"POST " else data

    def _keep(self, data):
        self.said += data
        return data

    @staticmethod
    def _pump(source, sink, change):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(change(data))
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def flight(name="a", frames=0, start=0, app="live", play=False):
    """C2 and everything up to a publish or play, and then frames that carry their numbers, in one piece."""
    out = bytes(1536) + chunks(1, (1 << 20).to_bytes(4, "big"), 0, 0, 2)
    last = amf_encode("play", 3, None, name) if play else amf_encode("publish", 3, None, name, "live")
    commands = [(0, amf_encode("connect", 1, {"app": app})), (0, amf_encode("createStream", 2, None)), (1, last)]
    out += b"".join(chunks(20, command, 0, msid, 3, chunk_size=1 << 20) for msid, command in commands)
    return out + video(start, frames)


def video(start, count):
    """Frames number `start` and on; the number is also the time."""
    out = b""
    for number in range(start, start + count):
        frame = (b"\x17" if number == 0 else b"\x27") + b"\1\0\0\0" + number.to_bytes(4, "big") + bytes(150)
        out += chunks(9, frame, number, 1, 6, chunk_size=1 << 20)
    return out


def numbers(messages):
    return [int.from_bytes(msg.payload[5:9], "big") for msg in messages]


OFFER = {"Connection": "Upgrade", "Upgrade": "rtmp", **FCS}


def offer(body=b"\0", **kwargs):
    """POST /open/1 of a client that would rather speak RTMP."""
    return request("/open/1", body, {**OFFER, **kwargs.pop("headers", {})}, **kwargs)


def c0c1():
    return b"\3" + bytes(8) + os.urandom(1528)


class Upgraded(RtmpClient):
    """The raw RTMP client on a connection that has begun as HTTP. first: bytes that go into the body."""

    def __init__(self, port, first=None, http=None, **kwargs):
        super().__init__(port, **kwargs)
        if http:
            self.sock.close()
            self.sock = http.sock
        first = c0c1() if first is None else first
        self.send_raw(offer(first))
        deadline = time.monotonic() + self.timeout_s
        while b"\r\n\r\n" not in self._buf:
            self._fill(deadline)
        head, _, rest = bytes(self._buf).partition(b"\r\n\r\n")
        self.head, self._buf = head.decode(), bytearray(rest)
        if not self.head.startswith("HTTP/1.1 101 "):
            raise ProtocolError(self.head)
        if first[:1] == b"\3":
            answer = self._exactly(1 + 2 * 1536, deadline)
            self.send_raw(answer[1:1537])
        else:
            self.handshake()
