"""A small RTMP client over a plain socket: the independent referee, and the attacker.

It shares nothing with Culvert: written from the specification, strict in what it reads (a breach of
the chunk format raises ProtocolError) and free in what it sends (any bytes, any order).
"""
import collections
import os
import socket
import ssl
import struct
import time

CHUNK_SIZE, ABORT, ACK, USER_CONTROL, WINDOW, PEER_BANDWIDTH = 1, 2, 3, 4, 5, 6
AUDIO, VIDEO, DATA3, COMMAND3, DATA, COMMAND = 8, 9, 15, 17, 18, 20
STREAM_BEGIN, STREAM_EOF, SET_BUFFER, PING, PONG = 0, 1, 3, 6, 7
HANDSHAKE_BYTES = 1536


class Closed(Exception):
    """The peer closed or reset the connection."""


class TimedOut(Exception):
    """What was waited for did not come in time."""


class ProtocolError(Exception):
    """The peer broke the specification."""


class Refused(Exception):
    """An _error or an onStatus of level error; args[0] is its info object."""


def receive(sock, seconds, most=1 << 18):
    """Bytes of the peer, at least one; inside TLS, too, where the descriptor does not tell what has come."""
    before = sock.gettimeout()
    sock.settimeout(max(0.001, seconds))
    try:
        data = sock.recv(most)
    except socket.timeout as err:
        raise TimedOut("nothing came in time") from err
    except (ConnectionResetError, BrokenPipeError, ssl.SSLError) as err:
        raise Closed(str(err)) from err
    finally:
        sock.settimeout(before)
    if not data:
        raise Closed("end of stream")
    return data


# ---- AMF0

class Ecma(dict):
    """A dict that travels as an ECMA array."""


class Raw(bytes):
    """Bytes that are put in place of a value as they are."""


class _Undefined:
    def __repr__(self):
        return "undefined"


UNDEFINED = _Undefined()


def _amf_pairs(value):
    out = b""
    for key, item in value.items():
        name = key.encode()
        out += struct.pack(">H", len(name)) + name + amf_encode(item)
    return out + b"\0\0\x09"


def _amf_string(value):
    data = value.encode()
    if len(data) > 0xFFFF:
        return b"\x0c" + struct.pack(">I", len(data)) + data
    return b"\x02" + struct.pack(">H", len(data)) + data


def amf_encode(*values):
    out = b""
    for value in values:
        if isinstance(value, Raw):
            out += bytes(value)
        elif isinstance(value, bool):
            out += b"\x01" + bytes([value])
        elif isinstance(value, (int, float)):
            out += b"\x00" + struct.pack(">d", value)
        elif isinstance(value, str):
            out += _amf_string(value)
        elif value is None:
            out += b"\x05"
        elif value is UNDEFINED:
            out += b"\x06"
        elif isinstance(value, Ecma):
            out += b"\x08" + struct.pack(">I", len(value)) + _amf_pairs(value)
        elif isinstance(value, dict):
            out += b"\x03" + _amf_pairs(value)
        elif isinstance(value, (list, tuple)):
            out += b"\x0a" + struct.pack(">I", len(value)) + amf_encode(*value)
        else:
            raise TypeError(type(value))
    return out


def _amf_read_pairs(data, pos):
    pairs = {}
    while True:
        size = struct.unpack_from(">H", data, pos)[0]
        pos += 2
        key = data[pos:pos + size].decode("utf-8", "surrogateescape")
        pos += size
        if not size and data[pos:pos + 1] == b"\x09":
            return pairs, pos + 1
        pairs[key], pos = _amf_read(data, pos)


def _amf_read_text(data, pos, size):
    if pos + size > len(data):
        raise ProtocolError("amf: string longer than its message")
    return data[pos:pos + size].decode("utf-8", "surrogateescape"), pos + size


def _amf_read(data, pos):
    marker = data[pos]
    pos += 1
    if marker == 0x00:
        return struct.unpack_from(">d", data, pos)[0], pos + 8
    if marker == 0x01:
        return bool(data[pos]), pos + 1
    if marker == 0x02:
        return _amf_read_text(data, pos + 2, struct.unpack_from(">H", data, pos)[0])
    if marker == 0x03:
        return _amf_read_pairs(data, pos)
    if marker == 0x05:
        return None, pos
    if marker == 0x06:
        return UNDEFINED, pos
    if marker == 0x08:
        pairs, pos = _amf_read_pairs(data, pos + 4)
        return Ecma(pairs), pos
    if marker == 0x0A:
        count = struct.unpack_from(">I", data, pos)[0]
        pos += 4
        items = []
        for _ in range(count):
            item, pos = _amf_read(data, pos)
            items.append(item)
        return items, pos
    if marker == 0x0B:
        return struct.unpack_from(">d", data, pos)[0], pos + 10
    if marker == 0x0C:
        return _amf_read_text(data, pos + 4, struct.unpack_from(">I", data, pos)[0])
    raise ProtocolError(f"amf: marker {marker:#x}")


def amf_decode(data):
    """All values of a message body."""
    values, pos = [], 0
    try:
        while pos < len(data):
            value, pos = _amf_read(data, pos)
            values.append(value)
    except (struct.error, IndexError) as err:
        raise ProtocolError(f"amf: truncated body {data[:80]!r}") from err
    return values


# ---- messages

class Message(collections.namedtuple("Message", "type timestamp msid csid payload")):
    """One RTMP message; timestamp in ms modulo 2^32."""

    @property
    def is_media(self):
        return self.type in (AUDIO, VIDEO)

    @property
    def is_key(self):
        """A key frame with a picture in it: no header, no end mark."""
        if self.type != VIDEO or len(self.payload) < 2:
            return False
        first = self.payload[0]
        if first >> 4 & 7 != 1:
            return False
        return first & 15 in (1, 3) if first & 0x80 else self.payload[1] == 1

    @property
    def is_header(self):
        if len(self.payload) < 2:
            return False
        first = self.payload[0]
        if self.type == VIDEO:
            return first & 15 == 0 if first & 0x80 else first & 15 in (7, 12) and self.payload[1] == 0
        if self.type == AUDIO:
            return first & 15 == 0 if first >> 4 == 9 else first >> 4 == 10 and self.payload[1] == 0
        return False

    def values(self):
        if self.type in (COMMAND3, DATA3):
            return amf_decode(self.payload[1:])
        return amf_decode(self.payload)

    def user_control(self):
        """(event, first u32) of a User Control message."""
        return struct.unpack_from(">HI", self.payload)


def delta_ms(later, earlier):
    """later - earlier modulo 2^32, as a signed number."""
    return (later - earlier + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def basic_header(fmt, csid):
    if csid < 64:
        return bytes([fmt << 6 | csid])
    if csid < 320:
        return bytes([fmt << 6, csid - 64])
    return bytes([fmt << 6 | 1, csid - 64 & 255, csid - 64 >> 8])


def chunks(kind, payload, timestamp=0, msid=0, csid=3, chunk_size=128, fmt=0, delta=0):
    """One message in chunks; fmt 0 is absolute, fmt 1 carries delta."""
    stamp = (timestamp if fmt == 0 else delta) & 0xFFFFFFFF
    extended = struct.pack(">I", stamp) if stamp >= 0xFFFFFF else b""
    out = basic_header(fmt, csid) + min(stamp, 0xFFFFFF).to_bytes(3, "big")
    out += len(payload).to_bytes(3, "big") + bytes([kind])
    if fmt == 0:
        out += struct.pack("<I", msid)
    parts = [out + extended + payload[:chunk_size]]
    for pos in range(chunk_size, len(payload), chunk_size):
        parts.append(basic_header(3, csid) + extended + payload[pos:pos + chunk_size])
    return b"".join(parts)


class _ChunkStream:
    """What one chunk stream of the peer remembers."""

    def __init__(self):
        self.timestamp = self.delta = self.length = self.type = self.msid = 0
        self.extended = None
        self.partial = None


class RtmpClient:
    """A connection, inside TLS with a context for it. Every wait has a time-out in seconds."""

    def __init__(self, port, host="127.0.0.1", timeout_s=10, receive_buffer=None, source=None, tls=None,
                 sock=None):
        self.sock = sock or socket.socket()
        if source:
            self.sock.bind((source, 0))
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout_s)
        if not sock:
            self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=host)
        self.host, self.port, self.timeout_s = host, port, timeout_s
        self.local_port = self.sock.getsockname()[1]
        self.out_chunk = self.in_chunk = 128
        self.answer_pings = True
        self.inbox = collections.deque()
        self._buf, self._pos = bytearray(), 0
        self._in, self._out = {}, {}
        self._received = self._acked = 0
        self._window = 0
        self._last_id = 0

    # -- bytes

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def reset(self):
        """Ends the connection with a TCP reset, as a killed machine's peer sees it."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as err:
            raise Closed(str(err)) from err

    def _read(self, deadline):
        return receive(self.sock, deadline - time.monotonic())

    def _fill(self, deadline):
        data = self._read(deadline)
        if self._pos:
            del self._buf[:self._pos]
            self._pos = 0
        self._buf += data
        self._received += len(data)
        if self._window and self._received - self._acked >= self._window // 2:
            self._acked = self._received
            self.send_raw(chunks(ACK, struct.pack(">I", self._received & 0xFFFFFFFF), csid=2,
                                 chunk_size=self.out_chunk))

    def _exactly(self, count, deadline):
        while len(self._buf) - self._pos < count:
            self._fill(deadline)
        data = bytes(self._buf[self._pos:self._pos + count])
        self._pos += count
        return data

    def closed_within(self, seconds):
        """Seconds until the peer closed, or None. What still arrives is thrown away."""
        start = time.monotonic()
        try:
            while True:
                self._buf.clear()
                self._pos = 0
                self._fill(start + seconds)
        except Closed:
            return time.monotonic() - start
        except TimedOut:
            return None

    # -- handshake

    def handshake(self, c1=None):
        """The simple handshake. Returns (S1, S2)."""
        c1 = c1 or struct.pack(">II", 0, 0) + os.urandom(HANDSHAKE_BYTES - 8)
        self.send_raw(b"\x03" + c1)
        deadline = time.monotonic() + self.timeout_s
        answer = self._exactly(1 + 2 * HANDSHAKE_BYTES, deadline)
        if answer[0] != 3:
            raise ProtocolError(f"S0 is {answer[0]}")
        s1, s2 = answer[1:1 + HANDSHAKE_BYTES], answer[1 + HANDSHAKE_BYTES:]
        self.send_raw(s1)
        return s1, s2

    # -- chunks in

    def _take_chunk(self, need):
        """The next need bytes if they are there, else IndexError (the chunk is parsed again later)."""
        end = self._cursor + need
        if end > len(self._buf):
            raise IndexError
        data = self._buf[self._cursor:end]
        self._cursor = end
        return data

    def _basic_header(self):
        first = self._take_chunk(1)[0]
        csid = first & 63
        if csid == 0:
            csid = self._take_chunk(1)[0] + 64
        elif csid == 1:
            low, high = self._take_chunk(2)
            csid = low + 256 * high + 64
        return first >> 6, csid

    def _chunk(self):
        """Parses one chunk; returns a Message when it completes one."""
        self._cursor = self._pos
        fmt, csid = self._basic_header()
        fresh = csid not in self._in
        state = self._in.get(csid) or _ChunkStream()
        if fresh and fmt > 1:
            raise ProtocolError(f"fmt {fmt} on fresh chunk stream {csid}")
        if state.partial is not None and fmt != 3:
            raise ProtocolError(f"fmt {fmt} inside a message on chunk stream {csid}")
        head = bytes(self._take_chunk((11, 7, 3, 0)[fmt]))
        field = int.from_bytes(head[:3], "big") if fmt < 3 else None
        extended = state.extended is not None if fmt == 3 else field == 0xFFFFFF
        stamp = int.from_bytes(self._take_chunk(4), "big") if extended else field
        length = int.from_bytes(head[3:6], "big") if fmt < 2 else state.length
        done = len(state.partial) if state.partial is not None else 0
        piece = self._take_chunk(min(self.in_chunk, length - done))
        # nothing is changed above this line: the chunk is complete
        self._pos = self._cursor
        self._in[csid] = state
        if state.partial is None:
            self._start_message(state, fmt, head, stamp, extended, length)
        elif extended and stamp != state.extended:
            raise ProtocolError("extended timestamp of a continuation chunk differs")
        state.partial += piece
        if len(state.partial) < state.length:
            return None
        payload, state.partial = bytes(state.partial), None
        return Message(state.type, state.timestamp, state.msid, csid, payload)

    @staticmethod
    def _start_message(state, fmt, head, stamp, extended, length):
        state.partial = bytearray()
        if fmt < 3:
            state.extended = stamp if extended else None
            state.delta = stamp
        if fmt < 2:
            state.length, state.type = length, head[6]
        if fmt == 0:
            state.msid = struct.unpack_from("<I", head, 7)[0]
            state.timestamp = stamp
        else:
            state.timestamp = state.timestamp + state.delta & 0xFFFFFFFF

    def _control(self, msg):
        """Obeys the protocol control messages; checks what may never be sent."""
        if msg.csid > 31:
            raise ProtocolError(f"chunk stream {msg.csid}: some clients cannot read it")
        if msg.type in (WINDOW, PEER_BANDWIDTH, CHUNK_SIZE) and not int.from_bytes(msg.payload[:4], "big"):
            raise ProtocolError(f"zero in a control message of type {msg.type}")
        if msg.type == CHUNK_SIZE:
            self.in_chunk = int.from_bytes(msg.payload, "big")
        elif msg.type == WINDOW:
            self._window = int.from_bytes(msg.payload, "big")
        elif msg.type == USER_CONTROL and self.answer_pings:
            event, value = msg.user_control()
            if event == PING:
                self.send_message(USER_CONTROL, struct.pack(">HI", PONG, value), csid=2)

    def _next_from_wire(self, deadline):
        while True:
            try:
                msg = self._chunk()
            except IndexError:
                self._fill(deadline)
                continue
            if msg:
                self._control(msg)
                return msg

    def recv(self, timeout_s=None):
        """The oldest message that nobody took yet."""
        if self.inbox:
            return self.inbox.popleft()
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        return self._next_from_wire(time.monotonic() + limit_s)

    def expect(self, wanted, timeout_s=None, what="message"):
        """The first message for which wanted(msg) holds; all others stay in the inbox in order."""
        for index, msg in enumerate(self.inbox):
            if wanted(msg):
                del self.inbox[index]
                return msg
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit_s
        while True:
            try:
                msg = self._next_from_wire(deadline)
            except (TimedOut, Closed) as err:
                raise type(err)(f"{err}, waiting for {what}; had {self.describe_inbox()}") from err
            if wanted(msg):
                return msg
            self.inbox.append(msg)

    def describe_inbox(self):
        return [(m.type, m.timestamp, m.payload[:40]) for m in list(self.inbox)[-12:]]

    def drain(self, quiet_s):
        """Everything that arrives until nothing came for quiet_s."""
        out = list(self.inbox)
        self.inbox.clear()
        try:
            while True:
                out.append(self._next_from_wire(time.monotonic() + quiet_s))
        except TimedOut:
            return out

    # -- messages out

    def send_message(self, kind, payload, timestamp=0, msid=0, csid=3, fmt=0):
        last = self._out.get(csid)
        delta = 0 if last is None else timestamp - last
        self._out[csid] = timestamp
        self.send_raw(chunks(kind, payload, timestamp, msid, csid, self.out_chunk,
                             0 if last is None else fmt, delta))

    def set_chunk_size(self, size):
        self.send_message(CHUNK_SIZE, struct.pack(">I", size), csid=2)
        self.out_chunk = size

    def command(self, name, *args, call_id=None, msid=0, csid=3):
        """Sends a command with null as its object. Returns its transaction id."""
        if call_id is None:
            self._last_id += 1
            call_id = self._last_id
        self.send_message(COMMAND, amf_encode(name, call_id, None, *args), msid=msid, csid=csid)
        return call_id

    def expect_command(self, name, timeout_s=None):
        """Values of the next command with this name, and its message."""
        def wanted(msg):
            return msg.type in (COMMAND, COMMAND3) and msg.values()[0] == name
        msg = self.expect(wanted, timeout_s, f"command {name}")
        return msg.values(), msg

    def expect_reply(self, call_id, timeout_s=None):
        """('_result' or '_error', values after the transaction id)."""
        def wanted(msg):
            if msg.type not in (COMMAND, COMMAND3):
                return False
            values = msg.values()
            return values[0] in ("_result", "_error") and values[1] == call_id
        values = self.expect(wanted, timeout_s, f"reply {call_id}").values()
        return values[0], values[2:]

    def expect_status(self, *codes, timeout_s=None, msid=None):
        """Info object and message of the next onStatus whose code is one of codes (none = any).

        msid: only those of this message stream.
        """
        def wanted(msg):
            if msg.type not in (COMMAND, COMMAND3) or msid not in (None, msg.msid):
                return False
            values = msg.values()
            return values[0] == "onStatus" and (not codes or values[3]["code"] in codes)
        msg = self.expect(wanted, timeout_s, f"onStatus {codes}")
        values = msg.values()
        if values[1] != 0 or values[2] is not None:
            raise ProtocolError(f"onStatus must carry id 0 and null: {values}")
        return values[3], msg

    def expect_user_control(self, event, timeout_s=None):
        def wanted(msg):
            return msg.type == USER_CONTROL and msg.user_control()[0] == event
        return self.expect(wanted, timeout_s, f"user control {event}")

    # -- conversations

    @classmethod
    def open(cls, port, app="live", tcurl=None, props=None, **kwargs):
        """TCP, handshake and connect."""
        client = cls(port, **kwargs)
        client.handshake()
        client.connect(app, tcurl, props)
        return client

    def connect(self, app="live", tcurl=None, props=None):
        self._last_id = 1
        info = {"app": app, "type": "nonprivate", "flashVer": "FMLE/3.0 (raw)",
                "tcUrl": tcurl or f"rtmp://{self.host}:{self.port}/{app}"}
        info.update(props or {})
        self.send_message(COMMAND, amf_encode("connect", 1, info))
        name, values = self.expect_reply(1)
        if name == "_error":
            raise Refused(values[-1])
        if values[1]["code"] != "NetConnection.Connect.Success":
            raise ProtocolError(f"connect: {values}")
        return values

    def create_stream(self):
        name, values = self.expect_reply(self.command("createStream"))
        if name != "_result" or not values[1] >= 1:
            raise ProtocolError(f"createStream: {name} {values}")
        return int(values[1])

    def publish(self, name, kind="live"):
        """Returns the message stream id, or raises Refused."""
        self.command("releaseStream", name)
        self.command("FCPublish", name)
        msid = self.create_stream()
        self.command("publish", name, kind, msid=msid)
        info, _ = self.expect_status(msid=msid)
        if info["level"] == "error":
            raise Refused(info)
        if info["code"] != "NetStream.Publish.Start":
            raise ProtocolError(f"publish: {info}")
        return msid

    def play(self, name, start=-2000):
        """Asks to play; the caller waits for what it wants. Returns the message stream id."""
        msid = self.create_stream()
        self.command("play", name, start, msid=msid, csid=8)
        self.send_message(USER_CONTROL, struct.pack(">HII", SET_BUFFER, msid, 3000), csid=2)
        return msid

    def media(self, timeout_s=None):
        """The next audio or video message; others stay in the inbox."""
        return self.expect(lambda msg: msg.is_media, timeout_s, "media")
