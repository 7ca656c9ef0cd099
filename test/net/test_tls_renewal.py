"""Certificates: renewed under streams that go on, broken ones that change nothing, and the choice by name."""
import os
import shutil
import signal
import ssl

import pytest

import tls_kit
from clients import Playing
from rtmp_raw import VIDEO
from rtmpt_raw import Tunnel
from server import wait_until
from synth import Publisher, check_run, collect
from tls_kit import fingerprint, shown
from web_client import Client, pieces

MIB = 1 << 20
WATCHES = {"signal": 0, "watch": 1}
BROKEN = {
    "garbage": lambda cert, key: cert.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    "empty": lambda cert, key: cert.write_bytes(b""),
    "cut": lambda cert, key: cert.write_bytes(cert.read_bytes()[:200]),
    "gone": lambda cert, key: cert.unlink(),
    "no key": lambda cert, key: key.write_bytes(cert.read_bytes()),
    "not of this key": None,  # another certificate alone
}


class Files:
    """fullchain.pem and privkey.pem, as a program for certificates replaces them."""

    def __init__(self, folder, issued):
        folder.mkdir()
        self.cert, self.key = folder / "fullchain.pem", folder / "privkey.pem"
        self.show(issued)

    def show(self, issued, both=True):
        for source, place in ((issued.cert, self.cert), (issued.key, self.key))[:2 if both else 1]:
            new = place.with_suffix(".new")
            shutil.copy(source, new)
            os.replace(new, place)


@pytest.fixture
def files(tmp_path, issued):
    return Files(tmp_path / "certificates", issued)


@pytest.fixture
def renewed(trust):
    return trust.ours.issue(*tls_kit.HERE)


def reload(server):
    count = server.log().count("server.reload")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log().count("server.reload") > count, 10, "reload")


def shows(server, issued, timeout_s=15):
    wait_until(lambda: shown(server.port) == fingerprint(issued), timeout_s, "the other certificate is shown")


class Visitors:
    """Who must not notice: a publisher and viewers in all ways, and a download that has only begun."""

    def __init__(self, server, raw, trusting):
        self.server = server
        self.pub = Publisher(server.port, client=raw(server, tls=trusting))
        self.viewers = [raw(server, tls=trusting), Tunnel(server.port, tls=trusting), raw(server)]
        raw.keep(self.viewers[1])
        self.viewers[1].handshake()
        self.viewers[1].connect()
        for viewer in self.viewers:
            viewer.play("a")
            viewer.create_stream()
        self.seen = [[] for _ in self.viewers]
        self.web = Client(server, buffer_bytes=65536, tls=trusting)
        self.web.ask("GET /big HTTP/1.1")
        self.web.head()

    def go_on(self):
        last = self.pub.send(10)
        for viewer, seen in zip(self.viewers, self.seen):
            seen += collect(viewer, last)

    def finish(self, expected):
        self.go_on()
        for seen in self.seen:
            check_run(seen, first=0)
        for at in range(0, len(expected), MIB):
            assert self.web.take(min(MIB, len(expected) - at)) == expected[at:at + MIB]
        self.web.close()


@pytest.fixture
def big(tmp_path):
    """A folder with a file that no buffers swallow."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www/big").write_bytes(b"".join(pieces(40)))
    return tmp_path / "www"


@pytest.mark.parametrize("how", WATCHES)
def test_renewed_files_drop_nobody(start_secure, files, issued, renewed, big, raw, trusting, trust, how):
    server = start_secure("--threads", "2", site=str(big), tls=tls_kit.settings(files, watch_s=WATCHES[how]))
    visitors = Visitors(server, raw, trusting)
    for one in (renewed, trust.ours.issue(*tls_kit.HERE), issued):
        visitors.go_on()
        files.show(one)
        visitors.go_on()
        if how == "signal":
            reload(server)
        shows(server, one)
        visitors.go_on()
        raw(server, tls=trusting)
    visitors.finish((big / "big").read_bytes())


def test_renewed_under_real_programs(start_secure, files, renewed, clients, clip, tmp_path, raw):
    server = start_secure(tls=tls_kit.settings(files, watch_s=1))
    secure = server.url().replace("rtmp://", "rtmps://")
    ways = [("ffmpeg", secure), ("ffmpeg", secure.replace("rtmps", "rtmpts")), ("rtmpdump", secure)]
    playing = [Playing(clients, name, url, tmp_path / f"{i}.flv") for i, (name, url) in enumerate(ways)]
    publishing = clients.ffmpeg_publish(secure, clip("h264_aac"))
    scout = raw(server)
    scout.play("a")
    scout.media(20)
    files.show(renewed)
    shows(server, renewed)
    assert publishing.is_running(), "the stream was too short for this test"
    publishing.wait(30)
    for one in playing:
        one.finish(clip("h264_aac"))


@pytest.mark.parametrize("how", WATCHES)
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_change_nothing(start_secure, files, issued, renewed, raw, trusting, kind, how):
    """The log says what is wrong, once, and the next good pair is taken."""
    server = start_secure(tls=tls_kit.settings(files, watch_s=WATCHES[how]))
    pub = Publisher(server.port, client=raw(server, tls=trusting))
    before = len(server.log())
    if BROKEN[kind]:
        BROKEN[kind](files.cert, files.key)
    else:
        files.show(renewed, both=False)
    if how == "signal":
        reload(server)
    said = wait_until(lambda: [line for line in server.log()[before:].splitlines() if " error " in line], 10, "a line")
    assert len(said) == 1 and (files.key if kind == "no key" else files.cert).name in said[0]
    assert shown(server.port) == fingerprint(issued)
    pub.send(5)
    pub.sync()
    files.show(renewed)
    if how == "signal":
        reload(server)
    shows(server, renewed)


def test_a_key_that_comes_late(start_secure, files, renewed):
    """Certificate first, key a moment later: nothing to complain about."""
    server = start_secure(tls=tls_kit.settings(files, watch_s=1))
    files.show(renewed, both=False)
    files.show(renewed)
    shows(server, renewed)
    assert " error " not in server.log()


def test_certificates_come_and_go_with_the_configuration(start_secure, issued, renewed, raw, trusting):
    server = start_secure()
    config = server.folder / "culvert.yaml"
    text = config.read_text(encoding="utf-8")
    viewer = raw(server, tls=trusting)
    viewer.play("a")
    viewer.create_stream()
    config.write_text(text.replace(str(issued.cert), str(renewed.cert)).replace(str(issued.key), str(renewed.key)),
                      encoding="utf-8")
    reload(server)
    shows(server, renewed)
    config.write_text(text.partition("tls:")[0], encoding="utf-8")
    reload(server)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        shown(server.port)
    pub = Publisher(server.port, client=raw(server))
    check_run(collect(viewer, pub.send(10)), first=0)
    config.write_text(text, encoding="utf-8")
    reload(server)
    shows(server, issued)


def test_tickets_outlive_a_renewal(start_secure, files, renewed):
    """In both versions. Tickets of another server count for nothing."""
    server, other = start_secure(tls=tls_kit.settings(files)), start_secure()
    contexts = [tls_kit.careless(versions=(version, version), alpn=["http/1.1"]) for version in tls_kit.VERSIONS]
    sessions = [tls_kit.session(server.port, context) for context in contexts]
    files.show(renewed)
    reload(server)
    shows(server, renewed)
    for context, session in zip(contexts, sessions):
        assert tls_kit.reused(server.port, context, session)
        assert not tls_kit.reused(other.port, context, session)


# ---- names

@pytest.fixture
def named(start_secure, trust):
    """A server with a certificate for "a.test", one for "b.test" and below it, and one for this machine."""
    shown_for = {name: trust.ours.issue(*names) for name, names in (
        ("a", ("a.test", "www.a.test")), ("b", ("b.test", "*.b.test")), ("here", tls_kit.HERE))}
    return start_secure(tls=tls_kit.settings(*shown_for.values())), shown_for


NAMES = [("a.test", "a"), ("www.a.test", "a"), ("A.Test", "a"), ("b.test", "b"), ("x.b.test", "b"), ("X.B.TEST", "b"),
         ("x.y.b.test", "a"), ("c.test", "a"), ("localhost", "here"), (None, "a")]


@pytest.mark.parametrize("version", tls_kit.VERSIONS)
def test_the_name_chooses_the_certificate(named, version):
    server, shown_for = named
    for name, expected in NAMES:
        assert shown(server.port, name, versions=(version, version)) == fingerprint(shown_for[expected]), name


def test_openssl_asks_by_name(named, trust):
    server, _ = named
    for name, expected in (("x.b.test", "b.test"), ("www.a.test", "a.test")):
        said = tls_kit.s_client(server.port, "-servername", name, "-verify_hostname", name, "-CAfile", trust.ours.ca_file)
        assert f"subject=CN = {expected}" in said and "Verification: OK" in said
    assert "subject=CN = a.test" in tls_kit.s_client(server.port, "-noservername")


def test_a_viewer_by_name(named, raw, trust):
    """Streams do not depend on the name; the certificate is checked."""
    server, _ = named
    context = ssl.create_default_context(cafile=trust.ours.ca_file)
    viewer = raw(server)
    viewer.play("a")
    viewer.create_stream()
    sock = tls_kit.connect(server.port, context, "x.b.test")
    client = raw(server, sock=sock)
    last = Publisher(server.port, client=client).send(10)
    check_run([msg for msg in collect(viewer, last) if msg.type == VIDEO], first=0)


def test_two_kinds_of_keys_for_one_name(start_secure, trust):
    """Each client gets the one that it can read."""
    kinds = {kind: trust.ours.issue(*tls_kit.HERE, kind=kind) for kind in ("ecdsa", "rsa")}
    server = start_secure(tls=tls_kit.settings(*kinds.values()))
    for cipher, kind in (("ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa"), ("ECDHE-RSA-AES128-GCM-SHA256", "rsa")):
        version = ssl.TLSVersion.TLSv1_2
        assert shown(server.port, ciphers=cipher, versions=(version, version)) == fingerprint(kinds[kind])


# ---- from the command line

def test_certificate_on_the_command_line(start_server, issued, trusting, raw):
    server = start_server("--tls-cert", str(issued.cert), "--tls-key", str(issued.key))
    assert shown(server.port) == fingerprint(issued)
    raw(server, tls=trusting)


def test_self_signed(start_server, tmp_path):
    """The same one after a restart: who was given it knows it again. It is its own authority."""
    seen = set()
    for _ in range(2):
        server = start_server("--self-signed", "--state", str(tmp_path / "state"))
        pem = ssl.get_server_certificate(("127.0.0.1", server.port))
        (tmp_path / "ca.pem").write_text(pem, encoding="ascii")
        for name in tls_kit.HERE:
            tls_kit.connect(server.port, ssl.create_default_context(cafile=tmp_path / "ca.pem"), name).close()
        seen.add(pem)
        server.stop()
    assert len(seen) == 1


@pytest.mark.parametrize("kind", BROKEN)
def test_a_server_does_not_begin_with_broken_files(start_secure, files, renewed, kind):
    if BROKEN[kind]:
        BROKEN[kind](files.cert, files.key)
    else:
        files.show(renewed, both=False)
    with pytest.raises(AssertionError, match=r"server ended with 3(.|\n)*" + ("privkey" if kind == "no key" else "fullchain")):
        start_secure(tls=tls_kit.settings(files))
