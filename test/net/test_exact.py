"""What is played is, frame for frame, what was published: every player, every publisher, every kind of clip."""
import pytest

import frames
import media
from clients import PLAYERS, PUBLISHERS, Playing


def test_players_get_every_frame(server, clients, clip, tmp_path):
    """All players at once: they come first, wait, and see the stream to its last frame."""
    playing = [Playing(clients, name, server.url(), tmp_path / f"{name}.flv") for name in PLAYERS]
    clients.ffmpeg_publish(server.url(), clip("h264_aac")).wait(30)
    for one in playing:
        one.finish(clip("h264_aac"))


@pytest.mark.parametrize("name", [name for name in media.CLIPS if name != "h264_aac"])
def test_kinds_of_clips(server, clients, clip, tmp_path, name):
    playing = [Playing(clients, player, server.url(), tmp_path / f"{player}.flv")
               for player in ("ffmpeg", "rtmpdump")]
    clients.ffmpeg_publish(server.url(), clip(name)).wait(30)
    for one in playing:
        one.finish(clip(name), media.CLIPS[name][0])


@pytest.mark.parametrize("publisher", [name for name in PUBLISHERS if name != "ffmpeg"])
def test_publishers(server, clients, clip, tmp_path, publisher, librtmp_binary):
    clients.librtmp_binary = librtmp_binary
    playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
    getattr(clients, PUBLISHERS[publisher])(server.url(), clip("h264_aac")).wait(30)
    playing.finish(clip("h264_aac"), slack_ms=1)  # GStreamer rounds nanoseconds to milliseconds


def test_late_players_start_at_a_key_frame(server, clients, clip, raw, tmp_path):
    source = clip("h264_aac")
    scout = raw(server)
    scout.play("a")
    publishing = clients.ffmpeg_publish(server.url(), source)
    first = scout.media(20)
    scout.expect(lambda msg: msg.is_media and msg.timestamp - first.timestamp > 1500, 20, "1.5 s of the stream")
    playing = [Playing(clients, name, server.url(), tmp_path / f"{name}.flv") for name in PLAYERS]
    publishing.wait(30)
    for one in playing:
        one.finish(source, at_least=0.2)
        start = frames.start_in(frames.packets(source, "v"), frames.packets(one.out, "v"))
        assert start >= media.FPS, f"starts at frame {start}: that is not the newest key frame"
