"""Handshakes that are slow, broken, huge and many, and TLS that breaks later: each ends in time, in bounded memory,
and no frame of the streams beside is lost or late."""
import os
import random
import socket
import ssl
import struct
import threading
import time

import pytest

import tls_kit
import tls_raw
from rtmp_raw import STREAM_EOF, Closed, TimedOut
from server import wait_until
from site_kit import Site, reply
from synth import Publisher, check_run, collect
from test_one_port import Doing
from test_slow_viewer import MIB, has_peer
from tls_kit import Talk, Wire, client_hello, record
from web_client import Client, pieces

HANDSHAKE_S = 2
LATE_S = 3  # behind HANDSHAKE_S: the machine is busy
LATEST_S = 2  # of a frame; the same
ALERT, HANDSHAKE, APPLICATION, CHANGE_CIPHER_SPEC = 21, 22, 23, 20
LIMITS = {"handshake_s": HANDSHAKE_S}
NOISE = random.Random(7)


@pytest.fixture
def quick(start_secure):
    """A server that waits a short time for handshakes."""
    return start_secure("--log-level", "debug", limits=LIMITS)


class Beside(threading.Thread):
    """A stream inside TLS that goes on meanwhile, frame by frame; each must be there soon, in TLS and in plain text."""

    def __init__(self, server, raw, trusting):
        super().__init__(daemon=True)
        self.viewers = [raw(server, tls=trusting), raw(server)]
        for viewer in self.viewers:
            viewer.play("a")
            viewer.create_stream()
        self.pub = Publisher(server.port, client=raw(server, tls=trusting))
        self.over, self.error, self.longest_s = threading.Event(), None, 0
        self.start()

    def run(self):
        seen = [[] for _ in self.viewers]
        try:
            while not self.over.wait(0.02):
                begin = time.monotonic()
                last = self.pub.send()
                for viewer, messages in zip(self.viewers, seen):
                    messages += collect(viewer, last, timeout_s=5)
                self.longest_s = max(self.longest_s, time.monotonic() - begin)
            for messages in seen:
                check_run(messages, first=0)
        except Exception as err:  # pylint: disable=broad-except
            self.error = err

    def finish(self):
        """Goes on a little behind the attack."""
        wanted = self.pub.number + 10
        wait_until(lambda: self.error or self.pub.number > wanted, 10, "ten more frames")
        self.over.set()
        self.join(20)
        if self.error:
            raise self.error
        assert self.longest_s < LATEST_S, f"a frame was {self.longest_s:.1f} s late"


@pytest.fixture
def beside(quick, raw, trusting):
    stream = Beside(quick, raw, trusting)
    yield stream
    stream.finish()


def closed_in(wire, seconds):
    """The server closes within this time; returns what it has said."""
    said = []
    ended = threading.Thread(target=lambda: said.append(wire.rest()), daemon=True)
    begin = time.monotonic()
    ended.start()
    ended.join(seconds)
    assert said, f"still open after {time.monotonic() - begin:.1f} s"
    return said[0]


def alert_in(data):
    """The description of the alert that is the last record; None: there is none."""
    last = list(tls_kit.records(data))[-1:]
    return last[0][1][1] if last and last[0][0] == ALERT and len(last[0][1]) == 2 else None


def check_alive(server, raw):
    """It serves as before."""
    raw(server, tls=tls_kit.careless())
    with tls_kit.connect(server.port) as sock:
        assert tls_kit.ask(sock).startswith(b"HTTP/1.1 ")


def growth_limit(server):
    return (48 if server.sanitized() else 16) * MIB


# ---- slow

def drip(wire, data, over, every_s):
    """A byte at a time, until the server has closed or it is over."""
    try:
        for byte in data:
            wire.send(bytes([byte]))
            if over.wait(every_s):
                return
    except OSError:
        pass


@pytest.mark.parametrize("every_s", [0.1, 1])
def test_slow_handshake_a_byte_at_a_time(quick, beside, every_s):
    """Each byte is new, and no reason to wait longer."""
    over = threading.Event()
    with Wire(quick.port) as wire:
        dripping = threading.Thread(target=drip, args=(wire, client_hello(), over, every_s), daemon=True)
        dripping.start()
        closed_in(wire, HANDSHAKE_S + LATE_S)
        over.set()
        dripping.join(5)


STOPS = {"one byte": 1, "record type and version": 3, "record head": 5, "half": 200, "all but one": -1}


@pytest.mark.parametrize("length", STOPS.values(), ids=STOPS)
def test_half_a_client_hello(quick, beside, length):
    with Wire(quick.port) as wire:
        wire.send(client_hello()[:length])
        closed_in(wire, HANDSHAKE_S + LATE_S)
    wait_until(lambda: "err=TIMEOUT" in quick.log(), 5, "a line")


@pytest.mark.parametrize("version", tls_kit.VERSIONS)
def test_nothing_behind_the_client_hello(quick, beside, version):
    """The server has answered, with all that costs it."""
    with Wire(quick.port) as wire:
        wire.send(client_hello(tls_kit.careless(versions=(version, version))))
        assert len(closed_in(wire, HANDSHAKE_S + LATE_S)) > 500


def test_nothing_inside_tls(quick, beside):
    """The same clock goes on for the first words."""
    with Wire(quick.port) as wire:
        Talk().shake(wire.send, wire.receive)
        closed_in(wire, HANDSHAKE_S + LATE_S)
    wait_until(lambda: "it began TLS and said nothing in it" in quick.log(), 5, "a line")


def test_half_of_rtmps_own_handshake(quick, beside):
    with Wire(quick.port) as wire:
        talk = Talk()
        talk.shake(wire.send, wire.receive)
        wire.send(talk.seal(b"\3" + bytes(1000)))
        closed_in(wire, 2 * HANDSHAKE_S + LATE_S)


def test_a_hello_in_pieces_is_no_attack(quick):
    """In one-byte records, and in one-byte segments: both are right, if odd."""
    for cut in ("records", "segments"):
        with Wire(quick.port) as wire:
            talk = Talk()
            hello = talk.step()[0]
            if cut == "records":
                wire.send(b"".join(record(HANDSHAKE, hello[at:at + 1]) for at in range(5, len(hello))))
            else:
                wire.send_slowly(hello, 1)
            talk.shake(wire.send, wire.receive)
            wire.send(talk.seal(b"GET / HTTP/1.0\r\n\r\n"))
            assert b" 200 " in talk.read(wire.receive)


# ---- many

def flood(server, count, data, source=None):
    """So many connections that have said this, and nothing more."""
    wires = [Wire(server.port, source or f"127.0.1.{number % 250 + 1}") for number in range(count)]
    for wire in wires:
        wire.send(data)
    return wires


@pytest.mark.limit_s(120)
@pytest.mark.parametrize("what", ["half", "whole"])
def test_flood_of_two_hundred_half_open_handshakes(quick, beside, raw, what):
    """All are ended, what they took is given back, and the next round costs no more."""
    hello = client_hello()
    data = hello[:300] if what == "half" else hello
    sizes = []
    for _ in range(4):
        wires = flood(quick, 200, data)
        for wire in wires:
            closed_in(wire, HANDSHAKE_S + LATE_S + 5)
            wire.sock.close()
        sizes.append(quick.rss_bytes())
    assert sizes[-1] - sizes[0] < growth_limit(quick), sizes
    check_alive(quick, raw)


@pytest.mark.limit_s(120)
def test_a_flood_of_handshakes_that_are_cut(quick, beside, raw):
    """As fast as they come, at any place, by FIN and by RST."""
    hello = client_hello()
    before = quick.rss_bytes()
    for number in range(600):
        with Wire(quick.port, f"127.0.1.{number % 250 + 1}") as wire:
            wire.send(hello[:NOISE.randrange(1, len(hello) + 1)])
            if number % 2:
                wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    check_alive(quick, raw)
    assert quick.rss_bytes() - before < growth_limit(quick)


def test_connections_that_shake_hands_are_counted(start_secure):
    """As any others of their address."""
    server = start_secure(limits={"connections_per_address_max": 5, **LIMITS})
    wires = flood(server, 5, client_hello()[:100], "127.0.0.7")
    with Wire(server.port, "127.0.0.7") as wire:
        assert wire.rest() == b""
    tls_kit.connect(server.port).close()
    for wire in wires:
        wire.sock.close()


# ---- broken

def grown(hello, message_bytes):
    """A ClientHello with an unknown extension that makes it so long, in as many records as it takes."""
    body = bytearray(hello[5:])
    at = 4 + 2 + 32
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at:at + 2], "big")
    at += 1 + body[at]
    fill = message_bytes - len(body) - 4
    body[at:at + 2] = (int.from_bytes(body[at:at + 2], "big") + 4 + fill).to_bytes(2, "big")
    body += struct.pack(">HH", 0xFDE8, fill) + bytes(fill)
    body[1:4] = (len(body) - 4).to_bytes(3, "big")
    return b"".join(record(HANDSHAKE, body[pos:pos + 16384]) for pos in range(0, len(body), 16384))


BROKEN = {
    "garbage": b"\x16\3" + NOISE.randbytes(5000),
    "garbage in a record": record(HANDSHAKE, NOISE.randbytes(3000)),
    "another message": record(HANDSHAKE, b"\x0b\0\0\x04abcd"),
    "application data": record(HANDSHAKE, client_hello()[5:50]) + record(APPLICATION, bytes(500)),
    "alert in the middle": record(HANDSHAKE, client_hello()[5:50]) + record(ALERT, b"\2\x28"),
    "record of 64 KB": b"\x16\3\1\xff\xff" + bytes(70_000),
    "version 3.77": b"\x16\3\x4d\0\x05\1\0\0\1\0" + bytes(100),
    "hello of 16 MB": record(HANDSHAKE, b"\1\xff\xff\xff\3\3" + bytes(16000)) + record(HANDSHAKE, bytes(16000)) * 60,
    "empty records": record(HANDSHAKE, b"") * 5000,
    "empty records between": b"".join(record(HANDSHAKE, client_hello()[5 + n:6 + n]) + record(HANDSHAKE, b"") * 100
                                      for n in range(200)),
    "hello with lengths that lie": record(HANDSHAKE, b"\1\0\0\x2a\3\3" + bytes(32) + b"\xff" + bytes(7)),
    "two hellos": client_hello() * 2,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_handshakes_end_at_once(quick, beside, raw, data):
    """Not by the clock; where there is a word for it, it is said."""
    begin = time.monotonic()
    with Wire(quick.port) as wire:
        try:
            wire.send(data)
        except OSError:
            pass
        closed_in(wire, HANDSHAKE_S + LATE_S)
    assert time.monotonic() - begin < HANDSHAKE_S
    check_alive(quick, raw)


@pytest.mark.parametrize("kb", [16, 60])
def test_a_large_hello_is_welcome(quick, kb):
    """Those of today have 2 KB (post-quantum keys); the limit of OpenSSL is 128 KB."""
    with Wire(quick.port) as wire:
        wire.send(grown(client_hello(), kb * 1024))
        assert wire.receive()[0] == HANDSHAKE


def test_change_cipher_spec_without_end(quick, beside):
    """TLS 1.3 throws it away wherever it comes; not for ever."""
    with Wire(quick.port) as wire:
        wire.send(client_hello())
        done = threading.Thread(target=pour, args=(wire, record(CHANGE_CIPHER_SPEC, b"\1") * 100), daemon=True)
        done.start()
        closed_in(wire, HANDSHAKE_S + LATE_S)
        done.join(5)


def pour(wire, data):
    try:
        while True:
            wire.send(data)
    except OSError:
        pass


@pytest.mark.parametrize("seed", range(3))
def test_changed_bytes_anywhere(quick, beside, raw, seed):
    """Of a whole connection: the hello, what follows it, and the requests inside."""
    changes = random.Random(seed)
    for _ in range(40):
        with Wire(quick.port) as wire:
            try:
                talk_with_an_error(wire, changes)
            except (OSError, EOFError):
                pass
    check_alive(quick, raw)


def talk_with_an_error(wire, changes):
    place = changes.randrange(900)

    def send(data):
        nonlocal place
        if place is not None and place < len(data):
            data = data[:place] + bytes([data[place] ^ 1 << changes.randrange(8)]) + data[place + 1:]
            place = None
        elif place is not None:
            place -= len(data)
        wire.send(data)

    def receive():
        data = wire.receive()
        if not data:
            raise EOFError
        return data
    talk = Talk()
    wire.sock.settimeout(HANDSHAKE_S + LATE_S)
    talk.shake(send, receive)
    send(talk.seal(b"GET / HTTP/1.0\r\n\r\n"))
    talk.read(receive)


# ---- inside

def test_tls_inside_tls(quick, beside):
    with tls_kit.connect(quick.port) as sock:
        sock.sendall(client_hello())
        assert tls_kit.ended(sock)
    wait_until(lambda: "TLS inside TLS" in quick.log(), 5, "a line")


def test_what_is_inside_is_judged_as_in_plain_text(quick, beside, raw):
    """RTMPE, HTTP/2, garbage."""
    for data in (b"\6" + bytes(1536), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\xff" * 100, b"GET / HTTP/9.9\r\n\r\n"):
        with tls_kit.connect(quick.port) as sock:
            sock.sendall(data)
            sock.settimeout(HANDSHAKE_S + LATE_S)
            try:
                while sock.recv(65536):
                    pass
            except (ConnectionResetError, tls_kit.EOF):
                pass
    check_alive(quick, raw)


def test_records_of_one_byte(quick, raw):
    """A stream in thousands of tiny records, which the raw client's sends are."""
    viewer = raw(quick)
    viewer.play("a")
    viewer.create_stream()
    client = raw(quick, tls=tls_kit.careless())
    whole = client.send_raw
    pub = Publisher(quick.port, client=client)
    client.send_raw = lambda data: [whole(data[at:at + 1]) for at in range(len(data))]
    last = pub.send(5)
    check_run(collect(viewer, last), first=0)


# ---- ends

@pytest.mark.parametrize("how", ["fin", "rst", "close_notify"])
def test_publisher_ends_in_any_way(start_secure, raw, trusting, how):
    """All that it had sent is delivered, its end is told, and nothing is an error of ours."""
    server = start_secure("--log-level", "debug")
    viewer = raw(server, tls=trusting)
    viewer.play("a")
    viewer.create_stream()
    pub = Publisher(server.port, client=raw(server, tls=trusting))
    last = pub.send(30)
    pub.sync()
    if how == "close_notify":
        pub.client.sock.unwrap().close()
    else:
        pub.client.reset() if how == "rst" else pub.client.close()
    check_run(collect(viewer, last), first=0)
    viewer.expect_user_control(STREAM_EOF, 10)
    assert " error " not in server.log()
    raw.keep(Publisher.when_free(server.port, client=None).client)


def test_only_our_side_is_closed(quick, trusting):
    """A client that has said close_notify still gets the answer that it has asked for."""
    with Wire(quick.port) as wire:
        talk = Talk(trusting, "127.0.0.1")
        talk.shake(wire.send, wire.receive)
        data = talk.seal(b"GET / HTTP/1.0\r\n\r\n")
        try:
            talk.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        wire.send(data + talk.outgoing.read())
        assert b" 200 " in talk.read(wire.receive)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_early_cut_while_an_answer_is_written(start_secure, raw, trusting, tmp_path, how):
    """Downloads that are left in the middle cost nothing that lasts."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www/big").write_bytes(b"".join(pieces(30)))
    server = start_secure(site=str(tmp_path / "www"))
    beside = Beside(server, raw, trusting)

    def leave(times):
        for number in range(times):
            client = Client(server, buffer_bytes=32768, tls=trusting)
            client.ask("GET /big HTTP/1.1")
            client.take(1 + number * 5000)
            client.reset() if how == "rst" else client.close()
        return server.rss_bytes()
    before = leave(30)
    assert leave(60) - before < growth_limit(server)
    beside.finish()
    check_alive(server, raw)


def test_an_upload_that_is_cut_is_not_whole(start_secure, trusting):
    """Without close_notify, and without a length that tells: the site must not take half for the whole."""
    got = []

    def take(wire, _head):
        try:
            while True:
                got.append(wire.take(1))
        except Exception:
            got.append(None)
            raise
    site = Site(take)
    server = start_secure(site=site.url)
    client = Client(server, tls=trusting)
    client.ask("POST /a HTTP/1.1", "Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n")
    wait_until(lambda: b"hello" in site.seen, 5, "the first half")
    client.close()
    wait_until(lambda: None in got, 10, "the end at the site")
    assert b"0\r\n\r\n" not in site.seen
    site.close()


def test_clients_that_read_nothing(start_secure, raw, trusting):
    """Downloads of which nobody reads a byte, not even of the end: bounded, and ended by write_stall_s."""
    body = os.urandom(1 << 20) * 20
    site = Site(lambda wire, head: wire.send(reply(body)))
    server = start_secure(site=site.url, limits={"write_stall_s": 2})
    beside = Beside(server, raw, trusting)
    before = server.rss_bytes()
    clients = [Client(server, buffer_bytes=16384, tls=trusting) for _ in range(20)]
    for client in clients:
        client.ask("GET / HTTP/1.1")
    wait_until(lambda: len(site.heads) == 20, 10, "all requests")
    highest = 0

    def all_ended():
        nonlocal highest
        highest = max(highest, server.rss_bytes())
        return not any(has_peer(server, client.sock.getsockname()[1]) for client in clients)
    wait_until(all_ended, 15, "their ends")
    assert highest - before < 20 * MIB + growth_limit(server)
    beside.finish()
    for client in clients:
        client.close()
    site.close()


# ---- keys

@pytest.mark.parametrize("kind", [tls_raw.UPDATE_NOT_REQUESTED, tls_raw.UPDATE_REQUESTED], ids=["told", "asked for"])
def test_flood_of_new_keys(quick, beside, raw, kind):
    """Each costs the server two derivations, and an answer where it is asked for; that is never read."""
    before = quick.rss_bytes()
    work = Doing(update_without_end, quick, kind)
    with pytest.raises(Closed):
        work.finish(20)
    assert quick.rss_bytes() - before < growth_limit(quick)
    check_alive(quick, raw)


def update_without_end(server, kind):
    with tls_raw.RawTls(server.port, receive_buffer=4096) as client:
        client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        begin = time.monotonic()
        while time.monotonic() - begin < 15:
            client.update_keys(kind)
    raise TimedOut("it takes them all")


def test_new_keys_now_and_then(quick, raw):
    """As clients of long streams do (RFC 8446, 5.5); more of them than may come with nothing between. The kernel's
    TLS can take no new keys for what it sends."""
    with tls_raw.RawTls(quick.port) as client:
        kinds = 1 if wait_until(lambda: "kernel=" in quick.log(), 5) and "kernel=yes" in quick.log() else 2
        for number in range(100):
            client.update_keys(number % kinds)
            client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 200 " in client.read()
    check_alive(quick, raw)
