"""What scanners of TLS look at (testssl.sh and the like), with openssl s_client and by hand.

Each check is done on `openssl s_server` with everything allowed, too: a client that cannot offer what is
old proves nothing.
"""
import select
import socket
import ssl
import struct
import subprocess

import pytest

import tls_kit
from rtmp_raw import TimedOut
from server import free_port, wait_until
from synth import Publisher, check_run, collect
from tls_kit import Talk, Wire, record, records, s_client

VERSIONS = ["-tls1", "-tls1_1", "-tls1_2", "-tls1_3"]
ANYTHING = ["-cipher", tls_kit.WEAK]
ALERT, HANDSHAKE = 21, 22
HANDSHAKE_FAILURE, PROTOCOL_VERSION = 40, 70
STRONG = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
          "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
          "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"}


class Lax:
    """openssl s_server that takes all it knows, with these certificates. It serves one client at a time."""

    def __init__(self, folder, issued, *more):
        self.port = free_port()
        cmd = ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert", issued.cert, "-key", issued.key,
               "-www", "-cipher", tls_kit.WEAK, "-legacy_renegotiation", "-client_renegotiation", *map(str, more)]
        with open(folder / "s_server.log", "wb") as log:
            self.process = subprocess.Popen([str(part) for part in cmd], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        wait_until(self._accepts, 10, "s_server accepts")

    def _accepts(self):
        assert self.process.poll() is None
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def both_keys(trust, issued):
    """A certificate with an ECDSA key and one with an RSA key."""
    return issued, trust.ours.issue(*tls_kit.HERE, kind="rsa")


@pytest.fixture
def lax(tmp_path, both_keys):
    ecdsa, rsa = both_keys
    one = Lax(tmp_path, ecdsa, "-dcert", rsa.cert, "-dkey", rsa.key)
    yield one
    one.close()


@pytest.fixture
def strict(start_secure, both_keys):
    """The server under test, with keys of both kinds: each has ciphers of its own."""
    return start_secure("--log-level", "debug", tls=tls_kit.settings(*both_keys))


def versions_of(port):
    """Of those that s_client has, each asked for alone."""
    return [flag for flag in VERSIONS if "Cipher is (NONE)" not in s_client(port, flag, *ANYTHING)]


def ciphers_of(port, version, ciphers):
    """All that the server would choose: the one it chooses is offered no more, until there is none that it wants."""
    left, found = list(ciphers), []
    while left:
        context = tls_kit.careless(":".join(left) + ":@SECLEVEL=0", (version, version))
        try:
            with tls_kit.connect(port, context) as sock:
                found.append(sock.cipher()[0])
        except (ssl.SSLError, ConnectionResetError):
            break
        left.remove(found[-1])
    return found


def known_ciphers():
    """Of openssl, without those of TLS 1.3, which cannot be taken off singly here."""
    out = subprocess.run(["openssl", "ciphers", "-s", "-tls1_2", tls_kit.WEAK], capture_output=True, text=True, check=True)
    return [name for name in out.stdout.strip().split(":") if not name.startswith("TLS_")]


# ---- versions, ciphers

def test_versions(strict, lax):
    assert versions_of(lax.port) == VERSIONS
    assert versions_of(strict.port) == ["-tls1_2", "-tls1_3"]


def hello(version, ciphers=(0xC02F, 0xC02B, 0x002F, 0x000A, 0x0005), compressions=b"\0", extensions=b""):
    """A ClientHello of the old kind."""
    suites = b"".join(struct.pack(">H", cipher) for cipher in ciphers)
    body = struct.pack(">H", version) + bytes(32) + b"\0" + struct.pack(">H", len(suites)) + suites
    body += bytes([len(compressions)]) + compressions
    if extensions:
        body += struct.pack(">H", len(extensions)) + extensions
    return record(HANDSHAKE, b"\1" + len(body).to_bytes(3, "big") + body, min(version, 0x0301))


# supported_groups, ec_point_formats, signature_algorithms
EXTENSIONS = b"\0\x0a\0\6\0\4\0\x1d\0\x17\0\x0b\0\2\1\0\0\x0d\0\x0a\0\x08\4\3\5\3\4\1\5\1"


def answer_to(port, data):
    """The first record: (type, body), or None."""
    with Wire(port) as wire:
        wire.send(data)
        wire.sock.shutdown(socket.SHUT_WR)
        return next(records(wire.rest()), None)


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302])
def test_old_versions_by_hand(strict, version):
    """SSL 3, which openssl cannot offer, and TLS 1.0, 1.1; 1.2 in the same words is welcome."""
    kind, body = answer_to(strict.port, hello(version, extensions=EXTENSIONS))
    assert kind == ALERT and body[1] in (PROTOCOL_VERSION, HANDSHAKE_FAILURE)
    kind, body = answer_to(strict.port, hello(0x0303, extensions=EXTENSIONS))
    assert kind == HANDSHAKE and body[0] == 2 and body[4:6] == b"\3\3"


def test_ssl_2_is_no_tls(strict):
    """Its ClientHello has another form."""
    ssl2 = b"\x80\x2e\1\0\2\0\x15\0\0\0\x10\1\0\x80\2\0\x80\3\0\x80\4\0\x80\5\0\x80\6\0\x40\7\0\xc0" + bytes(16)
    with Wire(strict.port) as wire:
        wire.send(ssl2)
        wire.sock.shutdown(socket.SHUT_WR)
        assert wire.rest() == b""


def test_ciphers_of_tls_1_2(strict, lax):
    known, version = known_ciphers(), ssl.TLSVersion.TLSv1_2
    assert len(known) > 50
    assert any("CBC" in name or name.endswith("SHA") for name in ciphers_of(lax.port, version, known))
    found = ciphers_of(strict.port, version, known)
    assert set(found) == {name for name in STRONG if name.startswith("ECDHE")}


def test_ciphers_of_tls_1_3(strict):
    for name in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
        assert f"Cipher is {name}" in s_client(strict.port, "-tls1_3", "-ciphersuites", name)
    for name in ("TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"):
        assert "Cipher is (NONE)" in s_client(strict.port, "-tls1_3", "-ciphersuites", name)


def test_the_server_chooses_the_cipher(strict):
    """Not the client's first one, but for ChaCha: who wants that has no AES in its processor."""
    last = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
    assert "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256" in s_client(strict.port, "-tls1_2", "-cipher", last)
    chacha = "ECDHE-ECDSA-CHACHA20-POLY1305:" + last
    assert "Cipher is ECDHE-ECDSA-CHACHA20-POLY1305" in s_client(strict.port, "-tls1_2", "-cipher", chacha)


def test_groups(strict, lax):
    """No finite fields: they are dear (D(HE)at, CVE-2002-20001)."""
    assert "Cipher is TLS_" in s_client(lax.port, "-tls1_3", "-groups", "ffdhe8192")
    for name in ("ffdhe2048", "ffdhe8192"):
        assert "Cipher is (NONE)" in s_client(strict.port, "-tls1_3", "-groups", name)
    for name in ("X25519", "P-256", "P-384", "P-521", "X448"):
        assert "Cipher is TLS_" in s_client(strict.port, "-tls1_3", "-groups", name)


def test_no_compression(strict):
    """DEFLATE is offered (CRIME)."""
    kind, body = answer_to(strict.port, hello(0x0303, compressions=b"\1\0", extensions=EXTENSIONS))
    assert (kind, body[0]) == (HANDSHAKE, 2)
    session_bytes = body[38]
    assert body[39 + session_bytes + 2] == 0
    kind, _ = answer_to(strict.port, hello(0x0303, compressions=b"\1", extensions=EXTENSIONS))
    assert kind == ALERT


def test_downgrades_are_told(strict):
    """A client that comes back with less, as if 1.3 had failed (RFC 7507, RFC 8446 4.1.3)."""
    kind, body = answer_to(strict.port, hello(0x0303, (0xC02B, 0xC02F, 0x5600), extensions=EXTENSIONS))
    assert (kind, body[1]) == (ALERT, 86)
    kind, body = answer_to(strict.port, hello(0x0303, extensions=EXTENSIONS))
    assert kind == HANDSHAKE and body[4 + 2 + 24:4 + 2 + 32] == b"DOWNGRD\1"


# ---- renegotiation

def renegotiation(port, *args):
    """What s_client says when it asks for one in mid-connection, until that ends."""
    cmd = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", *args]
    client = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b""
    try:
        said = read_until(client.stdout, b"Verify return code")
        client.stdin.write(b"R\n")
        client.stdin.flush()
        said += read_until(client.stdout, b"RENEGOTIATING")
        client.stdin.write(b"GET / HTTP/1.0\r\n\r\n")
        client.stdin.flush()
        said += read_until(client.stdout, None)
    finally:
        client.kill()
        client.wait()
        client.stdin.close()
        client.stdout.close()
    return said


def read_until(pipe, mark, timeout_s=10):
    said = b""
    while mark is None or mark not in said:
        if not select.select([pipe], [], [], timeout_s)[0]:
            raise TimedOut(said.decode())
        piece = pipe.read1(65536)
        if not piece:
            break
        said += piece
    return said


def test_no_renegotiation_by_the_client(strict, lax, raw):
    assert b"no renegotiation" not in renegotiation(lax.port)
    viewer = raw(strict)
    viewer.play("a")
    pub = Publisher(strict.port, client=raw(strict, tls=tls_kit.careless()))
    pub.send(5)
    for args in ((), ("-legacy_renegotiation",)):
        assert b"no renegotiation" in renegotiation(strict.port, *args)
    check_run(collect(viewer, pub.send(5)), first=0)


def test_no_renegotiation_without_a_word_of_it(strict):
    """A client that does not know the safe kind (RFC 5746) is served, and cannot ask for the other one."""
    kind, body = answer_to(strict.port, hello(0x0303, extensions=EXTENSIONS))
    assert kind == HANDSHAKE
    said = s_client(strict.port, "-tls1_2")
    assert "Secure Renegotiation IS supported" in said


# ---- ALPN

def alpn(port, protocols, *args):
    return s_client(port, "-alpn", protocols, *args)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_alpn(strict, version):
    for offered, chosen in (("http/1.1", "http/1.1"), ("h2,http/1.1", "http/1.1"), ("h3,http/1.0", "http/1.0")):
        said = alpn(strict.port, offered, version)
        assert f"ALPN protocol: {chosen}" in said and "HTTP/1.1 200" in said
    assert "no application protocol" in alpn(strict.port, "h2", version)
    assert "No ALPN negotiated" in s_client(strict.port, version)


# ---- tickets

@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_tickets(strict, version, tmp_path):
    """With a file between two runs of openssl, and at once."""
    ticket = tmp_path / "ticket"
    first = alpn(strict.port, "http/1.1", version, "-sess_out", ticket)
    assert "\nNew, TLS" in first and ticket.stat().st_size > 0
    second = alpn(strict.port, "http/1.1", version, "-sess_in", ticket)
    assert "\nReused, TLS" in second and "HTTP/1.1 200" in second


def test_tickets_at_once(strict):
    """s_client comes back five times."""
    assert s_client(strict.port, "-tls1_2", "-reconnect").count("\nReused, TLSv1.2") == 5


def test_no_early_data(strict, tmp_path):
    """It could be played again by others (RFC 8446, 8)."""
    ticket, early = tmp_path / "ticket", tmp_path / "early"
    early.write_text("GET /early HTTP/1.0\r\n\r\n", encoding="ascii")
    alpn(strict.port, "http/1.1", "-tls1_3", "-sess_out", ticket)
    said = alpn(strict.port, "http/1.1", "-tls1_3", "-sess_in", ticket, "-early_data", early)
    assert "Early data was not sent" in said or "Early data was rejected" in said


def test_a_ticket_that_was_changed(strict):
    """Byte by byte: a full handshake, and never an error."""
    context = tls_kit.careless(versions=tls_kit.ONLY_1_2)
    ticket = tls_kit.session(strict.port, context)
    wanted = answer_with(strict.port, context, ticket, None)
    assert wanted
    for at in range(0, 160, 13):
        assert not answer_with(strict.port, context, ticket, at), at


def answer_with(port, context, ticket, change_at):
    """Whether the session is resumed; in the ticket the byte at change_at is another one."""
    talk = Talk(context, session=ticket)
    data = bytearray(talk.step()[0])
    if change_at is not None:
        data[find_ticket(data) + change_at] ^= 0x55
    with Wire(port) as wire:
        wire.send(data)
        got = b""
        # Its own Finished comes at once only when it resumes: Certificate (11) tells that it does not.
        while len(kinds := [body[0] for kind, body in records(got) if kind == HANDSHAKE]) < 2:
            piece = wire.receive()
            assert piece, "closed"
            got += piece
    return 11 not in kinds


def find_ticket(data):
    """Where the ticket begins in a ClientHello (extension 35)."""
    at = 5 + 4 + 2 + 32
    at += 1 + data[at]
    at += 2 + int.from_bytes(data[at:at + 2], "big")
    at += 1 + data[at] + 2
    while data[at:at + 2] != b"\0\x23":
        at += 4 + int.from_bytes(data[at + 2:at + 4], "big")
    return at + 4


# ---- old holes

def test_no_heartbeat(strict):
    """Offered in the hello; the answer does not take it up (Heartbleed)."""
    kind, body = answer_to(strict.port, hello(0x0303, extensions=EXTENSIONS + b"\0\x0f\0\1\1"))
    assert kind == HANDSHAKE and b"\0\x0f\0\1" not in body[44:]


def test_change_cipher_spec_too_early(strict):
    """CVE-2014-0224."""
    with Wire(strict.port) as wire:
        wire.send(hello(0x0303, extensions=EXTENSIONS) + b"\x14\3\3\0\1\1")
        assert [body[1] for kind, body in records(wire.rest()) if kind == ALERT] == [10]


def test_the_log_says_why_a_handshake_failed(strict):
    """A line for each, with the client's address: the first of a minute at info, the others at debug."""
    s_client(strict.port, "-tls1_1", *ANYTHING)
    s_client(strict.port, "-tls1_2", "-cipher", "AES128-SHA")
    alpn(strict.port, "h2")
    lines = wait_until(lambda: len(found := [line for line in strict.log().splitlines() if "conn.close" in line
                                             and "err=TLS" in line]) == 3 and found, 5, "three lines")
    assert all("peer=127.0.0.1:" in line for line in lines)
    assert [" info " in line for line in lines] == [True, False, False]
