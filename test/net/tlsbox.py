"""What stands before TLS in other people's networks, in small; and the ends of TLS that are not ours.

As middlebox.py: asyncio servers on threads in the namespaces of netns.py.
"""
import ssl

from certificates import tls_client
from middlebox import PIECE, HttpProxy, Middlebox, original_destination, reset

HANDSHAKE, CLIENT_HELLO, SERVER_NAME = 22, 1, 0
RECORD_HEAD, HELLO_MAX = 5, 65536
NO_NAME = ""


class NotTls(ValueError):
    """The first bytes are no ClientHello."""


class Fields:
    """Reads numbers and vectors of TLS (RFC 8446, 3) from bytes that are all there."""

    def __init__(self, data):
        self.data = data

    def take(self, count):
        if len(self.data) < count:
            raise NotTls
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def vector(self, size):
        return Fields(self.take(self.number(size)))


def handshake_bytes(data):
    """What the records that are complete carry of a handshake (RFC 8446, 5.1)."""
    if data[:1] not in (b"", bytes([HANDSHAKE])) or data[1:2] not in (b"", b"\3"):
        raise NotTls
    carried = b""
    while len(data) >= RECORD_HEAD:
        size = int.from_bytes(data[3:5], "big")
        if data[0] != HANDSHAKE or size == 0:
            raise NotTls
        if len(data) < RECORD_HEAD + size:
            break
        carried, data = carried + data[RECORD_HEAD:RECORD_HEAD + size], data[RECORD_HEAD + size:]
    return carried


def server_name(data):
    """Which server a ClientHello names (RFC 6066, 3): NO_NAME, or None when more of it must come."""
    message = handshake_bytes(data)
    if message[:1] not in (b"", bytes([CLIENT_HELLO])):
        raise NotTls
    if len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        return None
    hello = Fields(message[1:]).vector(3)
    hello.take(2 + 32)  # version, random
    for size in (1, 2, 1):  # session, cipher suites, compression
        hello.vector(size)
    extensions = hello.vector(2) if hello.data else Fields(b"")
    while extensions.data:
        kind, value = extensions.number(2), extensions.vector(2)
        if kind == SERVER_NAME:
            names = value.vector(2)
            return names.vector(2).data.decode("ascii") if names.number(1) == 0 else NO_NAME
    return NO_NAME


async def client_hello(reader):
    """All that has come up to the end of the ClientHello, and the name in it."""
    data, name = b"", None
    while name is None:
        piece = await reader.read(PIECE)
        if not piece or len(data) > HELLO_MAX:
            raise NotTls
        data += piece
        name = server_name(data)
    return data, name


class SniFilter(Middlebox):
    """Lets through connections that name one of these servers in a ClientHello; the rest is reset, or read and never
    answered. `seen`: the names; b"?" for what is no TLS."""

    def __init__(self, end, port, allowed, swallows=False, **where):
        self.allowed, self.swallows = allowed, swallows
        super().__init__(end, port, **where)

    async def serve(self, reader, writer):
        try:
            data, name = await client_hello(reader)
        except NotTls:
            name = b"?"
        self.seen.append(name)
        if name in self.allowed:
            await self.carry(reader, writer, data)
        elif not self.swallows:
            reset(writer)
        else:
            while await reader.read(PIECE):
                pass


class Terminator(Middlebox):
    """TLS ends here, with this context; what is inside goes on as it is."""

    def __init__(self, end, port, context, **where):
        self.context = context
        super().__init__(end, port, **where)

    async def serve(self, reader, writer):
        await writer.start_tls(self.context)
        await self.carry(reader, writer)


class Interceptor(HttpProxy):
    """Ends TLS with a certificate that it makes for the name that was asked for, looks at the requests inside, and
    sends them on in a TLS connection of its own. Knows HTTP alone: 400 for anything else, no upgrades.

    `heard`: all that it has read in plain text; `refusals`: how handshakes with clients failed."""

    def __init__(self, end, port, authority, server_ca, **where):
        self.authority, self.trust = authority, tls_client(server_ca)
        self.heard, self.refusals = bytearray(), []
        super().__init__(end, port, **where)

    async def serve(self, reader, writer):
        asked = [original_destination(writer)[0]]
        self._listen_to(reader)
        try:
            await writer.start_tls(self._context(asked))
        except (ssl.SSLError, OSError) as err:
            self.refusals.append(str(err))
            return
        writer.asked = asked[0]
        await super().serve(reader, writer)

    def _listen_to(self, reader):
        """To all that it will be fed; in TLS 1.3 that may be before start_tls is over."""
        take = reader.feed_data

        def note(data):
            self.heard += data
            take(data)
        reader.feed_data = note

    def _context(self, asked):
        """For one connection: takes the certificate of asked[0], which becomes the name that the client says."""
        def choose(connection, name, _context):
            asked[0] = name or asked[0]
            connection.context = self.authority.context(asked[0])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = choose
        return context

    async def upstream(self, writer):
        return await self.connect(original_destination(writer), ssl=self.trust, server_hostname=writer.asked)

    async def refuse(self, reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")


class Banner(Middlebox):
    """Another service: says who it is, and understands nothing."""

    line = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"

    async def serve(self, reader, writer):
        writer.write(self.line)
        while await reader.read(PIECE):
            pass
