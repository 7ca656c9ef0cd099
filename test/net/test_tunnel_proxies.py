"""RTMPT as proxies and pages deliver it: connections shared by users, balanced per request, old HTTP, other origins."""
import pytest

from clients import Playing
from rtmp_raw import Closed
from rtmpt_raw import FCS, FFMPEG, Http, Relay, Tunnel, c0c1, flight, numbers, request, video
from server import app, wait_until

ANSWER = 1 + 2 * 1536


class User:
    """One publisher and its frames, over whatever connection it is given."""

    def __init__(self, http, name):
        self.name, self.number, self.frame = name, 0, 0
        self.session = http.open()

    def request(self, verb="send", body=b""):
        self.number += 1
        return request(f"/{verb}/{self.session}/{self.number - 1}", body)

    def next(self):
        """C0 C1; then C2, commands and frames; then frames."""
        if self.number == 0:
            return self.request(body=c0c1())
        first = flight(self.name) if self.number == 1 else b""
        self.frame += 5
        return self.request(body=first + video(self.frame - 5, 5))


def watch(server, raw, *names):
    viewers = []
    for name in names:
        viewer = raw(server)
        viewer.play(name)
        viewer.create_stream()
        viewers.append(viewer)
    return viewers


def expect_frames(viewers, count):
    for viewer in viewers:
        assert numbers(viewer.media() for _ in range(count)) == list(range(count))


@pytest.mark.threads
@pytest.mark.parametrize("threads", ["1", "4"])
@pytest.mark.parametrize("pipelined", [False, True])
def test_bug_15_users_in_turn_on_one_connection(start_server, raw, pipelined, threads):
    """Squid, HAProxy: one connection to the server, requests of several sessions on it in turn."""
    server = start_server("--threads", threads, config={"apps": [app()]})
    viewers = watch(server, raw, "a", "b")
    with Http(server.port) as http:
        users = [User(http, "a"), User(http, "b")]
        flights = [user.next() for _ in range(12) for user in users]
        if pipelined:
            http.send(b"".join(flights))
        for one in flights:
            if not pipelined:
                http.send(one)
            assert http.answer().status == 200
        expect_frames(viewers, 55)


@pytest.mark.threads
def test_bug_15_users_of_different_threads_on_one_connection(start_server, raw):
    """Their sessions were opened from elsewhere: the connection goes to the thread of each request."""
    server = start_server("--threads", "4", config={"apps": [app()]})
    names = [f"u{n}" for n in range(8)]
    viewers = watch(server, raw, *names)
    users = []
    for number, name in enumerate(names):
        with Http(server.port, source=f"127.0.0.{number + 2}") as http:
            users.append(User(http, name))
    owners = {user.session[:2] for user in users}
    assert len(owners) > 1
    with Http(server.port) as http:
        flights = [user.next() for _ in range(6) for user in users]
        http.send(b"".join(flights[:24]))
        for _ in flights[:24]:
            assert http.answer().status == 200
        for one in flights[24:]:
            for at in range(0, len(one), 100):
                http.send(one[at:at + 100])
            assert http.answer().status == 200
    expect_frames(viewers, 25)


@pytest.mark.threads
def test_balanced_per_request(start_server, raw):
    """One session, its requests on connections from many addresses."""
    server = start_server("--threads", "4", config={"apps": [app()]})
    viewers = watch(server, raw, "a")
    connections = [Http(server.port, source=f"127.0.0.{n + 2}") for n in range(6)]
    user = User(connections[0], "a")
    for n in range(24):
        http = connections[n * 5 % 6]
        http.send(user.next())
        assert http.answer().status == 200
    expect_frames(viewers, 115)
    for http in connections:
        http.close()


def test_bug_15_another_users_request_is_not_held_up(server, raw):
    """Nor a page's: a held idle is answered when something stands behind it."""
    publisher = raw(server)
    publisher.publish("a")
    with Http(server.port) as http:
        player = Tunnel(server.port, http)
        player.handshake()
        player.connect()
        player.play("a")
        player.expect_status("NetStream.Play.Start")
        other = http.open()
        while player.post("idle", b"\0"):  # what is there already
            pass
        for behind in (request(f"/idle/{other}/0"), request("/", method="GET", body=b"")):
            http.send(request(player.next_path("idle")))
            assert http.is_silent(0.2)  # it is held
            http.send(behind)
            http.sock.settimeout(1.5)   # and for longer than this, if nobody hurried it
            assert http.answer().body == b"\1"
            assert http.answer().status == 200


def test_bug_12_end_of_one_user_is_not_the_end_of_the_connection(server):
    with Http(server.port) as http:
        good, bad = http.open(), http.open()
        http.send(request(f"/idle/{good}/0") + request(f"/idle/{bad}/0") + request(f"/idle/{bad}/900")
                  + request(f"/idle/{good}/1") + request("/", method="GET", body=b""))
        assert [http.answer().status for _ in range(5)] == [200, 404, 404, 200, 200]


@pytest.mark.parametrize("waiting", [1, 3])
def test_bug_12_all_who_wait_for_a_session_hear_of_its_end(server, waiting):
    """Requests that came too early are refused one by one; then the connection serves others."""
    with Http(server.port) as http:
        session = http.open()
        assert http.ask(f"/idle/{session}/0").status == 200
        for n in range(waiting):
            http.send(request(f"/send/{session}/{n + 2}", b"x"))
        http.sock.settimeout(9)
        assert [http.answer().status for _ in range(waiting)] == [404] * waiting
        assert http.ask("/open/1").status == 200


def test_keep_alive_of_http_1_0(server, raw):
    viewers = watch(server, raw, "a")
    old = {**FCS, "Connection": "keep-alive"}
    with Http(server.port) as http:
        answer = http.ask("/open/1", b"\0", old, version="1.0")
        session = answer.body[:31].decode()
        answers = [answer, http.ask(f"/send/{session}/0", c0c1(), old, version="1.0"),
                   http.ask(f"/send/{session}/1", flight(frames=9), old, version="1.0"),
                   http.ask(f"/idle/{session}/2", b"\0", old, version="1.0"),
                   http.ask("/fcs/ident2", b"\0", old, version="1.0")]
        for one in answers:
            assert one.version == "HTTP/1.1" and one.headers["Connection"] == "keep-alive"
            assert "Transfer-Encoding" not in one.headers
        assert [one.status for one in answers] == [200, 200, 200, 200, 404]
        expect_frames(viewers, 9)
        assert http.ask(f"/idle/{session}/3", b"\0", version="1.0").headers["Connection"] == "close"
        assert http.is_closed()


# ---- pages of other sites

XHR = {"Origin": "https://player.example", "Content-Type": "text/plain;charset=UTF-8"}


def test_browser_client(server, raw):
    """XMLHttpRequest: another origin, no type of ours, and it must be allowed to read each answer."""
    publisher = raw(server)
    msid = publisher.publish("a")
    player = Tunnel(server.port, headers=XHR)
    player.handshake()
    player.connect()
    player.play("a")
    player.expect_status("NetStream.Play.Start")
    publisher.set_chunk_size(1 << 20)
    publisher.send_raw(video(0, 30).replace(b"\1\0\0\0\x17", bytes([msid]) + b"\0\0\0\x17"))
    assert numbers(player.media() for _ in range(30)) == list(range(30))
    player.post("close", b"")
    http = player.http
    gone = http.ask(f"/send/{player.session}/0", b"x", XHR)
    assert gone.status == 404
    assert http.ask("/fcs/ident2", b"\0", XHR).status == 404
    for answer in player.answers + [gone, http.ask("/open/1", b"\0", XHR), http.ask("/fcs/ident2", b"", XHR)]:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers.get("Content-Type") in (XHR["Content-Type"], None)
    assert "Access-Control-Allow-Origin" not in http.ask("/open/1").headers
    player.close()


def preflight(path, method="POST"):
    return request(path, b"", {"Origin": "https://player.example", "Access-Control-Request-Method": method,
                               "Access-Control-Request-Headers": "content-type"}, method="OPTIONS")


def test_preflight(server):
    with Http(server.port) as http:
        session = http.open()
        for path in ("/open/1", "/fcs/ident2", f"/send/{session}/0", f"/close/{session}"):
            http.send(preflight(path))
            answer = http.answer()
            assert answer.status == 204 and answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Access-Control-Allow-Methods"] == "POST"
            assert "content-type" in answer.headers["Access-Control-Allow-Headers"]
            assert int(answer.headers["Access-Control-Max-Age"]) > 0
        for path, method in (("/send/contact/1", "POST"), ("/open/1", "PUT"), ("/other", "POST")):
            http.send(preflight(path, method))
            assert "Access-Control-Allow-Methods" not in http.answer().headers


# ---- what is the website's

def test_requests_of_the_website_are_not_ours(server):
    """POST /send/contact/1 with a form; the page answers it, and says what it says to all."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with Http(server.port) as http:
        page = http.ask("/nothing", b"a=b", form)
        session = http.open()
        assert http.ask("/send/contact/1", b"a=b", form) == page
        assert http.ask("/close/shop", b"a=b", form) == page
        assert http.ask(f"/send/{session[:-1]}{'A' if session[-1] != 'A' else 'B'}/1", b"a=b", form) == page
        # and these are
        assert http.ask("/send/contact/1", b"a=b").body == b""
        assert http.ask("/send/contact/1", b"a=b", {"Content-Type": "Application/X-FCS; a=b"}).body == b""
        assert http.ask(f"/send/{session}/7", b"a=b", form).body == b""
        assert http.ask("/close/shop", b"") .body == b"\0"
        for ident in ("/fcs/ident", "/fcs/ident2"):
            answer = http.ask(ident, b"", form)
            assert answer.status == 404 and answer.body == b""


# ---- chunked replies for FFmpeg's player

def test_ffmpeg_plays_through_chunked_replies(server, clients, clip, tmp_path):
    with Relay(server.port) as relay:
        playing = Playing(clients, "ffmpeg", f"rtmpt://127.0.0.1:{relay.port}/live/a", tmp_path / "out.flv")
        clients.ffmpeg_publish(server.url(), clip("h264_aac_bframes")).wait(30)
        playing.finish(clip("h264_aac_bframes"))
        assert relay.said.count(b"Transfer-Encoding: chunked") > 5


@pytest.mark.parametrize("window,header", [(0, b""), (500, b"Via: 1.1 squid\r\n")])
def test_ffmpeg_gets_whole_replies_through_proxies(start_server, clients, clip, tmp_path, window, header):
    server = start_server(config={"limits": {"tunnel_window_ms": window}, "apps": [app()]})
    with Relay(server.port, header) as relay:
        playing = Playing(clients, "ffmpeg", f"rtmpt://127.0.0.1:{relay.port}/live/a", tmp_path / "out.flv")
        clients.ffmpeg_publish(server.url(), clip("h264_aac")).wait(30)
        playing.finish(clip("h264_aac"))
        assert b"Content-Length" in relay.said and b"Transfer-Encoding" not in relay.said


def player_of(server, headers=None):
    player = Tunnel(server.port, headers=FFMPEG if headers is None else headers)
    player.handshake()
    player.connect()
    player.play("a")
    player.expect_status("NetStream.Play.Start")
    return player


def test_chunked_reply_piece_by_piece(server, raw):
    """Its pieces come as the media do; it ends with its window; others may follow on the connection."""
    publisher = raw(server)
    publisher.publish("a")
    publisher.set_chunk_size(1 << 20)
    player = player_of(server)
    http = player.http
    assert all(answer.chunks is None for answer in player.answers)
    http.send(request(player.next_path("idle"), b"\0", FFMPEG))
    publisher.send_raw(video(0, 1))
    status, headers, _ = http.head()
    assert status == 200 and headers["Transfer-Encoding"] == "chunked" and "Content-Length" not in headers
    pieces = [http.chunk()]
    assert pieces[0][:1] == b"\1" and (0).to_bytes(4, "big") + bytes(150) in pieces[0]
    for number in range(1, 4):
        publisher.send_raw(video(number, 1))
        pieces.append(http.chunk())
        assert number.to_bytes(4, "big") + bytes(150) in pieces[-1]
    assert http.chunk() == b""
    answer = http.ask(player.next_path("send"), b"", FFMPEG)
    assert answer.status == 200 and answer.body == b"\1"
    player.close()


def test_chunked_reply_ends_for_what_stands_behind_it(start_server, raw):
    server = start_server(config={"limits": {"tunnel_window_ms": 5000}, "apps": [app()]})
    publisher = raw(server)
    publisher.publish("a")
    publisher.set_chunk_size(1 << 20)
    player = player_of(server)
    http = player.http
    http.sock.settimeout(3)
    for behind in (request("/", method="GET", body=b""), request("/open/1")):
        http.send(request(player.next_path("idle"), b"\0", FFMPEG))
        publisher.send_raw(video(0, 1))
        http.head()
        http.chunk()
        http.send(behind)
        assert http.chunk() == b""
        assert http.answer().status == 200
    player.close()


@pytest.mark.parametrize("change", [{"Connection": "Keep-Alive"}, {"Icy-MetaData": None}, {"User-Agent": "Lavf"},
                                    {"Via": "1.1 x"}, {"Connection": None}, {"X-Forwarded-For": "1.2.3.4"},
                                    {"x-forwarded-proto": "http"}, {"X-Cache": "MISS"},
                                    {"Cache-Control": None, "cache-control": "no-cache"}])
def test_whole_replies_for_everybody_else(server, raw, change):
    publisher = raw(server)
    publisher.publish("a")
    publisher.set_chunk_size(1 << 20)
    player = player_of(server, {**FFMPEG, **change})
    publisher.send_raw(video(0, 3))
    assert numbers(player.media() for _ in range(3)) == [0, 1, 2]
    assert all(answer.chunks is None for answer in player.answers)
    player.close()


def test_end_of_a_session_within_a_chunked_reply(server, raw):
    """The connection that waits for the rest is closed: there is no end to be told."""
    publisher = raw(server)
    publisher.publish("a")
    publisher.set_chunk_size(1 << 20)
    player = player_of(server)
    http = player.http
    http.send(request(player.next_path("idle"), b"\0", FFMPEG))
    publisher.send_raw(video(0, 1))
    http.head()
    http.chunk()
    with Http(server.port) as other:
        assert other.ask(f"/close/{player.session}", b"").status == 200
    try:
        while http.chunk():
            pass
    except Closed:
        pass
    wait_until(lambda: "play.end" in server.log(), 5, "the viewer's end")
    player.close()
