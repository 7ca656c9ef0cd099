"""Players of live FLV over plain sockets: HTTP by hand, and the tags out of what comes."""
import collections
import socket
import struct
import time

import synth
from rtmp_raw import Closed, Message, ProtocolError, receive

HEADER_BYTES = 13
TAG_BYTES = 11
AUDIO_FLAG, VIDEO_FLAG = 4, 1

Answer = collections.namedtuple("Answer", "status headers body")


class FlvParser:
    """Bytes in, tags out; every length and back pointer is checked."""

    def __init__(self):
        self.data = bytearray()  # all of it
        self.tags = []
        self.flags = None
        self._at = 0

    def feed(self, data):
        self.data += data
        if self.flags is None and len(self.data) >= HEADER_BYTES:
            if self.data[:4] != b"FLV\x01" or self.data[5:HEADER_BYTES] != b"\0\0\0\x09\0\0\0\0":
                raise ProtocolError(f"file header {bytes(self.data[:HEADER_BYTES])}")
            self.flags, self._at = self.data[4], HEADER_BYTES
        while self.flags is not None and self._tag():
            pass

    def _tag(self):
        head = self.data[self._at:self._at + TAG_BYTES]
        if len(head) < TAG_BYTES:
            return False
        size = int.from_bytes(head[1:4], "big")
        end = self._at + TAG_BYTES + size
        if len(self.data) < end + 4:
            return False
        if struct.unpack_from(">I", self.data, end)[0] != TAG_BYTES + size or head[8:] != b"\0\0\0":
            raise ProtocolError(f"tag at {self._at}")
        stamp = int.from_bytes(head[4:7], "big") | head[7] << 24
        payload = bytes(self.data[self._at + TAG_BYTES:end])
        self.tags.append(Message(head[0], stamp, 1, 0, payload))
        self._at = end + 4
        return True

    @property
    def is_whole(self):
        return self._at == len(self.data)

    def save(self, path):
        path.write_bytes(self.data)
        return path


class HttpPlayer:
    """GET of a stream, inside TLS with a context for it. Every wait has a time-out in seconds."""

    def __init__(self, port, path="/live/a.flv", version="1.1", fields="", receive_buffer=None, timeout_s=10,
                 tls=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout_s)
        self.sock.connect(("127.0.0.1", port))
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="127.0.0.1")
        self.timeout_s = timeout_s
        self.flv = FlvParser()
        self.status, self.headers = None, {}
        self.complete = False  # the end was told, not only seen
        self.chunks = 0
        self._read, self._buf = 0, bytearray()
        self.sock.sendall(f"GET {path} HTTP/{version}\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode())

    def close(self):
        self.sock.close()

    def _fill(self, deadline):
        self._buf += receive(self.sock, deadline - time.monotonic())

    def _until(self, mark, deadline):
        while mark not in self._buf:
            self._fill(deadline)
        before, _, rest = bytes(self._buf).partition(mark)
        self._buf = bytearray(rest)
        return before

    def head(self, timeout_s=None):
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        first, *lines = self._until(b"\r\n\r\n", deadline).decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return self

    def _piece(self, deadline):
        """The next chunk, or whatever has come; b"" at the end that was told."""
        if self.headers.get("transfer-encoding") != "chunked":
            if not self._buf:
                self._fill(deadline)
            data, self._buf = bytes(self._buf), bytearray()
            return data
        size = int(self._until(b"\r\n", deadline), 16)
        while len(self._buf) < size + 2:
            self._fill(deadline)
        data, tail = bytes(self._buf[:size]), bytes(self._buf[size:size + 2])
        if tail != b"\r\n":
            raise ProtocolError(f"behind a chunk: {tail}")
        del self._buf[:size + 2]
        self.chunks += 1
        return data

    def media(self, timeout_s=None):
        """The next tag that is audio or video. Raises Closed at the end."""
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        if self.status is None:
            self.head(timeout_s)
        while True:
            while self._read < len(self.flv.tags):
                tag = self.flv.tags[self._read]
                self._read += 1
                if tag.is_media:
                    return tag
            data = self._piece(deadline)
            if not data:
                self.complete = True
                raise Closed("the last chunk")
            self.flv.feed(data)

    def to_end(self, timeout_s=None):
        """All tags that come until the end."""
        out = []
        try:
            while True:
                out.append(self.media(timeout_s))
        except Closed:
            return out

    def expect_eof(self, timeout_s=5):
        """Nothing comes behind the end, and the server closes."""
        try:
            self._fill(time.monotonic() + timeout_s)
        except Closed:
            return
        raise ProtocolError(f"behind the end: {bytes(self._buf[:40])}")


def ask(port, line, fields="", timeout_s=10):
    """A whole answer to a request that has no body; the connection is closed behind it."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as sock:
        sock.sendall(f"{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n".encode())
        got = b""
        while data := sock.recv(65536):
            got += data
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in lines)}
    return Answer(int(first.split()[1]), headers, body)


def numbers(tags, kind):
    """The numbers of synthetic frames."""
    return [synth.number_of(tag) for tag in tags if tag.type == kind and not tag.is_header]
