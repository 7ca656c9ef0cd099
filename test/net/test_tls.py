"""Everything inside TLS on the same port, with other people's programs: RTMPS, RTMPTS, HTTPS, WSS, frame by frame."""
import subprocess
import threading

import pytest

import frames
import server as server_module
import synth
import tls_kit
from clients import PLAYERS, PUBLISHERS, Playing
from flv_raw import FlvParser, HttpPlayer
from proxies import Proxy
from rtmp_raw import VIDEO
from rtmpt_raw import Http, Tunnel, Upgraded
from server import wait_until
from site_kit import Head, Site, echo
from synth import Publisher, check_run, collect
from test_one_port import Doing, browse, busy_site, carry, chat
from test_slow_viewer import FRAME_BYTES, MIB, check_comeback, check_run_numbers, limit_bytes
from web_client import Client, digest, pieces, status, upgraded
from ws_raw import WebSocket, WsRtmpClient

FLUSHED = ["-rtmp_flush_interval", "1"]  # FFmpeg drops what it has not flushed when it closes a tunnel


def url(server, scheme, path="live/a"):
    return f"{scheme}://127.0.0.1:{server.port}/{path}"


def curl(trust, address, *args, codes=(0,)):
    """What curl prints."""
    cmd = ["curl", "-sS", "--max-time", "20", "--cacert", trust.ours.ca_file, *args, address]
    done = subprocess.run(cmd, capture_output=True, timeout=30, check=False)
    assert done.returncode in codes, f"curl {done.returncode}: {done.stderr.decode()}"
    return done.stdout


# ---- all at once

# stream -> who publishes it, over what
PUBLISHED = {"a": ("ffmpeg", "rtmps"), "b": ("ffmpeg", "rtmpts"), "c": ("rtmp2sink", "rtmps"), "d": ("ffmpeg", "rtmp")}
# stream, who plays it, over what
PLAYED = [("a", "ffmpeg", "rtmps"), ("a", "ffmpeg", "rtmpts"), ("a", "ffmpeg", "https"), ("a", "rtmp2src", "rtmps"),
          ("a", "rtmpdump", "rtmp"), ("b", "rtmpdump", "rtmps"), ("b", "ffmpeg", "rtmpt"), ("c", "ffmpeg", "rtmps"),
          ("d", "ffmpeg", "https"), ("d", "ffmpeg", "rtmpts")]


def start_players(server, clients, folder):
    return [Playing(clients, player, url(server, scheme, f"live/{name}" + (".flv" if scheme == "https" else "")),
                    folder / f"{name}-{player}-{scheme}.flv") for name, player, scheme in PLAYED]


def start_publishers(server, clients, source):
    for name, (program, scheme) in PUBLISHED.items():
        settings = {"after": FLUSHED} if scheme == "rtmpts" else {}
        yield getattr(clients, PUBLISHERS[program])(url(server, scheme, f"live/{name}"), source, **settings)


@pytest.mark.limit_s(400)
def test_everything_on_one_port(start_secure, clients, clip, trusting, tmp_path):
    """The site with its pages, much of it each way, and its WebSocket, half of it inside TLS, while four streams are
    published and played in all ways."""
    talk = Site(upgraded)
    nginx = busy_site(tmp_path / "nginx", talk)
    server = start_secure(site=nginx.url)
    stop = threading.Event()
    try:
        carrying = Doing(carry, server, 200, trusting)
        busy = [Doing(work, server, stop, tls) for work in (browse, chat) for tls in (None, trusting)]
        playing = start_players(server, clients, tmp_path)
        for one in list(start_publishers(server, clients, clip("h264_aac"))):
            one.wait(120)
        for one in playing:
            one.finish(clip("h264_aac"), timeout_s=60, slack_ms=1)
        assert carrying.finish(300) == digest(pieces(200))
        stop.set()
        assert all(one.finish(30) > 10 for one in busy)
    finally:
        stop.set()
        nginx.close()
        talk.close()


# ---- streams

@pytest.mark.parametrize("name", ["h264_aac_bframes", "h264_mp3"])
def test_all_players_of_rtmps(secure, clients, clip, tmp_path, name):
    playing = [Playing(clients, player, url(secure, "rtmps"), tmp_path / f"{player}.flv") for player in PLAYERS]
    clients.ffmpeg_publish(url(secure, "rtmps"), clip(name)).wait(30)
    for one in playing:
        one.finish(clip(name))


@pytest.mark.parametrize("publisher", [name for name in PUBLISHERS if name != "ffmpeg"])
def test_all_publishers_of_rtmps(secure, clients, short_clip, tmp_path, publisher, librtmp_binary):
    """librtmp takes a TLS 1.3 ticket for the end of the connection, so it must get none."""
    clients.librtmp_binary = librtmp_binary
    playing = Playing(clients, "ffmpeg", url(secure, "rtmps"), tmp_path / "out.flv")
    getattr(clients, PUBLISHERS[publisher])(url(secure, "rtmps"), short_clip).wait(30)
    playing.finish(short_clip, slack_ms=1)


@pytest.mark.parametrize("version", tls_kit.VERSIONS)
def test_a_long_stream_without_a_pause(start_secure, clients, short_clip, tmp_path, version):
    """As fast as FFmpeg goes, in either version of TLS: full sockets, records in pieces."""
    server = start_secure()
    context = tls_kit.careless(versions=(version, version))
    viewer = Playing(clients, "ffmpeg", url(server, "rtmps"), tmp_path / "out.flv")
    raw = HttpPlayer(server.port, tls=context)
    wait_until(lambda: server.stats()["viewers"] == 2, 20, "both players")  # all is over in a moment
    clients.ffmpeg_publish(url(server, "rtmps"), short_clip, realtime=False).wait(30)
    viewer.finish(short_clip)
    raw.to_end()
    frames.check_file(short_clip, raw.flv.save(tmp_path / "raw.flv"))
    raw.close()


def opened(kind, server, context):
    """A raw RTMP client inside TLS."""
    if kind == "rtmpts, upgraded":
        client = Upgraded(server.port, http=Http(server.port, tls=context))
        client.connect()
        return client
    make = {"rtmpts": Tunnel, "rtmp in wss": WsRtmpClient}[kind]
    client = make(server.port, tls=context)
    client.handshake()
    client.connect()
    return client


def test_what_was_opened_in_tls_takes_no_plain_text(secure, trusting):
    """Who has overheard a session's id cannot take it out of TLS: to him there is no such session."""
    inside, outside = Http(secure.port, tls=trusting), Http(secure.port)
    with inside, outside:
        session = inside.open()
        for number in range(3):
            for verb in ("idle", "send"):
                assert outside.ask(f"/{verb}/{session}/{number}").status == 404
            outside.ask(f"/close/{session}")  # ends nothing, whatever it is told
            assert inside.ask(f"/idle/{session}/{number}").status == 200
        mine = outside.open()
        assert outside.ask(f"/idle/{mine}/0").status == inside.ask(f"/idle/{mine}/1").status == 200


@pytest.mark.parametrize("kind", ["rtmpts", "rtmpts, upgraded", "rtmp in wss"])
def test_both_ways(secure, raw, trusting, kind):
    """Strictly read; beside it a viewer in plain text."""
    viewers = [opened(kind, secure, trusting), raw(secure)]
    publisher = opened(kind, secure, trusting)
    for client in (viewers[0], publisher):
        raw.keep(client)
    for viewer in viewers:
        viewer.play("a")
        viewer.create_stream()
    pub = Publisher(secure.port, client=publisher, size=5000)
    last = pub.send(100)
    pub.sync()
    for viewer in viewers:
        check_run(collect(viewer, last), first=0)


def test_flv_over_wss(secure, raw, trusting):
    sock = tls_kit.connect(secure.port, trusting, "127.0.0.1")
    with WebSocket(secure.port, "/live/a.flv", protocol=None, sock=sock) as websocket:
        pub = Publisher(secure.port, client=raw(secure, tls=trusting))
        pub.send(100)
        pub.sync()
        pub.unpublish()
        parser = FlvParser()
        while sum(synth.number_of(tag) == 99 for tag in parser.tags if tag.type == VIDEO) == 0:
            parser.feed(websocket.recv_data().payload)
    check_run([tag for tag in parser.tags if tag.is_media], first=0)


def test_flv_posted_over_https(secure, trust, raw, tmp_path):
    source = synth.write_file(tmp_path / "in.flv", 100)
    viewer = raw(secure)
    viewer.play("a")
    viewer.create_stream()
    curl(trust, url(secure, "https", "live/a.flv"), "-T", source)
    check_run(collect(viewer, 99), first=0)


@pytest.mark.threads
@pytest.mark.limit_s(120)
def test_tunnels_on_several_threads(start_secure, raw, trusting):
    """Their connections are taken, TLS and all, to the thread of the session; so are those of streams."""
    server = start_secure("--threads", "4")
    pubs, viewers = [], []
    for number in range(6):
        name = f"s{number}"
        pubs.append(Publisher(server.port, name, client=opened("rtmpts", server, trusting)))
        for kind in ("rtmpts", "rtmp in wss"):
            viewers.append((opened(kind, server, trusting), name))
    for client in [pub.client for pub in pubs] + [viewer for viewer, _ in viewers]:
        raw.keep(client)
    for pub in pubs:
        pub.sync()
    for viewer, name in viewers:
        viewer.play(name)
        viewer.create_stream()
    for pub in pubs:
        pub.send(50)
        pub.sync()
    for viewer, _ in viewers:
        check_run(collect(viewer, 49, timeout_s=20))


# ---- the site

@pytest.fixture
def upstream():
    site = Site(echo)
    yield site
    site.close()


def test_the_site_learns_that_it_was_https(start_secure, upstream, trust):
    """What the client itself says about that counts for nothing."""
    server = start_secure(site=upstream.url)
    lie = ["-H", "X-Forwarded-Proto: http"]
    for scheme, more in (("https", lie), ("http", ["-H", "X-Forwarded-Proto: https"]), ("https", ["--http1.0"])):
        head = Head(curl(trust, url(server, scheme, "a?b"), *more))
        assert head.fields["x-forwarded-proto"] == scheme and head.fields["x-forwarded-for"] == "127.0.0.1"


def test_files_over_https(start_secure, trust, tmp_path):
    """With the certificate checked, HTTP/2 offered and not chosen, ranges, and many on one connection."""
    folder = tmp_path / "www"
    folder.mkdir()
    data = b"".join(pieces(20))
    (folder / "big").write_bytes(data)
    (folder / "index.html").write_text("<h1>hello</h1>", encoding="utf-8")
    server = start_secure(site=str(folder))
    for version in ("--tlsv1.3", "--tls-max=1.2"):
        flags = version.split("=")
        assert curl(trust, url(server, "https", "big"), *flags) == data
        assert curl(trust, url(server, "https", "big"), *flags, "-r", "1000000-1999999") == data[1000000:2000000]
    said = curl(trust, url(server, "https", "index.html"), "--http2", "-w", "%{http_version} %{ssl_verify_result}")
    assert said == b"<h1>hello</h1>1.1 0"
    again = curl(trust, url(server, "https", "[1-50]"), "-o", "/dev/null", "-w", "%{num_connects}")
    assert again == b"1" + b"0" * 49
    assert b"hello" in curl(trust, f"https://localhost:{server.port}/", "--resolve", f"localhost:{server.port}:127.0.0.1")


def test_curl_refuses_a_stranger(secure, trust):
    """The tests' curl does check."""
    stranger = trust._replace(ours=trust.theirs)
    curl(stranger, url(secure, "https", ""), codes=(60,))


def test_the_end_of_an_answer_is_told(start_secure, upstream, trusting):
    """close_notify behind the last byte: nobody has cut it."""
    server = start_secure(site=upstream.url)
    with tls_kit.connect(server.port, trusting, "127.0.0.1") as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        got = b""
        while data := sock.recv(65536):
            got += data
    assert got.startswith(b"HTTP/1.1 200 ")


def test_an_answer_that_is_cut_does_not_end_well(start_secure, trusting):
    """The site dies in a body whose end is the end of the connection: the client must not take it for the whole."""
    def die(wire, _head):
        wire.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        wire.reset()
    site = Site(die)
    server = start_secure(site=site.url)
    with tls_kit.connect(server.port, trusting, "127.0.0.1") as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises((ConnectionResetError, tls_kit.EOF)):
            while sock.recv(65536):
                pass
    site.close()


# ---- who the client is

PROXIES = {"trusted_proxies": ["127.0.0.1"], "log_level": "debug"}
HEADERS = {
    "v1": b"PROXY TCP4 203.0.113.7 127.0.0.1 4007 443\r\n",
    "v2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\x7f\0\0\x01\x0f\xa7\x01\xbb",
}


def lines_with(server, *parts):
    return [line for line in server.log().splitlines() if all(part in line for part in parts)]


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_proxy_header_before_tls(start_secure, upstream, header, step):
    """The header and the ClientHello in one piece, and in many."""
    server = start_secure(site=upstream.url, **PROXIES)
    with tls_kit.Wire(server.port) as wire:
        talk = tls_kit.Talk()
        wire.send_slowly(header + talk.step()[0], step)
        talk.shake(wire.send, wire.receive)
        wire.send(talk.seal(b"GET / HTTP/1.0\r\n\r\n"))
        fields = Head(talk.read(wire.receive).partition(b"\r\n\r\n")[2]).fields
    assert fields["x-forwarded-for"] == "203.0.113.7, 127.0.0.1" or fields["x-forwarded-for"] == "203.0.113.7"
    assert fields["x-forwarded-proto"] == "https"
    assert lines_with(server, "conn.secure", "peer=203.0.113.7:4007")


def test_through_a_proxy_that_passes_tls_on(start_secure, clients, short_clip, tmp_path):
    """As doc/behind-a-proxy.md has it for TCP: the proxy opens nothing, and tells who the client is."""
    server = start_secure(**PROXIES)
    proxy = Proxy("haproxy-tcp", tmp_path / "proxy", server.port)
    try:
        playing = [Playing(clients, "ffmpeg", url(proxy, scheme), tmp_path / f"{scheme}.flv")
                   for scheme in ("rtmps", "rtmpts", "rtmp")]
        clients.ffmpeg_publish(url(proxy, "rtmps"), short_clip).wait(30)
        for one in playing:
            one.finish(short_clip)
    finally:
        proxy.stop()
    assert lines_with(server, "conn.proxy", "via=127.0.0.1:")


def test_a_proxy_header_inside_tls_is_refused(start_secure):
    """A proxy that ends TLS has its own words for that; anybody can reach the inside of TLS."""
    server = start_secure(**PROXIES)
    with tls_kit.connect(server.port) as sock:
        sock.sendall(HEADERS["v1"] + b"GET / HTTP/1.0\r\n\r\n")
        assert tls_kit.ended(sock)
    assert wait_until(lambda: lines_with(server, "conn.close", "PROXY header inside TLS"), 5, "a line about it")
    assert "203.0.113.7" not in server.log()


def test_strangers_may_not_speak_for_others(start_secure):
    server = start_secure(**PROXIES)
    with tls_kit.Wire(server.port, "127.0.0.5") as wire:
        wire.send(HEADERS["v2"] + tls_kit.client_hello())
        assert wire.rest() == b""
    assert wait_until(lambda: lines_with(server, "conn.close", "trusted_proxies"), 5, "a line about it")


def test_a_proxy_that_speaks_tls_to_us(start_secure, upstream, trusting):
    """X-Forwarded-For and X-Forwarded-Proto of a trusted one count inside TLS, too."""
    server = start_secure(site=upstream.url, **PROXIES)
    _, got = Client(server, tls=trusting).get("/", "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: http\r\n")
    fields = Head(got).fields
    assert fields["x-forwarded-for"].startswith("203.0.113.9") and fields["x-forwarded-proto"] == "http"


# ---- ports for one thing only

@pytest.fixture
def one_kind(start_secure):
    """Factory: a server whose first port is for "tls" or "plain" alone."""
    def start(takes):
        ports = [server_module.free_port() for _ in range(2)]
        return start_secure("--log-level", "debug", listen=[f"127.0.0.1:{ports[0]}/{takes}", f"127.0.0.1:{ports[1]}"])
    return start


def test_plain_text_on_a_port_for_tls(one_kind, trust, raw):
    server = one_kind("tls")
    with tls_kit.Wire(server.port) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = wire.rest()
    assert answer.startswith(b"HTTP/1.1 400 ") and b"HTTPS" in answer.partition(b"\r\n\r\n")[2]
    with tls_kit.Wire(server.port) as wire:
        wire.send(b"\3" + bytes(1536))
        assert wire.rest() == b""
    wait_until(lambda: lines_with(server, "conn.close", "plain text on a port that takes TLS only"), 5, "a line")
    assert b"Culvert" in curl(trust, url(server, "https", ""))
    raw.keep(Publisher(server.port, client=raw(server, tls=tls_kit.careless())).client)


def test_tls_on_a_port_for_plain_text(one_kind, trust, raw):
    server = one_kind("plain")
    with tls_kit.Wire(server.port) as wire:
        wire.send(tls_kit.client_hello())
        assert wire.rest()[:1] in (b"", b"\x15")
    wait_until(lambda: lines_with(server, "conn.close", "TLS on a port that takes none"), 5, "a line")
    assert b"Culvert" in curl(trust, url(server, "http", ""))
    raw(server)


def test_tls_without_a_certificate(server):
    with tls_kit.Wire(server.port) as wire:
        wire.send(tls_kit.client_hello())
        assert wire.rest()[:1] in (b"", b"\x15")
    wait_until(lambda: lines_with(server, "conn.close", "no certificate"), 5, "a line")


# ---- a viewer that stops

@pytest.mark.limit_s(180)
def test_stopped_viewer_of_rtmps(secure, raw, trusting):
    """As test_bug_10_stopped_viewer_while_240_mb_pass, inside TLS."""
    fast, stopped = raw(secure), raw(secure, tls=trusting, receive_buffer=65536)
    fast.play("a")
    stopped.play("a")
    pub = Publisher(secure.port, client=raw(secure, tls=trusting), size=FRAME_BYTES, chunk_size=65536, audio=False)
    pub.send(1)
    stopped.media()
    before, highest, seen = secure.rss_bytes(), 0, []
    while pub.number * FRAME_BYTES < 150_000_000:
        check_run_numbers(collect(fast, pub.send(20), timeout_s=20), seen)
        highest = max(highest, secure.rss_bytes())
    assert highest - before < limit_bytes(secure), f"grew by {(highest - before) // MIB} MiB"
    check_comeback(pub, fast, stopped)
