"""Live FLV over HTTP: what players get is, frame for frame, what was published; heads, ends, bad clients."""
import contextlib
import socket

import pytest

import frames
import media
import server as server_module
import synth
from flv_raw import AUDIO_FLAG, VIDEO_FLAG, HttpPlayer, ask, numbers
from rtmp_raw import AUDIO, VIDEO, Closed, TimedOut
from server import app, wait_until
from synth import Publisher


@pytest.fixture
def play(start_server):
    """Factory of players that are closed at the end."""
    players = []

    def start(server, path="/live/a.flv", **settings):
        players.append(HttpPlayer(server.port, path, **settings))
        return players[-1]
    yield start
    for player in players:
        player.close()


@pytest.fixture
def publish(start_server):
    """Factory of publishers that are closed at the end."""
    publishers = []

    def start(server, name="a", **settings):
        publishers.append(Publisher(server.port, name, **settings))
        return publishers[-1]
    yield start
    for publisher in publishers:
        publisher.close()


def url(server, name="a", query=""):
    return f"http://127.0.0.1:{server.port}/live/{name}.flv{query}"


# ---- frame by frame

@pytest.mark.parametrize("name", media.CLIPS)
def test_ffmpeg_gets_every_frame(server, clients, clip, play, tmp_path, name):
    """FFmpeg, by its name the plain view; a page's view, raw; both come first and wait."""
    kinds = media.CLIPS[name][0]
    playing = clients.ffmpeg_play(url(server), tmp_path / "ffmpeg.flv")
    raw_player = play(server)
    clients.ffmpeg_publish(server.url(), clip(name)).wait(30)
    raw_player.to_end()
    assert raw_player.complete and raw_player.flv.is_whole
    raw_player.expect_eof()
    playing.wait(20)
    frames.check_file(clip(name), tmp_path / "ffmpeg.flv", kinds)
    frames.check_file(clip(name), raw_player.flv.save(tmp_path / "raw.flv"), kinds)
    want = (AUDIO_FLAG if "a" in kinds else 0) | (VIDEO_FLAG if "v" in kinds else 0)
    assert raw_player.flv.flags == want


def test_late_player_starts_at_a_key_frame(server, clients, clip, raw, tmp_path):
    source = clip("h264_aac")
    scout = raw(server)
    scout.play("a")
    publishing = clients.ffmpeg_publish(server.url(), source)
    first = scout.media(20)
    scout.expect(lambda msg: msg.is_media and msg.timestamp - first.timestamp > 1500, 20, "1.5 s of the stream")
    playing = clients.ffmpeg_play(url(server), tmp_path / "out.flv")
    publishing.wait(30)
    playing.wait(20)
    frames.check_file(source, tmp_path / "out.flv", at_least=0.2)
    start = frames.start_in(frames.packets(source, "v"), frames.packets(tmp_path / "out.flv", "v"))
    assert start >= media.FPS, f"starts at frame {start}: that is not the newest key frame"


def test_players_on_other_threads(start_server, publish, play):
    """Streams live on the threads that their names choose, HTTP on the one of its address."""
    server = start_server("--threads", "3", config={"apps": [app()]})
    names = [f"s{i}" for i in range(9)]
    players = [play(server, f"/live/{name}.flv") for name in names for _ in range(2)]
    pubs = [publish(server, name) for name in names]
    for pub in pubs:
        pub.send(60)
        pub.sync()
        pub.unpublish()
    for player in players:
        assert numbers(player.to_end(), VIDEO) == list(range(60))
        assert numbers(player.flv.tags, AUDIO) == list(range(60))
        assert player.complete and player.flv.is_whole


# ---- heads

def test_heads(server, publish, play):
    publish(server).send(5)
    player = play(server).head()
    assert player.status == 200
    wanted = {"content-type": "video/x-flv", "cache-control": "no-store", "x-accel-buffering": "no",
              "connection": "close", "access-control-allow-origin": "*", "transfer-encoding": "chunked"}
    assert player.headers == wanted
    echoed = play(server, fields="Origin: https://page.example\r\n").head()
    assert echoed.headers == {**wanted, "access-control-allow-origin": "https://page.example", "vary": "Origin"}
    answer = ask(server.port, "HEAD /live/a.flv")
    assert (answer.status, answer.headers, answer.body) == (200, wanted, b"")


def test_http_1_0_ends_with_the_connection(server, publish, play):
    pub = publish(server)
    pub.send(5)
    player = play(server, version="1.0").head()
    assert player.status == 200 and "transfer-encoding" not in player.headers
    pub.sync()
    pub.send(5)
    pub.sync()
    pub.unpublish()
    assert numbers(player.to_end(), VIDEO) == list(range(10))
    assert player.flv.is_whole and not player.complete


def test_preflight(server):
    answer = ask(server.port, "OPTIONS /live/a.flv", "Origin: null\r\nAccess-Control-Request-Method: GET\r\n"
                 "Access-Control-Request-Headers: range\r\n")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "null"
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST, PUT, OPTIONS"
    assert answer.headers["access-control-allow-headers"] == "range, content-type"
    assert int(answer.headers["access-control-max-age"]) > 0


def test_refusals_can_be_read_by_pages(start_server, play):
    server = start_server(config={"apps": [app(play_wait_s=1, viewers_max=1), app("shut", play="off")]})
    answer = ask(server.port, "GET /live/none.flv?x=1", "Origin: http://a\r\n")
    assert (answer.status, answer.body) == (404, b"nobody publishes live/none\n")
    assert answer.headers["access-control-allow-origin"] == "http://a"
    answer = ask(server.port, "HEAD /live/none.flv")
    assert (answer.status, answer.body) == (404, b"")
    answer = ask(server.port, "GET /shut/a.flv")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (403, "*")
    assert ask(server.port, "GET /unknown/a.flv").body == b"There is nothing here.\n"
    waiting = play(server)
    answer = ask(server.port, "GET /live/a.flv")
    assert answer.status == 503 and int(answer.headers["retry-after"]) > 0
    assert answer.headers["access-control-allow-origin"] == "*"
    assert waiting.head().status == 404


# ---- the file header

@pytest.mark.parametrize("audio, video, flags", [(True, False, AUDIO_FLAG), (False, True, VIDEO_FLAG),
                                                 (True, True, AUDIO_FLAG | VIDEO_FLAG)])
@pytest.mark.parametrize("query", ["", "?plain=1"])
def test_flags_are_the_tracks_that_are_there(server, publish, play, audio, video, flags, query):
    """Players wait for ever for a track that the header promises and that never comes."""
    player = play(server, "/live/a.flv" + query)
    pub = publish(server, audio=audio, video=video)
    pub.send(10)
    kind = VIDEO if video else AUDIO
    while numbers(player.flv.tags, kind) != list(range(10)):
        player.media()
    assert player.flv.flags == flags


def test_a_second_track_that_comes_late(server, publish, play):
    player = play(server)
    pub = publish(server, audio=False)
    pub.send(10)
    pub.audio = True
    pub.put(AUDIO, synth.AAC_HEADER, csid=4)
    pub.send(10)
    while numbers(player.flv.tags, AUDIO) != list(range(10, 20)):
        player.media()
    assert player.flv.flags == AUDIO_FLAG | VIDEO_FLAG
    assert numbers(player.flv.tags, VIDEO)[:10] == list(range(10))


def test_new_codec_headers_flow(server, publish, play):
    player = play(server)
    pub = publish(server)
    pub.send(10)
    player.media()  # from here on it reads along
    other = synth.AVC_HEADER[:-1] + b"\x81"
    pub.send_until_key()
    pub.put(VIDEO, other, csid=6)
    pub.send(5)
    pub.sync()
    pub.unpublish()
    tags = [tag for tag in player.to_end() if tag.type == VIDEO]
    headers = [i for i, tag in enumerate(tags) if tag.is_header]
    assert [tags[i].payload for i in headers] == [synth.AVC_HEADER, other]
    assert tags[headers[1] + 1].is_key


# ---- the end

def test_end_of_a_publisher_that_vanishes(server, publish, play):
    """After the grace time, 1 s here."""
    player = play(server)
    pub = publish(server)
    pub.send(10)
    pub.sync()
    pub.close()
    assert numbers(player.to_end(), VIDEO) == list(range(10))
    assert player.complete


def test_publisher_that_returns(server, publish, play):
    """One stream for the player, its time goes on."""
    player = play(server)
    pub = publish(server)
    pub.send(10)
    pub.sync()
    pub.close()
    again = Publisher.when_free(server.port)
    again.send(10)
    again.sync()
    again.unpublish()
    tags = [tag for tag in player.to_end() if not tag.is_header]
    again.close()
    assert numbers(tags, VIDEO) == list(range(10)) * 2
    stamps = [tag.timestamp for tag in tags]
    assert stamps == sorted(stamps) and stamps[0] == 0


def test_stop_of_the_server_is_a_clean_end(server, publish, play):
    player = play(server)
    pub = publish(server)
    pub.send(10)
    player.media()
    server.terminate()
    player.to_end()
    assert player.complete and player.flv.is_whole
    player.close()
    pub.close()
    assert server.wait(10) == 0


# ---- bad clients

def test_bug_10_slow_player_jumps_and_harms_nobody(server, publish, play):
    fast, slow = play(server), play(server, receive_buffer=65536)
    pub = publish(server, size=100_000, chunk_size=65536, audio=False)
    pub.send(51)  # more than two seconds: no second track is waited for
    slow.media()
    while pub.number < 600:
        last = pub.send(20)
        while numbers(fast.flv.tags[-1:], VIDEO) != [last]:
            fast.media(20)
    assert numbers(fast.flv.tags, VIDEO) == list(range(pub.number))
    last = pub.send(30)
    while numbers(slow.flv.tags[-1:], VIDEO) != [last]:
        slow.media(20)
    video = [tag for tag in slow.flv.tags if tag.type == VIDEO and not tag.is_header]
    assert all(synth.is_intact(tag) for tag in video)
    gaps = [b for a, b in zip(video, video[1:]) if synth.number_of(b) != synth.number_of(a) + 1]
    assert gaps and all(tag.is_key for tag in gaps)
    pub.sync()
    pub.unpublish()
    slow.to_end()
    assert slow.complete


@pytest.mark.slow
def test_player_that_never_reads_again_is_closed(start_server, publish, play):
    server = start_server(config={"limits": {"write_stall_s": 2}, "apps": [app()]})
    stopped = play(server, receive_buffer=16384)
    port = stopped.sock.getsockname()[1]
    pub = publish(server, size=100_000, chunk_size=65536)
    pub.send(1)
    stopped.media()

    def is_closed():
        pub.send(5)
        return any("play.end" in line and "TIMEOUT" in line for line in server.lines_about(port))
    wait_until(is_closed, 15, "stalled player closed", 0.2)


def test_what_a_player_says_behind_its_get(server, publish, play):
    """A little garbage is read away; much ends the connection, and nobody else's."""
    quiet, chatty, flood = play(server), play(server), play(server)
    pub = publish(server)
    pub.send(5)
    for player in (quiet, chatty, flood):
        player.media()
    chatty.sock.sendall(b"\x16\x03\x01GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 16)
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        flood.sock.sendall(bytes(1 << 20))
        flood.to_end()
    assert not flood.complete
    last = pub.send(5)
    for player in (quiet, chatty):
        while numbers(player.flv.tags, VIDEO)[-1:] != [last]:
            player.media()


def test_players_that_leave_while_they_wait(server, publish, play):
    for end in (HttpPlayer.close, lambda player: player.sock.shutdown(socket.SHUT_RDWR)):
        waiting = [play(server) for _ in range(20)]
        with pytest.raises(TimedOut):
            waiting[-1].head(0.2)
        for player in waiting:
            end(player)
    pub = publish(server)
    player = play(server)
    pub.send(3)
    assert player.media().type in (AUDIO, VIDEO)


def test_pipelined_behind_another_request(server, publish):
    """The page first, then the stream, on one connection."""
    pub = publish(server)
    pub.send(60)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /live/a.flv HTTP/1.1\r\nHost: a\r\n\r\nnoise")
        got = b""
        while b"FLV\x01\x05" not in got:
            data = sock.recv(65536)
            assert data, got
            got += data
    assert got.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/html")


def test_many_come_and_go(start_server, publish):
    """Players that leave at any moment, on several threads, beside one that stays."""
    server = start_server("--threads", "3", config={"apps": [app()]})
    pub = publish(server)
    pub.send(60)
    staying = HttpPlayer(server.port)
    staying.media()
    for turn in range(40):
        player = HttpPlayer(server.port, version="1.1" if turn % 2 else "1.0")
        pub.send(5)
        if turn % 3:
            with contextlib.suppress(Closed):
                player.media()
        player.close()
    last = pub.send(1)
    while numbers(staying.flv.tags, VIDEO)[-1:] != [last]:
        staying.media()
    run = numbers(staying.flv.tags, VIDEO)
    assert run == list(range(run[0], last + 1))
    staying.close()
    assert server_module.SANITIZER.search(server.log().encode()) is None
