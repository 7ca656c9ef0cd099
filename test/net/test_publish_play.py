"""culvert publish and culvert play, against our server and other people's programs; how they end."""
import os
import signal
import socket
import subprocess
import threading

import pytest

import flv
import frames
import media
import server as server_module
from server import wait_until

WAYS = ["auto", "rtmp", "rtmpt", "ws"]
PAIRS = [(way, "auto") for way in WAYS] + [("auto", way) for way in WAYS[1:]]


def published(server, name="a"):
    """Waits until somebody publishes the stream."""
    wait_until(lambda: f"publish.start" in server.log() and f"stream=live/{name}" in server.log(), 15, "a publisher")


@pytest.fixture
def looping(server, cli, short_clip):
    """A stream "a" that goes on."""
    publisher = cli("publish", "--loop", short_clip, server.url(), "-v")
    publisher.says("started after")
    return publisher


# ---- streams --------------------------------------------------------------------------------

@pytest.mark.parametrize("publish_by, play_by", PAIRS)
def test_file_to_file(server, cli, short_clip, tmp_path, publish_by, play_by):
    """Every message, its time and its content, by every way."""
    out = tmp_path / "out.flv"
    player = cli("play", server.url(), "-o", out, "--via", play_by, "-v")
    player.says("through: ")
    cli("publish", short_clip, server.url(), "--via", publish_by, "--json").expect(0, "through: ")
    player.expect(0, "first media after ")
    frames.check_file(short_clip, out, at_least=1)


def test_both_orders_get_through(server, cli, short_clip):
    for order in ("offer-first", "rtmp-first"):
        cli("publish", short_clip, server.url(), "--order", order).expect(0, "through: RTMP")


@pytest.mark.parametrize("name", ["h264_aac_bframes", "h264_mp3", "audio_only", "video_only"])
def test_other_codecs(server, cli, clip_folder, tmp_path, name):
    source, out = media.make_clip(clip_folder, name, 3), tmp_path / "out.flv"
    player = cli("play", server.url(), "-o", out)
    player.says("through: ")
    cli("publish", source, server.url()).expect(0)
    player.expect(0)
    frames.check_file(source, out, kinds=media.CLIPS[name][0], at_least=1)


def test_pipes_at_both_ends(server, cli, clip, tmp_path):
    """FFmpeg encodes into our publisher; FFmpeg takes what our player writes."""
    source, out = clip("h264_aac"), tmp_path / "out.flv"
    player = cli("play", server.url(), stdout=subprocess.PIPE)
    taker = subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", "-", "-c", "copy", "-f", "flv", out],
                             stdin=player.process.stdout)
    player.process.stdout.close()
    player.says("through: ")
    giver = subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", "-re", "-i", source, "-c", "copy", "-f", "flv", "-"],
                             stdout=subprocess.PIPE)
    publisher = cli("publish", "-", server.url(), stdin=giver.stdout)
    giver.stdout.close()
    assert giver.wait(30) == 0
    publisher.expect(0)
    player.expect(0)
    assert taker.wait(30) == 0
    frames.check_file(source, out, at_least=1, slack_ms=2)


def test_ffprobe_plays_what_we_publish(server, clients, cli, short_clip, tmp_path):
    out = tmp_path / "out.flv"
    player = clients.ffmpeg_play(server.url(), out)
    wait_until(lambda: "conn" in server.log() or player.is_running(), 5)
    cli("publish", short_clip, server.url()).expect(0)
    player.wait(30)
    frames.check_file(short_clip, out)


def test_we_play_what_ffmpeg_publishes(server, clients, cli, clip, tmp_path):
    out = tmp_path / "out.flv"
    player = cli("play", server.url(), "-o", out)
    player.says("through: ")
    clients.ffmpeg_publish(server.url(), clip("h264_aac")).wait(30)
    player.expect(0)
    frames.check_file(clip("h264_aac"), out, at_least=1, slack_ms=2)


def test_a_loop_is_one_line_of_time(server, cli, short_clip, tmp_path):
    out = tmp_path / "out.flv"
    publisher = cli("publish", "--loop", short_clip, server.url(), "-v")
    publisher.says("started after")
    cli("play", server.url(), "-o", out, "--duration", 5).expect(0)
    video = [tag.timestamp for tag in flv.read_tags(out) if tag.type == 9 and tag.data[1] == 1]
    steps = [later - sooner for sooner, later in zip(video, video[1:])]
    seams = [step for step in steps if step != 40]  # the file's sound is a little longer than its pictures
    assert video[-1] > 3500 and 1 <= len(seams) <= 2 and all(40 < step < 120 for step in seams), seams
    publisher.interrupt()
    publisher.expect(130)


def test_the_pace_is_that_of_the_clock(server, cli, short_clip):
    done = cli("publish", short_clip, server.url(), "--json").expect(0).summary()
    assert done["exit"] == 0 and done["lost"] == 0 and done["cuts"] == 0
    assert done["messages"] == len(flv.read_tags(short_clip))
    assert done["attempts"] == 1 and done["through_ms"] < done["started_ms"] + 1


def test_wait_for_a_publisher(server, cli, short_clip, tmp_path, start_server):
    quick = start_server(config={"apps": [server_module.app(play_wait_s=1)]})
    player = cli("play", quick.url(), "-o", tmp_path / "out.flv", "--wait", 30)
    player.says("(?s)through.*through")  # it has asked once more
    cli("publish", short_clip, quick.url()).expect(0)
    player.expect(0)


# ---- failures: one sentence, one code -------------------------------------------------------

@pytest.mark.parametrize("url", ["nothing", "rtmp://", "rtmp://localhost/live", "rtmps://localhost/live",
                                 "rtmp://localhost:99999/live/a", "ftp://localhost/live/a"])
@pytest.mark.parametrize("command", ["publish", "play"])
def test_wrong_url(cli, short_clip, tmp_path, command, url):
    args = [short_clip, url] if command == "publish" else [url, "-o", tmp_path / "out.flv"]
    cli(command, *args).expect(2, f"culvert {command}: ", f"See: culvert help {command}")


@pytest.mark.parametrize("args", [["publish"], ["publish", "a.flv"], ["publish", "a", "b", "c"], ["play"],
                                  ["play", "rtmp://h/a/b", "--via", "udp"], ["play", "rtmp://h/a/b", "--duration", "0"],
                                  ["play", "ws://h/a/b", "--via", "rtmp"], ["relay"], ["relay", "rtmp://"],
                                  ["relay", "rtmp://h/a", "--listen", "nowhere"]])
def test_wrong_usage(cli, args):
    cli(*args).expect(2, "See: culvert help")


def test_unknown_host(cli, short_clip, tmp_path):
    cli("publish", short_clip, "rtmp://no.such.host.invalid/live/a").expect(6, 'no host "no.such.host.invalid"')
    cli("play", "rtmp://no.such.host.invalid/live/a", "-o", tmp_path / "x").expect(6)


def test_nobody_listens(cli, short_clip):
    port = server_module.free_port()
    cli("publish", short_clip, f"rtmp://127.0.0.1:{port}/live/a").expect(7, "culvert: no way to 127.0.0.1: the port")


def test_wrong_service(cli, short_clip):
    """A port that says something else at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def greet():
            while True:
                try:
                    conn, _ = listener.accept()
                except OSError:
                    return
                with conn:
                    conn.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        threading.Thread(target=greet, daemon=True).start()
        url = f"rtmp://127.0.0.1:{listener.getsockname()[1]}/live/a"
        cli("publish", short_clip, url).expect(7, "culvert: no way to 127.0.0.1: ")
        listener.shutdown(socket.SHUT_RDWR)


def test_refused_key(start_server, cli, short_clip):
    server = start_server(open_publish=False)
    key = server.publish_key()
    cli("publish", short_clip, server.url("live/a?key=wrong")).expect(8, "culvert: the server refuses: ")
    cli("publish", short_clip, server.url(f"live/a?key={key}")).expect(0)
    assert key not in server.log()


def test_name_in_use(server, cli, looping, short_clip):
    """From the same address, so the server takes it for a return, until it hears the first one."""
    cli("publish", short_clip, server.url()).expect(8, "culvert: the server refuses: ")


def test_not_found(start_server, cli, tmp_path):
    server = start_server(config={"apps": [server_module.app(play_wait_s=1)]})
    out = tmp_path / "out.flv"
    out.write_bytes(b"before")
    cli("play", server.url(), "-o", out).expect(9, "the server has no such stream")
    assert out.read_bytes() == b"before"
    cli("play", server.url("nosuchapp/x"), "-o", out).expect(9)


def test_files_that_cannot_be_read(server, cli, tmp_path):
    cli("publish", tmp_path / "nothing.flv", server.url()).expect(10, "nothing.flv: No such file or directory")
    cli("publish", tmp_path, server.url()).expect(10, "is a folder")
    (tmp_path / "text").write_text("This is no FLV file, but a text.")
    cli("publish", tmp_path / "text", server.url()).expect(10, "is not FLV")
    (tmp_path / "empty").write_bytes(b"")
    cli("publish", tmp_path / "empty", server.url()).expect(10, "holds no FLV stream")


def test_truncated_file(server, cli, short_clip, tmp_path):
    """What is there is published; then it is said."""
    cut = tmp_path / "cut.flv"
    cut.write_bytes(short_clip.read_bytes()[:-1000])
    done = cli("publish", cut, server.url(), "--json").expect(10, "cut.flv ends in the middle of a tag").summary()
    assert done["messages"] >= len(flv.read_tags(cut)) - 1
    assert "ends in the middle" in done["failure"]


def test_full_disk(server, cli, looping):
    cli("play", server.url(), "-o", "/dev/full").expect(10, "/dev/full: No space left on device")


def test_folder_without_permission(server, cli, looping):
    cli("play", server.url(), "-o", "/proc/nothing.flv").expect(10, "culvert: /proc/nothing.flv: ")


def test_broken_pipe(server, cli, looping):
    read, write = os.pipe()
    player = cli("play", server.url(), stdout=write)
    os.close(write)
    assert os.read(read, 3) == b"FLV"
    os.close(read)
    player.expect(11, "the reader of the output has gone")


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_closed_standard_descriptors(server, cli, looping, short_clip, fd, tmp_path):
    """No socket takes their place."""
    binary = server_module.find_binary()
    script = {0: f'"{binary}" publish - {server.url("live/b")} <&-',
              1: f'"{binary}" play {server.url()} >&-',
              2: f'"{binary}" play {server.url()} --duration 1 -o "{tmp_path}/out.flv" 2>&-'}[fd]
    done = subprocess.run(["sh", "-c", script], timeout=30, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "XDG_STATE_HOME": str(tmp_path)})
    assert done.returncode == {0: 10, 1: 10, 2: 0}[fd]


def test_terminals_get_no_flv(server, cli, looping):
    lead, follow = os.openpty()
    try:
        cli("play", server.url(), stdout=follow).expect(2, "FLV is nothing for a terminal")
        cli("publish", "-", server.url("live/b"), stdin=follow).expect(10, "is a terminal")
    finally:
        os.close(lead)
        os.close(follow)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(server, cli, short_clip, tmp_path, how):
    """The server sees a goodbye, not a cut line: the players' stream ends at once."""
    out = tmp_path / "out.flv"
    publisher = cli("publish", "--loop", short_clip, server.url(), "-v")
    publisher.says("started after")
    player = cli("play", server.url(), "-o", out, "-v")
    player.says("first media after")
    recorder = cli("play", server.url(), "-o", tmp_path / "second.flv", "-v")
    recorder.says("first media after")
    recorder.interrupt(how)
    recorder.expect(130)
    assert flv.read_tags(tmp_path / "second.flv")
    publisher.interrupt(how)
    publisher.expect(130, timeout_s=5)
    player.expect(0)
    assert "publish.end" in server.log()


def test_slow_reader_skips(server, cli, clip, tmp_path):
    """A pipe that nobody reads for a while: whole tags, whole memory."""
    publisher = cli("publish", "--loop", clip("h264_aac"), server.url(), "-v")
    publisher.says("started after")
    read, write = os.pipe()
    player = cli("play", server.url(), "-v", stdout=write)
    os.close(write)
    player.says("first media after")
    player.interrupt()
    player.expect(130, timeout_s=10)  # though the pipe is full
    with os.fdopen(read, "rb") as pipe:
        (tmp_path / "out.flv").write_bytes(pipe.read())
    assert flv.read_tags(tmp_path / "out.flv")


# ---- cuts -----------------------------------------------------------------------------------

def test_server_restarts_under_a_publisher(start_server, cli, clip, tmp_path):
    """The stream comes back by itself, from a key frame on."""
    server = start_server()
    publisher = cli("publish", "--loop", clip("h264_aac"), server.url(), "-v")
    publisher.says("started after")
    server.kill()
    publisher.says("the way was cut")
    again = subprocess.Popen([str(server.binary), "serve", "--open-publish", "--listen", f"127.0.0.1:{server.port}",
                              "--state", str(tmp_path / "state")], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        publisher.says("back after")
        out = tmp_path / "out.flv"
        cli("play", server.url(), "-o", out, "--duration", 1).expect(0)
        assert frames.packets(out, "v")[0].key
    finally:
        again.terminate()
        again.wait(20)
