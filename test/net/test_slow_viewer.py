"""A viewer that stops reading harms nobody, costs bounded memory, and comes back at a key frame."""
import signal
import time

import pytest

import server as server_module
import synth
from clients import Playing
from rtmp_raw import VIDEO
from synth import Publisher, collect, number_of

MIB = 1 << 20
FRAME_BYTES = 100_000
BATCH = 20  # frames between two looks of the fast viewer


def check_jumps(messages):
    """Pictures are intact and in order; each gap ends at a key frame. Returns the number of gaps."""
    video = [msg for msg in messages if msg.type == VIDEO and not msg.is_header]
    assert all(synth.is_intact(msg) for msg in video)
    gaps = 0
    for before, after in zip(video, video[1:]):
        step = number_of(after) - number_of(before)
        assert step >= 1, f"{number_of(after)} after {number_of(before)}"
        if step > 1:
            gaps += 1
            assert after.is_key, f"goes on at frame {number_of(after)}, which is no key frame"
    return gaps


def limit_bytes(server):
    """One log (32 MiB), the connections' buffers, and what a sanitizer keeps for itself."""
    return (128 if server.sanitized() else 80) * MIB


@pytest.mark.limit_s(120)
def test_bug_10_stopped_viewer_while_240_mb_pass(server, raw):
    fast, stopped = raw(server), raw(server, receive_buffer=65536)
    fast.play("a")
    stopped.play("a")
    pub = Publisher(server.port, size=FRAME_BYTES, chunk_size=65536, audio=False)
    raw.keep(pub.client)
    pub.send(1)
    stopped.media()
    before, highest, seen = server.rss_bytes(), 0, []
    while pub.number * FRAME_BYTES < 240_000_000:
        batch = collect(fast, pub.send(BATCH), timeout_s=20)
        check_run_numbers(batch, seen)
        highest = max(highest, server.rss_bytes())
    assert highest - before < limit_bytes(server), f"grew by {(highest - before) // MIB} MiB"
    check_comeback(pub, fast, stopped)


def check_run_numbers(batch, seen):
    """The fast viewer misses nothing; the payloads themselves are not kept."""
    for msg in batch:
        if msg.type == VIDEO and not msg.is_header:
            assert number_of(msg) == len(seen)
            seen.append(None)


def check_comeback(pub, fast, stopped):
    """The stopped viewer reads again: old frames, a jump, and then it is with the others."""
    last = pub.send(30)
    got = collect(stopped, last, timeout_s=20)
    assert check_jumps(got) >= 1, "it was never behind: the test proved nothing"
    video = [msg for msg in collect(stopped, pub.send(30)) if msg.type == VIDEO]
    assert [number_of(msg) for msg in video] == list(range(last + 1, last + 31)), "still behind"
    collect(fast, pub.number - 1)


@pytest.mark.slow
@pytest.mark.limit_s(120)
def test_bug_10_twenty_seconds_without_reading(server, raw):
    """The same in real time, 20 s of about 20 Mbit/s, with a clock that could end the connection."""
    fast, stopped = raw(server), raw(server, receive_buffer=65536)
    fast.play("a")
    stopped.play("a")
    pub = Publisher(server.port, size=FRAME_BYTES, chunk_size=65536)
    raw.keep(pub.client)
    pub.send(1)
    stopped.media()
    begin, seen = time.monotonic(), []
    while time.monotonic() - begin < 20:
        server_module.wait_until(lambda: (time.monotonic() - begin) * 1000 >= pub.now_ms, 5, "frame time", 0.01)
        check_run_numbers(collect(fast, pub.send(1)), seen)
    check_comeback(pub, fast, stopped)


@pytest.mark.slow
def test_viewer_that_never_reads_again_is_closed(start_server, raw):
    server = start_server(config={"limits": {"write_stall_s": 2}, "apps": [server_module.app()]})
    stopped = raw(server, receive_buffer=16384)
    stopped.play("a")
    pub = Publisher(server.port, size=FRAME_BYTES, chunk_size=65536)
    raw.keep(pub.client)
    pub.send(1)
    stopped.media()
    begin = time.monotonic()

    def is_closed():
        pub.send(5)
        return server.lines_about(stopped.local_port) and not has_peer(server, stopped.local_port)
    server_module.wait_until(is_closed, 15, "stalled viewer closed", 0.2)
    assert time.monotonic() - begin > 1.5


def has_peer(server, port):
    """True while the server holds the TCP connection from this client port (from /proc/net/tcp)."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    here, there = f":{server.port:04X}", f":{port:04X}"
    return any(row[1].endswith(here) and row[2].endswith(there) and row[3] == "01" for row in rows)


def test_frozen_player_process_does_not_stop_others(server, clients, clip, raw, tmp_path):
    """SIGSTOP on one FFmpeg player; the other one is frame-exact."""

    source = clip("h264_aac")
    frozen = Playing(clients, "ffmpeg", server.url(), tmp_path / "frozen.flv")
    healthy = Playing(clients, "rtmpdump", server.url(), tmp_path / "healthy.flv")
    scout = raw(server)
    scout.play("a")
    publishing = clients.ffmpeg_publish(server.url(), source)
    scout.media(20)
    frozen.child.process.send_signal(signal.SIGSTOP)
    publishing.wait(30)
    healthy.finish(source)
    frozen.child.process.send_signal(signal.SIGCONT)
    frozen.child.wait(20)
