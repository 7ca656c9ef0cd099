"""A small WebSocket client over a plain socket, and RTMP on top of it: the independent referee.

It shares nothing with Culvert: written from RFC 6455, strict in what it reads (a breach raises
ProtocolError) and free in what it sends (any frame, any bytes).
"""
import base64
import collections
import hashlib
import os
import socket
import ssl
import struct
import time

from rtmp_raw import Closed, ProtocolError, RtmpClient, receive

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Frame = collections.namedtuple("Frame", "fin opcode payload")


class Refused(Exception):
    """The answer was not 101; status and headers tell."""

    def __init__(self, status, headers):
        super().__init__(f"{status} {headers}")
        self.status, self.headers = status, headers


class PeerClosed(Closed):
    """A close frame came; code is None when it carried none."""

    def __init__(self, code, reason):
        super().__init__(f"close frame {code} {reason!r}")
        self.code, self.reason = code, reason


def encode_frame(payload=b"", opcode=BINARY, fin=True, mask=True, rsv=0, length=None):
    """One frame. mask: True for a random one, False for none, or four bytes. length: a lie."""
    length = len(payload) if length is None else length
    masked = 0x80 if mask else 0
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if length < 126:
        head += bytes([masked | length])
    elif length < 1 << 16:
        head += struct.pack(">BH", masked | 126, length)
    else:
        head += struct.pack(">BQ", masked | 127, length)
    if not mask:
        return head + payload
    key = os.urandom(4) if mask is True else mask
    pad = (key * (len(payload) // 4 + 1))[:len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + key + mixed.to_bytes(len(payload), "big")


def encode_close(code=1000, reason=b"", **how):
    return encode_frame(struct.pack(">H", code) + reason, CLOSE, **how)


def request(path="/live", protocol="rtmp", **changes):
    """The bytes of an opening request. changes: header name with _ for -, value None: left out."""
    headers = {"Host": "127.0.0.1", "Upgrade": "websocket", "Connection": "Upgrade",
               "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": protocol,
               "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode()}
    headers.update((name.replace("_", "-"), value) for name, value in changes.items())
    lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
    return (f"GET {path} HTTP/1.1\r\n" + "".join(lines) + "\r\n").encode()


class WebSocket:
    """A connection behind its opening. Every wait has a time-out in seconds."""

    def __init__(self, port, path="/live", protocol="rtmp", sock=None, timeout_s=10, **changes):
        self.sock = sock or socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout_s = timeout_s
        self.answer_pings = True
        self.pongs = []  # payloads
        self.pings = 0   # of the peer
        self._buf = bytearray()
        try:
            self._open(request(path, protocol, **changes))
        except Exception:
            self.sock.close()
            raise

    def _open(self, data):
        self.send_raw(data)
        deadline = time.monotonic() + self.timeout_s
        while b"\r\n\r\n" not in self._buf:
            self._fill(deadline)
        head, _, rest = bytes(self._buf).partition(b"\r\n\r\n")
        self._buf = bytearray(rest)
        first, *lines = head.decode("latin-1").split("\r\n")
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        if status != 101:
            raise Refused(status, self.headers)
        key = data.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        if self.headers.get("sec-websocket-accept") != accept:
            raise ProtocolError(f"Sec-WebSocket-Accept: {self.headers}")

    # -- bytes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as err:
            raise Closed(str(err)) from err

    def _fill(self, deadline):
        self._buf += receive(self.sock, deadline - time.monotonic())

    def _peek(self, count, deadline):
        while len(self._buf) < count:
            self._fill(deadline)
        return self._buf

    # -- frames

    def send_frame(self, payload=b"", opcode=BINARY, **how):
        self.send_raw(encode_frame(payload, opcode, **how))

    def recv_frame(self, timeout_s=None):
        """The next frame, whatever it is. Raises ProtocolError when a server must not send it."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        first, second = self._peek(2, deadline)[:2]
        if first & 0x70:
            raise ProtocolError(f"reserved bits: {first:#x}")
        if second & 0x80:
            raise ProtocolError("a masked frame from a server")
        at, length = 2, second
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(self._peek(2 + size, deadline)[2:2 + size], "big")
            at += size
            if length < (126 if size == 2 else 1 << 16):
                raise ProtocolError("length is not in its shortest form")
        if first & 8 and (not first & 0x80 or length > 125):
            raise ProtocolError("control frame in fragments or too long")
        payload = bytes(self._peek(at + length, deadline)[at:at + length])
        del self._buf[:at + length]
        return Frame(bool(first & 0x80), first & 15, payload)

    def recv_data(self, timeout_s=None):
        """The next data frame. Pings are answered; a close raises PeerClosed."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while True:
            frame = self.recv_frame(max(0, deadline - time.monotonic()))
            if frame.opcode in (CONTINUATION, TEXT, BINARY):
                return frame
            if frame.opcode == CLOSE:
                code = int.from_bytes(frame.payload[:2], "big") if frame.payload else None
                raise PeerClosed(code, frame.payload[2:].decode())
            self._on_control(frame)

    def _on_control(self, frame):
        if frame.opcode == PONG:
            self.pongs.append(frame.payload)
        elif frame.opcode == PING:
            self.pings += 1
            if self.answer_pings:
                self.send_frame(frame.payload, PONG)
        else:
            raise ProtocolError(f"opcode {frame.opcode}")

    def expect_close(self, timeout_s=None):
        """(code, reason) of the peer's close frame; data before it is thrown away."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while True:
            try:
                self.recv_data(max(0, deadline - time.monotonic()))
            except PeerClosed as closed:
                return closed.code, closed.reason

    def expect_end(self, timeout_s=None):
        """The peer closes the TCP connection, and says nothing before."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        try:
            self._fill(deadline)
        except Closed:
            return
        raise ProtocolError(f"said something behind its close: {bytes(self._buf[:40])!r}")


class WsRtmpClient(RtmpClient):
    """The raw RTMP client, its bytes in binary messages. pieces: how many bytes a frame carries, at most."""

    def __init__(self, port, path="/live", pieces=None, **kwargs):
        super().__init__(port, **kwargs)
        self.pieces = pieces
        self.ws = WebSocket(port, path, sock=self.sock, timeout_s=self.timeout_s)

    def send_raw(self, data):
        size = self.pieces or max(1, len(data))
        frames = [encode_frame(data[at:at + size]) for at in range(0, len(data), size)]
        self.ws.send_raw(b"".join(frames))

    def _read(self, deadline):
        while True:
            frame = self.ws.recv_data(max(0, deadline - time.monotonic()))
            if frame.opcode == TEXT:
                raise ProtocolError("text")
            if frame.payload:
                return frame.payload
