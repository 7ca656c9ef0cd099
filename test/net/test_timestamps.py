"""Streams that start shortly before the 24-bit and the 32-bit limit play on past it."""
import threading
import time

import pytest

import flv
import frames
import synth
from clients import Playing
from rtmp_raw import AUDIO, VIDEO, RtmpClient, delta_ms
from synth import Publisher, check_run, collect, number_of

STARTS_MS = {"24_bit": 16777000, "31_bit": 2147483000, "32_bit": 4294967000}


@pytest.mark.parametrize("fmt", [0, 1])
@pytest.mark.parametrize("start_ms", STARTS_MS.values(), ids=STARTS_MS)
def test_bug_09_raw_viewer_past_the_wrap(server, raw, start_ms, fmt):
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port, first_ms=start_ms, fmt=fmt)
    raw.keep(pub.client)
    got = collect(viewer, pub.send(75))
    video = check_run(got, first=0)
    assert video[0].timestamp == start_ms
    assert [delta_ms(msg.timestamp, video[0].timestamp) for msg in video] == [
        synth.FRAME_MS * number_of(msg) for msg in video]


@pytest.mark.parametrize("start_ms", STARTS_MS.values(), ids=STARTS_MS)
def test_bug_09_late_joiner_after_the_wrap(server, raw, start_ms):
    pub = Publisher(server.port, first_ms=start_ms)
    raw.keep(pub.client)
    pub.send(60)
    pub.sync()
    viewer = raw(server)
    viewer.play("a")
    first = viewer.media()
    viewer.inbox.appendleft(first)
    video = check_run(collect(viewer, pub.send(1)), first=50)
    assert delta_ms(video[0].timestamp, start_ms) == 50 * synth.FRAME_MS
    assert first.is_header and first.timestamp == video[0].timestamp


def publish_tags(port, tags, shift_ms, stop):
    """Sends the tags of a clip in real time, moved by shift_ms."""
    client = RtmpClient.open(port)
    client.set_chunk_size(4096)
    msid = client.publish("a")
    for tag in tags:
        while not stop.is_set() and stop.clock() < tag.timestamp / 1000:
            stop.wait(0.005)
        if stop.is_set():
            break
        stamp = tag.timestamp + shift_ms & 0xFFFFFFFF
        client.send_message(tag.type, tag.data, stamp, msid, {AUDIO: 4, VIDEO: 6}.get(tag.type, 5))
    client.command("deleteStream", msid, call_id=0)
    client.close()


class Stop(threading.Event):
    """Ends the publishing thread; also its clock in seconds."""

    def __init__(self):
        super().__init__()
        begin = time.monotonic()
        self.clock = lambda: time.monotonic() - begin


def play_shifted(server, clients, clip, tmp_path, player, shift_ms):
    playing = Playing(clients, player, server.url(), tmp_path / "out.flv")
    stop = Stop()
    thread = threading.Thread(target=publish_tags, args=(server.port, flv.read_tags(clip), shift_ms, stop))
    thread.start()
    try:
        playing.child.wait(25, playing.player.codes)
    finally:
        stop.set()
        thread.join()
    return playing.out


@pytest.mark.parametrize("player", ["ffmpeg", "rtmpdump"])
def test_bug_09_players_past_24_bits(server, clients, clip, tmp_path, player):
    out = play_shifted(server, clients, clip("h264_aac"), tmp_path, player, STARTS_MS["24_bit"])
    frames.check_file(clip("h264_aac"), out)
    assert frames.packets(out, "v")[-1].dts > 0xFFFFFF


@pytest.mark.parametrize("player", ["ffmpeg", "rtmpdump"])
def test_bug_09_players_past_32_bits(server, clients, clip, tmp_path, player):
    """These players may write what time stamps they like, but they must get every frame."""
    out = play_shifted(server, clients, clip("h264_aac"), tmp_path, player, STARTS_MS["32_bit"])
    for kind in "va":
        frames.check_suffix(frames.packets(clip("h264_aac"), kind), frames.packets(out, kind), 100)


def test_bug_09_ffmpeg_publishes_past_24_bits(server, clients, clip, raw, tmp_path):
    """FFmpeg's own chunk writer, with extended deltas and repeats in continuation chunks."""
    viewer = raw(server)
    viewer.play("a")
    playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
    clients.ffmpeg_publish(server.url(), clip("h264_aac"), after=["-output_ts_offset", "16775"]).wait(30)
    playing.finish(clip("h264_aac"))
    video = [msg for msg in viewer.drain(0.5) if msg.type == VIDEO and not msg.is_header and msg.payload[1] == 1]
    assert video[0].timestamp < 0xFFFFFF < video[-1].timestamp
    steps = {delta_ms(b.timestamp, a.timestamp) for a, b in zip(video, video[1:])}
    assert steps == {40}
