"""What stands between in other people's networks, in small: inspectors, portals, proxies of bad manners.

Each is an asyncio server on a thread in a namespace of netns.py. nft sends it what was meant for others (redirect), so
that the original destination is known; with `to` all goes there instead.
"""
import asyncio
import ipaddress
import socket
import struct
import threading

from netns import rtt

SO_ORIGINAL_DST = 80
METHODS = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN")  # four bytes tell
HEAD_MAX, PIECE = 65536, 65536
HOP_BY_HOP = {"connection", "upgrade", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer"}


def original_destination(writer):
    """Whom a connection was for before nft redirected it."""
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack_from("!H4s", raw, 2)
    return str(ipaddress.ip_address(address)), port


def reset(writer):
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def pump(reader, writer):
    """All bytes of one direction, then the end of it."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    end(writer)


def end(writer):
    """No more to it. TLS has no half of an end."""
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()


class Middlebox:
    """Listens on `port` in the namespace of `end` until stop()."""

    def __init__(self, end, port, to=None, address="0.0.0.0"):
        self.end, self.port, self.to, self.address = end, port, to, address
        self.seen = []  # first lines of requests, or b"?" for what is no HTTP
        self.loop, self.failure, self.done = None, None, None
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait(10)
        if self.failure:
            raise self.failure

    def _run(self, ready):
        try:
            rtt.enter(self.end.path)
            asyncio.run(self._listen(ready))
        except OSError as err:
            self.failure = err
        finally:
            ready.set()

    async def _listen(self, ready):
        self.loop, self.done = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, self.address, self.port, limit=HEAD_MAX)
        ready.set()
        await self.done.wait()
        server.close()

    def stop(self):
        if self.loop and self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.done.set)
            self.thread.join(10)

    async def _accept(self, reader, writer):
        try:
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self.serve(reader, writer)
        except (OSError, EOFError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def upstream(self, writer):
        return await self.connect(self.to or original_destination(writer))

    async def connect(self, address, **how):
        reader, writer = await asyncio.open_connection(*address, limit=HEAD_MAX, **how)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return reader, writer

    async def carry(self, reader, writer, begin=b""):
        """All that comes after these bytes, both ways, until both have ended."""
        up_reader, up_writer = await self.upstream(writer)
        try:
            up_writer.write(begin)
            await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))
        finally:
            up_writer.close()

    async def serve(self, reader, writer):
        raise NotImplementedError


class Inspector(Middlebox):
    """Accepts, and lets through what begins like HTTP. The rest: read and never answered."""

    async def serve(self, reader, writer):
        begin = await reader.readexactly(4)
        self.seen.append(begin)
        if begin not in METHODS:
            while await reader.read(PIECE):
                pass
            return
        await self.carry(reader, writer, begin)


class Portal(Middlebox):
    """A captive portal: 302 to its login page for each request, 400 for what is none."""

    location = "http://login.portal.test/"

    async def serve(self, reader, writer):
        begin = await reader.readexactly(4)
        self.seen.append(begin)
        is_http = begin in METHODS
        if is_http:
            await reader.readuntil(b"\r\n\r\n")
        first = f"302 Found\r\nLocation: {self.location}" if is_http else "400 Bad Request"
        writer.write(f"HTTP/1.1 {first}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        writer.write_eof()
        while await reader.read(PIECE):  # what is left unread would reset the reply away
            pass


class Head:
    """First line and fields, as they travel."""

    def __init__(self, data):
        lines = data.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.fields = [tuple(line.split(":", 1)) for line in lines[1:] if ":" in line]

    def get(self, name):
        return next((value.strip().lower() for key, value in self.fields if key.lower() == name), None)

    def without(self, names):
        return [(key, value) for key, value in self.fields if key.lower() not in names]


async def body_pieces(reader, head, is_reply, has_none=False):
    """The body in pieces, as it travels: chunks keep their frames."""
    if head.get("transfer-encoding") == "chunked":
        size = 1
        while size:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line + await reader.readexactly(size + 2)
    elif head.get("content-length") is not None:
        left = int(head.get("content-length"))
        while left:
            piece = await reader.read(min(left, PIECE))
            if not piece:
                raise EOFError
            left -= len(piece)
            yield piece
    elif is_reply and not has_none:
        while piece := await reader.read(PIECE):
            yield piece


class HttpProxy(Middlebox):
    """One request at a time, and no upgrades; resets what is no HTTP. `buffers`: nothing of a message goes on before
    all of it has come. `closes`: one request for each connection. `hides`: fields that get lost, either way."""

    def __init__(self, end, port, buffers=False, closes=False, hides=(), **where):
        self.buffers, self.closes, self.hides = buffers, closes, HOP_BY_HOP | set(hides)
        super().__init__(end, port, **where)

    async def serve(self, reader, writer):
        up_reader, up_writer = None, None
        try:
            while True:
                begin = await reader.readexactly(4)
                self.seen.append(begin)
                if begin not in METHODS:
                    await self.refuse(reader, writer)
                    return
                head = Head(begin + await reader.readuntil(b"\r\n\r\n"))
                if not up_writer:
                    up_reader, up_writer = await self.upstream(writer)
                await self._pass_on(head.line, head, self.hides, body_pieces(reader, head, False), up_writer)
                if await self._reply(head, up_reader, writer):
                    break
            end(writer)
        finally:
            if up_writer:
                up_writer.close()

    async def refuse(self, _reader, writer):
        """What is no HTTP."""
        reset(writer)

    async def _reply(self, request, up_reader, writer):
        """True: it was the last one of this connection."""
        head = Head(await up_reader.readuntil(b"\r\n\r\n"))
        has_none = request.line.startswith("HEAD ") or head.line.split()[1] in ("204", "304")
        delimited = has_none or head.get("content-length") or head.get("transfer-encoding")
        last = self.closes or not delimited or "close" in (head.get("connection"), request.get("connection"))
        pieces = body_pieces(up_reader, head, True, has_none)
        await self._pass_on(head.line, head, self.hides, pieces, writer,
                            [("Connection", " close" if last else " keep-alive")])
        return last

    async def _pass_on(self, line, head, without, pieces, writer, more=()):
        fields = "".join(f"{name}:{value}\r\n" for name, value in [*head.without(without), *more])
        data = f"{line}\r\n{fields}\r\n".encode("latin-1")
        async for piece in pieces:
            data += piece
            if not self.buffers:
                writer.write(data)
                await writer.drain()
                data = b""
        writer.write(data)
        await writer.drain()
