"""culvert relay: other programs publish to it and play from it; the far server comes and goes."""
import signal
import socket

import pytest

import flv
import frames
import server as server_module
from culvert_cli import Cli


@pytest.fixture
def relay(cli):
    """relay(server, *args): a relay to that server's app; .url(name) is the local URL."""
    def start(far, *args):
        port = server_module.free_port()
        one = cli("relay", far, "--listen", f"127.0.0.1:{port}", "-v", *args)
        one.says("publish to and play from")
        one.url = lambda name="a", app="any": f"rtmp://127.0.0.1:{port}/{app}/{name}"
        return one
    return start


def end(relay_process):
    relay_process.interrupt(signal.SIGTERM)
    return relay_process.expect(0, timeout_s=10)


@pytest.mark.parametrize("via", ["auto", "rtmp", "rtmpt", "ws"])
def test_publish_and_play_through_it(server, relay, clients, cli, clip, tmp_path, via):
    """FFmpeg at the relay; the same frames at the far server's player and at the relay's own."""
    source, far, near = clip("h264_aac"), tmp_path / "far.flv", tmp_path / "near.flv"
    one = relay(server.url("live"), "--via", via)
    player = cli("play", server.url(), "-o", far)
    player.says("through: ")
    local = clients.ffmpeg_play(one.url("a", "other"), near)
    one.says("play a: through")
    clients.ffmpeg_publish(one.url(), source).wait(30)
    player.expect(0)
    local.wait(30)
    frames.check_file(source, far, at_least=1, slack_ms=2)
    frames.check_file(source, near, slack_ms=2)
    end(one)


@pytest.mark.parametrize("name", ["rtmpdump", "rtmp2src"])
def test_other_players(server, relay, clients, cli, short_clip, tmp_path, name):
    out = tmp_path / "out.flv"
    one = relay(server.url("live"))
    player = getattr(clients, f"{name}_play")(one.url(), out)
    one.says("play a: through")
    cli("publish", short_clip, server.url()).expect(0)
    player.wait(30, codes=(0, 2))
    assert len(frames.packets(out, "v")) >= 73
    end(one)


@pytest.mark.parametrize("name", ["rtmp2sink", "rtmpsink", "librtmp"])
def test_other_encoders(server, relay, clients, librtmp_binary, cli, short_clip, tmp_path, name):
    out = tmp_path / "out.flv"
    clients.librtmp_binary = librtmp_binary
    one = relay(server.url("live"))
    player = cli("play", server.url(), "-o", out)
    player.says("through: ")
    getattr(clients, f"{name}_publish")(one.url(), short_clip).wait(30)
    player.expect(0)
    assert len(frames.packets(out, "v")) == 75
    end(one)


def test_many_players_share_one_connection(server, relay, clients, cli, short_clip, tmp_path):
    one = relay(server.url("live"))
    outs = [tmp_path / f"out{i}.flv" for i in range(3)]
    players = [cli("play", one.url(), "-o", out, "--via", "rtmp", "-v") for out in outs]
    for player in players:
        player.says("through: ")
    cli("publish", short_clip, server.url()).expect(0)
    for player, out in zip(players, outs):
        player.expect(0)
        frames.check_file(short_clip, out, at_least=0.9)
    assert one.log().count("play a: through") == 1
    end(one)


def test_a_whole_url_takes_any_local_name(server, relay, clients, cli, short_clip, tmp_path):
    out = tmp_path / "out.flv"
    one = relay(server.url("live/fixed"))
    player = cli("play", server.url("live/fixed"), "-o", out)
    player.says("through: ")
    clients.ffmpeg_publish(one.url("whatever"), short_clip).wait(30)
    player.expect(0)
    frames.check_file(short_clip, out, at_least=1, slack_ms=2)
    end(one)


def test_keys_travel_and_are_not_shown(start_server, relay, clients, short_clip):
    server = start_server(open_publish=False)
    key = server.publish_key()
    one = relay(server.url("live"))
    clients.ffmpeg_publish(one.url(f"a?key={key}"), short_clip).wait(30)
    assert key not in one.log()
    end(one).says(r"publish a: over: \d+ messages, 0 cuts, 0 lost")


def test_a_refusal_is_told_to_the_encoder(start_server, relay, clients, short_clip):
    server = start_server(open_publish=False)
    one = relay(server.url("live"))
    encoder = clients.ffmpeg_publish(one.url("a?key=wrong"), short_clip)
    assert encoder.wait(20, codes=None) != 0
    one.says("publish a: the server refuses: ")
    end(one)


def test_what_is_not_there_is_told_to_the_player(start_server, relay, cli, tmp_path):
    server = start_server(config={"apps": [server_module.app(play_wait_s=1)]})
    one = relay(server.url("live"))
    cli("play", one.url(), "-o", tmp_path / "x", "--via", "rtmp").expect(9)
    one.says("play a: the server has no such stream")
    end(one)


def test_one_publisher_at_a_time(server, relay, clients, cli, clip, short_clip):
    one = relay(server.url("live"))
    first = clients.ffmpeg_publish(one.url(), clip("h264_aac"))
    one.says("publish a: started")
    second = clients.ffmpeg_publish(one.url(), short_clip)
    assert second.wait(20, codes=None) != 0
    first.wait(30)
    clients.ffmpeg_publish(one.url(), short_clip).wait(30)  # and then another one
    end(one)


def test_an_encoder_that_is_killed_and_comes_back(server, relay, clients, clip, short_clip):
    one = relay(server.url("live"))
    first = clients.ffmpeg_publish(one.url(), clip("h264_aac"))
    one.says("publish a: started")
    first.kill()
    clients.ffmpeg_publish(one.url(), short_clip).wait(30)
    assert one.log().count("publish a: over: ") == 2 or one.says(r"(?s)over.*over")
    end(one)


class FarServer:
    """A server on a fixed port that can be killed and started again."""

    def __init__(self, folder, port):
        self.folder, self.port, self.count, self.running = folder, port, 0, None

    def start(self):
        self.count += 1
        self.running = Cli(self.folder, f"far{self.count}", ["serve", "--open-publish", "--listen",
                           f"127.0.0.1:{self.port}", "--state", self.folder / "state"])
        self.running.says("server.ready")

    def kill(self):
        if self.running:
            self.running.kill()


@pytest.fixture
def far(time_limit, tmp_path):
    one = FarServer(tmp_path, server_module.free_port())
    yield one
    one.kill()


def test_far_server_restarts_in_mid_stream(far, relay, clients, cli, clip, tmp_path):
    """The encoder notices nothing; a player of the second server gets the stream from a key frame on."""
    far.start()
    one = relay(f"rtmp://127.0.0.1:{far.port}/live")
    encoder = clients.ffmpeg_publish(one.url(), clip("h264_aac"), before=["-stream_loop", "1"])
    one.says("publish a: started")
    far.kill()
    one.says("publish a: the way was cut")
    far.start()
    player = cli("play", f"rtmp://127.0.0.1:{far.port}/live/a", "-o", tmp_path / "out.flv", "--wait", 10)
    one.says("publish a: back after .*nothing lost")
    encoder.wait(30)
    player.expect(0)
    played = frames.packets(tmp_path / "out.flv", "v")
    source = [frame.hash for frame in frames.packets(clip("h264_aac"), "v")] * 2
    assert played[0].key
    assert [frame.hash for frame in played] == source[-len(played):]
    assert len(played) >= 150
    end(one)


def test_far_server_starts_later(far, relay, clients, cli, clip, tmp_path):
    """The encoder is accepted and goes on; what it sent meanwhile follows."""
    one = relay(f"rtmp://127.0.0.1:{far.port}/live")
    encoder = clients.ffmpeg_publish(one.url(), clip("h264_aac"))
    one.says("(?s)trying.*trying.*trying.*trying")
    assert encoder.is_running()
    far.start()
    one.says("publish a: started")
    out = tmp_path / "out.flv"
    cli("play", f"rtmp://127.0.0.1:{far.port}/live/a", "-o", out).expect(0)
    encoder.wait(30)
    played = [frame.hash for frame in frames.packets(out, "v")]
    source = [frame.hash for frame in frames.packets(clip("h264_aac"), "v")]
    assert played == source[-len(played):]
    end(one)


def test_port_in_use(server, cli):
    cli("relay", server.url("live"), "--listen", f"127.0.0.1:{server.port}").expect(4, "culvert: ")


def test_other_addresses_are_warned_of(server, cli):
    port = server_module.free_port()
    one = cli("relay", server.url("live"), "--listen", f"0.0.0.0:{port}")
    one.says(f"warning: whoever reaches 0.0.0.0:{port} may use this relay")
    end(one)


def test_stop_with_everything_under_way(server, relay, clients, cli, clip, tmp_path):
    one = relay(server.url("live"))
    encoder = clients.ffmpeg_publish(one.url(), clip("h264_aac"))
    one.says("publish a: started")
    player = cli("play", one.url(), "-o", tmp_path / "out.flv", "--via", "rtmp", "-v")
    player.says("first media")
    end(one)
    assert encoder.wait(20, codes=None) != 0
    player.wait(40)
    assert flv.read_tags(tmp_path / "out.flv")


def test_intruders_do_not_disturb(server, relay, clients, short_clip):
    """Bytes that are no RTMP, and connections that say nothing."""
    one = relay(server.url("live"))
    port = int(one.url().split(":")[2].split("/")[0])
    socks = []
    for text in (b"GET / HTTP/1.1\r\n\r\n", b"\x03" + bytes(5000), b"\xff" * 4000, b""):
        socks.append(socket.create_connection(("127.0.0.1", port)))
        socks[-1].sendall(text)
    clients.ffmpeg_publish(one.url(), short_clip).wait(30)
    for sock in socks:
        sock.close()
    end(one)
