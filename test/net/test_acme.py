"""Certificates from an authority (RFC 8555, HTTP-01): the first one, its renewal, and what goes wrong. The authority
is pebble; what it asks for it gets on the server's own port, while streams run."""
import os
import pathlib
import re
import ssl
import stat
import subprocess

import pytest

import acme_kit
import frames
import media
import server as server_module
from server import app, free_port, wait_until
from site_kit import Head, Site, reply

WELL_KNOWN = ".well-known/acme-challenge"


@pytest.fixture
def authority(time_limit, tmp_path):
    """Factory of pebbles."""
    reason = acme_kit.missing()
    if reason:
        pytest.skip(reason)
    started = []

    def start(http_port, **settings):
        started.append(acme_kit.Pebble(tmp_path / f"pebble{len(started)}", http_port, **settings))
        return started[-1]
    yield start
    for one in started:
        one.close()


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """fake(script): servers that are started from now on find this as lego."""
    def make(script):
        folder = acme_kit.fake_lego(tmp_path / "bin", script)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return make


def tls(acme):
    return {"apps": [app()], "tls": {"acme": acme}}


def somebody(*domains):
    """An authority that nobody asks."""
    return {"directory": "https://127.0.0.1:9/dir", "email": "a@a.test", "domains": list(domains or ["a.test"])}


def count(server, event):
    return len(re.findall(rf"^\S+ \w+ {re.escape(event)}\b", server.log(), re.M))


def wait_log(server, event, timeout_s=60, times=1):
    wait_until(lambda: count(server, event) >= times, timeout_s, f"{event} in the log:\n{server.log()[-3000:]}")


def line_of(server, event):
    return next(line for line in server.log().splitlines() if f" {event} " in line)


def wait_shown(port, pebble):
    """The certificate of this authority's, once it is in use: a moment after it has been obtained."""
    root = pebble.root()

    def look():
        try:
            return acme_kit.shown(port, "a.test", root)
        except ssl.SSLCertVerificationError:
            return None
    return wait_until(look, 10, "its certificate is shown")


def state(server):
    return server.folder / "state"


def curl(*args):
    return subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", "10", *args], check=False,
                          capture_output=True, text=True)


def get(server, path, *args):
    """Status and body."""
    done = curl("-o", "-", "-w", "\n%{http_code}", *args, f"http://127.0.0.1:{server.port}{path}")
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


# ---- as it should be

@pytest.mark.limit_s(120)
def test_the_first_certificate_comes_while_a_stream_runs(start_server, authority, clients, clip_folder, tmp_path):
    source = media.make_clip(clip_folder, "h264_aac", 20)
    port = free_port()
    pebble = authority(port)
    server = start_server(config=tls(pebble.settings("a.test", "b.test")), listen=[f"127.0.0.1:{port}"])
    stand_in = acme_kit.shown(port, "a.test")
    playing = clients.ffmpeg_play(server.url(), tmp_path / "out.flv")
    publishing = clients.ffmpeg_publish(server.url(), source)
    assert "acme.obtained" not in server.log() and "tls.stand_in" in server.log()
    wait_log(server, "acme.obtained")
    assert wait_shown(port, pebble) != stand_in
    assert publishing.is_running(), "the certificate came after the stream"
    for name in ("a.test", "b.test"):
        done = curl("--cacert", pebble.root(), "--resolve", f"{name}:{port}:127.0.0.1", f"https://{name}:{port}/")
        assert "Culvert" in done.stdout, done.stderr
    publishing.wait(60)
    playing.wait(20)
    frames.check_file(source, tmp_path / "out.flv", at_least=0.9)


@pytest.mark.limit_s(150)
def test_a_renewal_in_mid_stream_drops_nobody(start_server, authority, clients, clip_folder, tmp_path):
    """Certificates for 20 s: renewed after 13."""
    source = media.make_clip(clip_folder, "h264_aac", 30)
    port = free_port()
    pebble = authority(port, valid_s=20)
    server = start_server(config=tls(pebble.settings("a.test")), listen=[f"127.0.0.1:{port}"])
    wait_log(server, "acme.obtained")
    first = wait_shown(port, pebble)
    plain = clients.ffmpeg_play(server.url(), tmp_path / "plain.flv")
    secure = clients.ffmpeg_play(f"rtmps://127.0.0.1:{port}/live/a", tmp_path / "secure.flv")
    publishing = clients.ffmpeg_publish(f"rtmps://127.0.0.1:{port}/live/a", source)
    wait_log(server, "acme.obtained", times=2)
    wait_until(lambda: wait_shown(port, pebble) != first, 10, "the new certificate is shown")
    assert publishing.is_running(), "it was renewed after the stream"
    publishing.wait(60)
    for player, name in ((plain, "plain.flv"), (secure, "secure.flv")):
        player.wait(20)
        frames.check_file(source, tmp_path / name, at_least=0.9)
    assert count(server, "acme.failed") == 0


@pytest.mark.limit_s(120)
def test_what_was_obtained_is_private_and_used_again(start_server, authority, monkeypatch):
    port = free_port()
    pebble = authority(port)
    server = start_server(config=tls(pebble.settings("a.test")), listen=[f"127.0.0.1:{port}"])
    wait_log(server, "acme.obtained")
    files = [path for path in (state(server) / "acme").rglob("*") if path.is_file()]
    assert len(files) > 4
    for path in [state(server) / "acme", *files]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert not list((state(server) / "acme" / "webroot" / WELL_KNOWN).iterdir()), "answers are taken away"
    before = wait_shown(port, pebble)
    server.stop()
    monkeypatch.setenv("PATH", "/nonexistent")
    again = start_server("--state", str(state(server)), config=tls(pebble.settings("a.test")),
                         listen=[f"127.0.0.1:{port}"])
    wait_log(again, "acme.next")
    assert acme_kit.shown(port, "a.test", pebble.root()) == before
    assert count(again, "acme.ask") == 0 and "days_left=" in line_of(again, "acme.next")


# ---- what goes wrong

@pytest.mark.limit_s(120)
def test_a_name_that_cannot_be_reached(start_server, authority):
    """The authority's own words, what to do, and no second try, not even by another start."""
    pebble = authority(free_port())
    config = tls(pebble.settings("a.test"))
    server = start_server(config=config)
    wait_log(server, "acme.failed")
    line = line_of(server, "acme.failed")
    assert "urn:ietf:params:acme:error:connection" in line and "refused" in line
    assert "port 80 of this name cannot be reached from outside" in line
    assert re.search(r" error acme.failed .* failures=1 again_s=3[0-4]\d ", line), line
    assert get(server, "/")[0] == 200
    server.stop()
    again = start_server("--state", str(state(server)), config=config)
    wait_log(again, "acme.next")
    assert count(again, "acme.ask") == 0
    assert re.search(r"after_s=[23]\d\d$", line_of(again, "acme.next"))
    again.stop()
    other = start_server("--state", str(state(server)), config=tls(somebody("b.test")))
    wait_log(other, "acme.ask")  # another question


@pytest.mark.limit_s(120)
def test_a_port_where_another_answers(start_server, authority):
    other = start_server()
    pebble = authority(other.port)
    server = start_server(config=tls(pebble.settings("a.test")))
    wait_log(server, "acme.failed")
    line = line_of(server, "acme.failed")
    assert "urn:ietf:params:acme:error:unauthorized" in line and "something else answers on port 80" in line


def test_a_directory_that_is_not_trusted(start_server, authority):
    pebble = authority(free_port())
    settings = pebble.settings("a.test")
    del settings["ca_file"]
    server = start_server(config=tls(settings))
    wait_log(server, "acme.failed")
    assert "x509" in line_of(server, "acme.failed") and "tls.acme.ca_file" in line_of(server, "acme.failed")


def test_no_client_program(start_server, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    server = start_server(config=tls(somebody()))
    wait_log(server, "acme.failed")
    assert "install the package lego; or use certbot, and tls.challenge_folder" in line_of(server, "acme.failed")
    assert "acme.port" in server.log()


def test_a_client_program_that_talks_without_end(start_server, fake):
    fake("i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo \"line $i\"; done; printf '%100000s\\n' x\necho last; exit 3")
    server = start_server(config=tls(somebody()))
    wait_log(server, "acme.failed")
    assert 1000 <= count(server, "acme.client") <= 1001
    assert "why=last" in line_of(server, "acme.failed")


def test_a_client_program_that_succeeds_without_a_certificate(start_server, fake):
    fake("exit 0")
    server = start_server(config=tls(somebody()))
    wait_log(server, "acme.failed")
    assert "a.test.crt" in line_of(server, "acme.failed")


def test_the_client_program_ends_with_the_server(start_server, fake, tmp_path):
    """And one is enough: a reload does not start another."""
    fake(f"echo $$ >>{tmp_path}/pids; exec sleep 1000")
    server = start_server(config=tls(somebody()))
    pids = tmp_path / "pids"
    wait_until(lambda: pids.exists() and pids.read_text().strip(), 20, "the client runs")
    server.process.send_signal(1)
    wait_log(server, "server.reload")
    server.stop()
    running, = pids.read_text().split()

    def is_gone():
        try:
            return pathlib.Path(f"/proc/{running}/stat").read_text(encoding="ascii").split()[2] in "ZX"
        except FileNotFoundError:
            return True
    wait_until(is_gone, 10, "the client is gone")


# ---- programs that the administrator runs

def challenge_server(start_server, folder, site, **settings):
    return start_server(config={"apps": [app()], "site": str(site), "tls": {"challenge_folder": str(folder)}},
                        **settings)


def test_answers_from_a_folder_and_all_others_from_the_site(start_server, tmp_path):
    folder, site = tmp_path / "challenges", tmp_path / "site"
    for one in (folder / WELL_KNOWN, site / WELL_KNOWN):
        one.mkdir(parents=True)
    (folder / "by-hand").write_text("by-hand.1")
    (folder / WELL_KNOWN / "as_certbot").write_text("as_certbot.2")
    (site / WELL_KNOWN / "the-sites").write_text("the site's own")
    server = challenge_server(start_server, folder, site)
    assert get(server, f"/{WELL_KNOWN}/by-hand") == (200, "by-hand.1")
    assert get(server, f"/{WELL_KNOWN}/as_certbot") == (200, "as_certbot.2")
    assert get(server, f"/{WELL_KNOWN}/the-sites") == (200, "the site's own")
    assert get(server, f"/{WELL_KNOWN}/nothing")[0] == 404
    assert get(server, f"/{WELL_KNOWN}/..%2fchallenges%2fby-hand")[0] in (400, 404)
    assert get(server, f"/{WELL_KNOWN}/../../etc/passwd", "--path-as-is")[0] in (400, 404)


def test_an_unknown_token_goes_to_the_sites_own_server(start_server, tmp_path):
    folder = tmp_path / "challenges"
    folder.mkdir()
    (folder / "ours").write_text("ours.1")
    upstream = Site(lambda wire, head: wire.send(reply(f"site: {head.line}".encode())))
    try:
        server = challenge_server(start_server, folder, upstream.url)
        assert get(server, f"/{WELL_KNOWN}/ours") == (200, "ours.1")
        assert get(server, f"/{WELL_KNOWN}/theirs") == (200, f"site: GET /{WELL_KNOWN}/theirs HTTP/1.1")
        assert get(server, f"/{WELL_KNOWN}/theirs", "-X", "GET", "--data", "body")[1].startswith("site: GET")
        assert len(upstream.heads) == 2 and isinstance(upstream.heads[0], Head)
    finally:
        upstream.close()


@pytest.mark.limit_s(120)
def test_a_client_of_the_administrators(start_server, authority, tmp_path):
    """lego, as certbot --webroot would; then its files are the server's."""
    folder, site = tmp_path / "webroot", tmp_path / "site"
    folder.mkdir()
    site.mkdir()
    port = free_port()
    pebble = authority(port)
    server = challenge_server(start_server, folder, site, listen=[f"127.0.0.1:{port}"])
    done = subprocess.run(["lego", "--accept-tos", "--server", pebble.directory, "--email", "a@a.test", "--path",
                           tmp_path / "lego", "--http", "--http.webroot", folder, "--domains", "a.test", "run"],
                          env={**os.environ, "LEGO_CA_CERTIFICATES": str(pebble.ca_file)}, check=False, timeout=60,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = tmp_path / "lego" / "certificates"
    (server.folder / "culvert.yaml").write_text(
        f"apps: [{{name: live}}]\ntls: {{cert: {files}/a.test.crt, key: {files}/a.test.key}}\n", encoding="utf-8")
    server.process.send_signal(1)
    wait_log(server, "server.reload")
    wait_shown(port, pebble)
