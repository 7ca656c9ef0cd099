"""The client's commands in people's hands: Ctrl-C at any time, outputs that cannot be written, odd names."""
import os
import pty
import select
import signal
import socket
import subprocess
import time

import pytest

import server as server_module
from rtmp_raw import RtmpClient
from server import SANITIZER, SANITIZER_ENV, find_binary

INTERRUPTED, LISTEN, FILE, READER = 130, 4, 10, 11


def run(*words, **options):
    """A command that ends by itself; its result with text."""
    env = {**os.environ, **SANITIZER_ENV}
    done = subprocess.run([str(find_binary()), *words], stderr=subprocess.PIPE, timeout=30, env=env, check=False, **options)
    done.said = done.stderr.decode(errors="replace")
    assert not SANITIZER.search(done.stderr), done.said
    return done


@pytest.fixture
def silent():
    """A port that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def on_terminal(words, says):
    """Ctrl-C once `says` stands on its terminal: exit code, what it wrote, and how long its end took."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen([str(find_binary()), *words], stdout=subprocess.DEVNULL, stderr=theirs,
                               env={**os.environ, **SANITIZER_ENV})
    os.close(theirs)
    said, since = b"", None
    deadline = time.monotonic() + 20
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    said += os.read(ours, 4096)
                except OSError:  # it has ended
                    break
            if since is None and says in said:
                running.send_signal(signal.SIGINT)
                since = time.monotonic()
        return running.wait(5), said, time.monotonic() - since
    finally:
        running.kill()
        running.wait()
        os.close(ours)


def test_ctrl_c_ends_check(silent):
    code, said, lasted_s = on_terminal(["check", f"rtmp://127.0.0.1:{silent}/live"], b"  RTMP ...")
    assert code == INTERRUPTED
    assert said.endswith(b"\r\x1b[K")
    assert lasted_s < 2


@pytest.mark.parametrize("words", [["--json"], []])
def test_check_whose_output_cannot_be_written(server, words):
    with open("/dev/full", "wb") as full:
        done = run("check", server.url("live"), *words, stdout=full)
    assert done.returncode == FILE
    assert "culvert: standard output: No space left on device" in done.said


def test_check_whose_reader_has_gone(server):
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "wb") as pipe:
        done = run("check", server.url("live"), stdout=pipe)
    assert done.returncode == READER
    assert "the reader of the output has gone" in done.said


def heed_ctrl_c():
    """A shell's background jobs, and so all that they start, are deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_while_nobody_reads_the_named_pipe(server, tmp_path):
    """Opening it waits for its reader; that must not hold Ctrl-C up."""
    os.mkfifo(tmp_path / "pipe")
    running = subprocess.Popen([str(find_binary()), "play", server.url(), "-o", tmp_path / "pipe"],
                               preexec_fn=heed_ctrl_c)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(1)
        running.send_signal(signal.SIGINT)
        assert running.wait(5) in (INTERRUPTED, -signal.SIGINT)  # the shell makes 130 of it
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("words", [["publish", "{}", "{url}"], ["play", "{url}", "-o", "{}"]])
def test_names_of_files_write_nothing_else_to_the_terminal(server, words):
    name = "/nowhere/\x1b[31m\nname"
    done = run(*[word.format(name, url=server.url()) for word in words])
    assert done.returncode == FILE
    assert "\x1b" not in done.said and done.said.startswith("culvert: /nowhere/?[31m?name: No such")


def test_a_damaged_file_with_an_odd_name(server, tmp_path):
    path = tmp_path / "a\x1bb.flv"
    path.write_bytes(b"no FLV at all, but long enough to be one")
    done = run("publish", str(path), server.url())
    assert done.returncode == FILE
    assert "\x1b" not in done.said and "a?b.flv is not FLV" in done.said


@pytest.mark.parametrize("url", ["example.org/live/a", "rtmp:/example.org/live", "rtmp:///live/a", "rtmp://h:99999/live/a"])
def test_wrong_urls_are_told_with_an_example(url):
    done = run("play", url)
    assert done.returncode == 2
    assert "the URL: " in done.said and "rtmp://HOST" in done.said


def test_ctrl_c_with_a_dead_network_behind(start_server, cli, clip):
    """What waits cannot be delivered: that must not hold the end up."""
    far = start_server()
    one = cli("publish", "--loop", clip("h264_aac"), far.url(), "-v")
    one.says("started")
    far.kill()
    one.says("coming back")
    one.interrupt()
    one.expect(INTERRUPTED, timeout_s=6)


def test_ctrl_c_with_a_server_that_stands_still(start_server, cli, clip, tmp_path):
    far = start_server()
    publisher = cli("publish", "--loop", clip("h264_aac"), far.url(), "-v")
    publisher.says("started")
    player = cli("play", far.url(), "-o", tmp_path / "out.flv", "-v")
    player.says("first media")
    far.process.send_signal(signal.SIGSTOP)
    try:
        for one in (publisher, player):
            one.interrupt()
        for one in (publisher, player):
            one.expect(INTERRUPTED, timeout_s=6)
    finally:
        far.process.send_signal(signal.SIGCONT)


# ---- the relay -------------------------------------------------------------------------------


def start_relay(cli, far, *words):
    port = server_module.free_port()
    one = cli("relay", far, "--listen", f"127.0.0.1:{port}", "-v", *words)
    one.says("publish to and play from")
    one.port = port
    return one


def test_relay_ends_with_a_dead_network_behind(start_server, cli, clients, clip):
    far = start_server()
    one = start_relay(cli, far.url("live"))
    encoder = clients.ffmpeg_publish(f"rtmp://127.0.0.1:{one.port}/live/a", clip("h264_aac"))
    one.says("publish a: started")
    far.kill()
    one.says("coming back")
    one.interrupt(signal.SIGTERM)
    one.expect(0, timeout_s=6)
    encoder.wait(20, codes=None)


def test_an_encoder_comes_back_while_the_far_server_is_away(start_server, cli, clients, clip):
    """What its first connection left cannot be delivered; the second one is accepted all the same."""
    far = start_server()
    one = start_relay(cli, far.url("live"))
    url = f"rtmp://127.0.0.1:{one.port}/live/a"
    first = clients.ffmpeg_publish(url, clip("h264_aac"))
    one.says("publish a: started")
    far.kill()
    one.says("coming back")
    first.kill()
    clients.ffmpeg_publish(url, clip("h264_aac")).wait(30)
    one.interrupt(signal.SIGTERM)
    one.expect(0, timeout_s=6)


def test_a_port_alone_is_this_machines_own(server, cli):
    port = server_module.free_port()
    one = cli("relay", server.url("live"), "--listen", str(port))
    one.says(f"publish to and play from rtmp://127.0.0.1:{port}/live/NAME")
    assert "warning" not in one.log()
    one.interrupt()
    one.expect(0)


def test_a_port_in_use_says_how_to_take_another(server, cli):
    cli("relay", server.url("live"), "--listen", f"127.0.0.1:{server.port}").expect(LISTEN, "port in use", "--listen")


def test_odd_names_do_not_reach_the_terminal(server, cli):
    one = start_relay(cli, server.url("live"))
    with RtmpClient.open(one.port) as encoder:
        encoder.publish("\u00fcber\u009b?key=secret")
        one.says(r"publish \\xc3\\xbcber\\xc2\\x9b: started")
        assert "secret" not in one.log()
    one.interrupt()
    one.expect(0)


def test_one_program_cannot_open_any_number_of_streams(server, cli):
    """Each one that is ended at once leaves a connection that says goodbye."""
    one = start_relay(cli, server.url("live"))
    with RtmpClient.open(one.port) as encoder:
        msid = encoder.create_stream()
        pieces = []
        encoder.send_raw, send = pieces.append, encoder.send_raw
        for number in range(300):
            encoder.command("publish", f"name{number}", "live", msid=msid)
            encoder.command("deleteStream", msid)
        send(b"".join(pieces))
        info, _ = encoder.expect_status("NetStream.Publish.BadName", msid=msid)
        assert "Too many streams" in info["description"]
    one.interrupt()
    one.expect(0)
