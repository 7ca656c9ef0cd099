"""What is played is, frame for frame, what was published: every player, every publisher, every kind of clip."""
import pytest

import frames
import media
from clients import PLAYERS, PUBLISHERS, play_with


def publish_and_play(server, clients, publish, player, source, out, kinds):
    """The player comes first and waits; it must see the stream to its last frame."""
    playing, codes = play_with(clients, player, server.url(), out)
    publish(server.url(), source).wait(30)
    playing.wait(20, codes)
    frames.check_file(source, out, kinds)


@pytest.mark.parametrize("player", PLAYERS)
def test_players_get_every_frame(server, clients, clip, tmp_path, player):
    publish_and_play(server, clients, clients.ffmpeg_publish, player, clip("h264_aac"), tmp_path / "out.flv", "va")


@pytest.mark.parametrize("name", [name for name in media.CLIPS if name != "h264_aac"])
def test_kinds_of_clips(server, clients, clip, tmp_path, name):
    kinds = media.CLIPS[name][0]
    outs = {player: tmp_path / f"{player}.flv" for player in ("ffmpeg", "rtmpdump")}
    playing = [(*play_with(clients, player, server.url(), out), out) for player, out in outs.items()]
    clients.ffmpeg_publish(server.url(), clip(name)).wait(30)
    for child, codes, out in playing:
        child.wait(20, codes)
        frames.check_file(clip(name), out, kinds)


@pytest.mark.parametrize("publisher", [name for name in PUBLISHERS if name != "ffmpeg"])
def test_publishers(server, clients, clip, tmp_path, publisher, librtmp_binary):
    clients.librtmp_binary = librtmp_binary
    publish = getattr(clients, PUBLISHERS[publisher])
    publish_and_play(server, clients, publish, "ffmpeg", clip("h264_aac"), tmp_path / "out.flv", "va")


@pytest.mark.parametrize("player", PLAYERS)
def test_late_player_starts_at_a_key_frame(server, clients, clip, raw, tmp_path, player):
    source, out = clip("h264_aac"), tmp_path / "out.flv"
    scout = raw(server)
    scout.play("a")
    publishing = clients.ffmpeg_publish(server.url(), source)
    first = scout.media(20)
    scout.expect(lambda msg: msg.is_media and msg.timestamp - first.timestamp > 1500, 20, "1.5 s of the stream")
    playing, codes = play_with(clients, player, server.url(), out)
    publishing.wait(30)
    playing.wait(20, codes)
    video, played = frames.packets(source, "v"), frames.packets(out, "v")
    start = frames.check_suffix(video, played, 25)
    assert start > 0 and start % media.FPS == 0, f"starts at frame {start}, which is no key frame"
    frames.check_suffix(frames.packets(source, "a"), frames.packets(out, "a"), 25)
    frames.check_suffix(frames.pictures(source), frames.pictures(out), 25)
