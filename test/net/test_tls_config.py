"""Certificates of `culvert serve`: mistakes at the start, at a reload and later, renewal under running sessions,
self-signed ones, and the ports on which TLS is spoken."""
import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

import server as server_module
from certificates import Authority, days, tls_client
from rtmp_raw import RtmpClient
from server import find_binary, wait_until
from synth import Publisher, check_run, collect

USAGE, CONFIG = 2, 3


@pytest.fixture
def ours(tmp_path):
    return Authority(tmp_path / "certificates", "ours")


@pytest.fixture
def pair(ours, tmp_path):
    """The files in use: put(names...) puts another certificate in their place, in one step each."""
    class Pair:
        cert, key = tmp_path / "live.crt", tmp_path / "live.key"

        def put_cert(self, issued):
            self._replace(issued.cert, self.cert)

        def put_key(self, issued):
            self._replace(issued.key, self.key)

        def put(self, *names, **when):
            issued = ours.issue(*(names or ("localhost", "127.0.0.1")), **when)
            self.put_cert(issued)
            self.put_key(issued)
            return fingerprint_of(issued.cert.read_text(encoding="ascii"))

        @staticmethod
        def _replace(source, target):
            fresh = target.with_suffix(".fresh")
            shutil.copy(source, fresh)
            os.replace(fresh, target)
    return Pair()


def fingerprint_of(pem):
    return ssl.PEM_cert_to_DER_cert(pem)


def tls_config(*pairs, **more):
    entries = [{"cert": str(pair.cert), "key": str(pair.key)} for pair in pairs]
    return {"apps": [server_module.app()], "tls": {"certificates": entries, **more}}


def connect(port, host="localhost", ca_file=None, context=None):
    context = context or tls_client(ca_file)
    sock = socket.create_connection(("127.0.0.1", port), 10)
    return context.wrap_socket(sock, server_hostname=host)


def shown(server, host="localhost", ca_file=None):
    """The certificate that a new connection gets."""
    with connect(server.port, host, ca_file) as sock:
        return sock.getpeercert(binary_form=True)


def secured(server, raw, app="live"):
    """A raw RTMP client inside TLS."""
    client = RtmpClient(server.port)
    raw.keep(client)
    client.sock = tls_client().wrap_socket(client.sock, server_hostname="localhost")
    client.handshake()
    client.connect(app)
    return client


def reload(server, told="server.reload"):
    known = server.log().count(told)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log().count(told) > known, 10, told)


# ---- at the start ------------------------------------------------------------------------------

def run_serve(*args):
    return subprocess.run([find_binary(), "serve", *map(str, args)], capture_output=True, text=True, timeout=20,
                          check=False)


def truncate(pair):
    pair.cert.write_text(pair.cert.read_text(encoding="ascii")[:200], encoding="ascii")


MISTAKES = {
    "no certificate": (lambda pair: pair.cert.unlink(), "{cert}: there is no such file; name the file of the certificate"),
    "no key": (lambda pair: pair.key.unlink(), "{key}: there is no such file; name the file of the key"),
    "not PEM": (lambda pair: pair.cert.write_bytes(b"x"), "{cert}: there is no certificate in it"),
    "cut": (truncate, "{cert}: the certificate is damaged"),
    "a folder": (lambda pair: (pair.key.unlink(), pair.key.mkdir()), "{key}: not a file"),
    "another key": (lambda pair: pair.put_key(pair.other), "{key}: not the key of the certificate in live.crt"),
    "expired": (lambda pair: pair.put("a", begin=days(-9), end=days(-1)), "{cert}: the certificate has expired on"),
    "not yet": (lambda pair: pair.put("a", begin=days(1)), "{cert}: the certificate is not valid before"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_the_start(pair, ours, tmp_path, mistake):
    spoil, sentence = MISTAKES[mistake]
    pair.other = ours.issue("other.example")
    pair.put()
    spoil(pair)
    sentence = sentence.format(cert=pair.cert, key=pair.key)
    files = ["--tls-cert", pair.cert, "--tls-key", pair.key, "--listen", "127.0.0.1:1"]
    for check in ([], ["--check"]):
        done = run_serve(*files, "--state", tmp_path / "state", *check)
        assert done.returncode == CONFIG
        assert sentence in done.stderr and "Sanitizer" not in done.stderr
        assert "key=" not in done.stdout, "nothing is made or printed before"


def test_right_files_pass_the_check(pair):
    pair.put()
    done = run_serve("--tls-cert", pair.cert, "--tls-key", pair.key, "--check")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("option, other", [("--tls-cert", "--tls-key FILE"), ("--tls-key", "--tls-cert FILE")])
def test_both_options_or_none(option, other):
    done = run_serve(option, "a")
    assert done.returncode == USAGE
    assert other in done.stderr


def test_the_printed_configuration_is_the_same(pair, tmp_path):
    pair.put()
    first = run_serve("--tls-cert", pair.cert, "--tls-key", pair.key, "--listen", "443/tls", "--print-config").stdout
    path = tmp_path / "printed.yaml"
    path.write_text(first, encoding="utf-8")
    assert run_serve("-c", path, "--print-config").stdout == first
    assert run_serve("-c", path, "--check").returncode == 0


def test_one_that_ends_soon_is_told_of(pair, start_server):
    pair.put(end=days(4.5))
    server = start_server(config=tls_config(pair))
    assert re.search(r"warn tls.expires names=\"localhost, 127.0.0.1\" .*days=4", server.log())
    assert "warn tls.no_chain" in server.log()


# ---- names -------------------------------------------------------------------------------------

def test_the_name_chooses(ours, start_server):
    plain, wild = ours.issue("a.example"), ours.issue("*.b.example", "c.example")
    server = start_server(config=tls_config(plain, wild))
    for host, issued in (("a.example", plain), ("x.b.example", wild), ("c.example", wild)):
        assert shown(server, host, ours.ca_file) == fingerprint_of(issued.cert.read_text(encoding="ascii"))
    assert shown(server, "unknown.example") == shown(server, "a.example")


def test_what_a_client_may_offer(pair, start_server):
    pair.put()
    server = start_server(config=tls_config(pair))
    for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), ([], None)):
        context = tls_client()
        context.set_alpn_protocols(offered)
        with connect(server.port, context=context) as sock:
            assert sock.selected_alpn_protocol() == chosen
    context = tls_client()
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        connect(server.port, context=context)


# ---- renewal -----------------------------------------------------------------------------------

def test_renewed_by_a_signal_while_sessions_go_on(pair, start_server, raw, ours):
    first = pair.put()
    server = start_server(config=tls_config(pair, watch_s=0))
    assert shown(server, ca_file=ours.ca_file) == first
    viewer = secured(server, raw)
    viewer.play("a")
    pub = Publisher(server.port, client=secured(server, raw))
    got = collect(viewer, pub.send(30))
    second = pair.put()
    reload(server)
    wait_until(lambda: shown(server, ca_file=ours.ca_file) == second, 10)
    got += collect(viewer, pub.send(30))
    check_run(got, first=0)
    assert second != first and server.log().count("tls.loaded") == 2


def test_renewed_files_are_noticed(pair, start_server, raw, ours):
    first = pair.put()
    server = start_server(config=tls_config(pair, watch_s=1))
    viewer = secured(server, raw)
    viewer.play("a")
    pub = Publisher(server.port, client=secured(server, raw))
    got = collect(viewer, pub.send(10))
    second = pair.put()
    wait_until(lambda: shown(server, ca_file=ours.ca_file) == second, 10, "the new certificate")
    got += collect(viewer, pub.send(10))
    check_run(got, first=0)
    assert second != first
    assert "error" not in server.log()


def test_a_session_is_resumed_across_a_renewal(pair, start_server):
    """Tickets of before are taken still. TLS 1.2: there Python can say which session it wants."""
    pair.put()
    server = start_server(config=tls_config(pair, watch_s=0))
    context = tls_client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(server.port, context=context) as sock:
        session = sock.session
    pair.put()
    reload(server)
    plain = socket.create_connection(("127.0.0.1", server.port), 10)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as sock:
        assert sock.session_reused


def test_half_a_pair_is_waited_for(pair, ours, start_server):
    first = pair.put()
    server = start_server(config=tls_config(pair, watch_s=1))
    issued = ours.issue("localhost")
    pair.put_cert(issued)
    wait_until(lambda: "tls.renewal_failed" in server.log(), 10, "the complaint")
    assert f"{pair.key}: not the key of the certificate in live.crt" in server.log()
    assert shown(server) == first
    pair.put_key(issued)
    wait_until(lambda: shown(server) == fingerprint_of(issued.cert.read_text(encoding="ascii")), 10)
    assert server.log().count("tls.renewal_failed") == 1


def test_the_old_one_stays_where_the_new_one_is_bad(pair, start_server, raw):
    first = pair.put()
    server = start_server(config=tls_config(pair, watch_s=0))
    client = secured(server, raw)
    pair.put(begin=days(-9), end=days(-1))
    reload(server, "server.reload_failed")
    line = next(line for line in server.log().splitlines() if "server.reload_failed" in line)
    assert f"{pair.cert}: the certificate has expired on" in line
    assert 'in_use="the configuration and the certificates from before"' in line
    assert shown(server) == first
    client.create_stream()
    second = pair.put()
    reload(server)
    wait_until(lambda: shown(server) == second, 10)


def test_tls_comes_and_goes_with_the_configuration(pair, start_server):
    pair.put()
    server = start_server(config={"apps": [server_module.app()]})
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shown(server)
    path = server.folder / "culvert.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}\ntls: {{cert: {pair.cert}, key: {pair.key}}}\n", encoding="utf-8")
    reload(server)
    wait_until(lambda: can(lambda: shown(server)), 10)
    path.write_text(before, encoding="utf-8")
    reload(server)
    wait_until(lambda: not can(lambda: shown(server)), 10)


def can(function):
    with contextlib.suppress(OSError):
        function()
        return True
    return False


# ---- self-signed -------------------------------------------------------------------------------

def test_self_signed(start_server, tmp_path):
    server = start_server("--self-signed")
    words = server.stdout()
    ca_file = server.folder / "state/self-signed.crt"
    der = fingerprint_of(ca_file.read_text(encoding="ascii"))
    assert f"--ca {ca_file} rtmps://localhost:{server.port}/" in words
    assert "for trials only" in words
    fingerprint = re.search(r"SHA-256 +([0-9A-F:]{95})", words).group(1)
    for host in ("localhost", "127.0.0.1", "::1", socket.gethostname()):
        assert shown(server, host, ca_file) == der
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(server, "other.example", ca_file)
    key_file = server.folder / "state/self-signed.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    server.stop()
    again = server_module.Server(server.folder, ["--open-publish", "--self-signed"])
    try:
        assert fingerprint in again.stdout()
        key_file.unlink()
        reload(again)
        wait_until(lambda: shown(again) != der, 10)
    finally:
        again.stop()


# ---- ports -------------------------------------------------------------------------------------

def test_ports_for_one_kind_only(pair, start_server, tmp_path):
    pair.put()
    ports = [server_module.free_port() for _ in range(2)]
    server = start_server("--listen", f"127.0.0.1:{ports[0]}/tls", "--listen", f"127.0.0.1:{ports[1]}/plain",
                          config=tls_config(pair))
    takes = {server.port: "plain,tls", ports[0]: "tls", ports[1]: "plain"}
    for port, words in takes.items():
        assert f"server.listen address=127.0.0.1:{port} takes={words}" in server.log()
        assert can(lambda: connect(port).close()) == ("tls" in words)
        assert can(lambda: RtmpClient.open(port).close()) == ("plain" in words) if "plain" in words else True
    assert re.search(rf"server.ready .*tls={ports[0]},{server.port} kernel=(yes|no)", server.log())


@contextlib.contextmanager
def alone(tmp_path, *args, before=(), script=""):
    """The log of a server in a network of its own, once it is ready: with nobody to share ports with."""
    log = tmp_path / "alone.log"
    shell = f"ip link set lo up && {script} exec \"$@\""
    command = ["unshare", "--net", "sh", "-c", shell, "sh", *before, find_binary(), "serve", "--open-publish",
               "--threads", "1", "--state", tmp_path / "state", *args]
    with open(log, "wb") as out:
        process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: process.poll() is not None or b"server.ready" in log.read_bytes(), 20, "ready")
        yield log.read_text(encoding="utf-8")
    finally:
        process.terminate()
        code = process.wait(20)
    assert code == 0, log.read_text(encoding="utf-8")


needs_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")


def listens(log):
    return re.findall(r"server.listen address=\S+:(\d+) ", log)


@needs_root
def test_default_ports(tmp_path):
    with alone(tmp_path) as log:
        assert listens(log) == ["80", "1935"]
        assert "tls=off" in log
    with alone(tmp_path, "--self-signed") as log:
        assert listens(log) == ["80", "1935", "443"]
        assert "tls=80,1935,443" in log


@needs_root
def test_ports_that_are_refused_by_default(tmp_path):
    unprivileged = ["setpriv", "--bounding-set=-net_bind_service"]
    with alone(tmp_path, "--self-signed", before=unprivileged) as log:
        assert listens(log) == ["8080", "1935", "8443"]
        for port in (80, 443):
            assert re.search(rf"warn server.port_{port} why=\"?.*{port}", log)
