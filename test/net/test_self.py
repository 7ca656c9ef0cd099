"""The test tools themselves: they must see what is wrong. No server is needed."""
import os
import signal
import socket
import threading
import time

import pytest

import clients as clients_module
import flv
import frames
import rtmp_raw
import server as server_module
import synth
from rtmp_raw import RtmpClient, amf_decode, amf_encode, chunks


@pytest.fixture
def tags(clip):
    return flv.read_tags(clip("h264_aac"))


def changed(tmp_path, tags):
    path = tmp_path / "changed.flv"
    flv.write_tags(path, tags)
    return path


def test_same_file_passes(clip, tags, tmp_path):
    frames.check_file(clip("h264_aac"), changed(tmp_path, tags))


def flip(tags, index, at=-3):
    data = bytearray(tags[index].data)
    data[at] ^= 1
    return tags[:index] + [tags[index]._replace(data=bytes(data))] + tags[index + 1:]


def picture_index(tags, nth):
    return [i for i, tag in enumerate(tags) if tag.type == 9 and tag.data[1] == 1][nth]


DAMAGE = {
    "byte": lambda tags: flip(tags, picture_index(tags, 70)),
    "sound_byte": lambda tags: flip(tags, [i for i, tag in enumerate(tags) if tag.type == 8][50]),
    "lost": lambda tags: tags[:picture_index(tags, 70)] + tags[picture_index(tags, 70) + 1:],
    "twice": lambda tags: tags[:200] + [tags[200]] + tags[200:],
    "end": lambda tags: tags[:picture_index(tags, 140)],
    "time": lambda tags: tags[:200] + [tags[200]._replace(timestamp=tags[200].timestamp + 5)] + tags[201:],
    "composition": lambda tags: flip(tags, picture_index(tags, 70), 4),
    "codec_header": lambda tags: flip(tags, next(i for i, t in enumerate(tags) if t.type == 9 and t.data[1] == 0)),
    "starts_between": lambda tags: [t for i, t in enumerate(tags)
                                    if not (t.type == 9 and t.data[1] == 1 and i < picture_index(tags, 30))],
    "nothing": lambda tags: tags[:1],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_seen(clip, tags, tmp_path, damage):
    with pytest.raises(frames.Mismatch):
        frames.check_file(clip("h264_aac"), changed(tmp_path, damage(tags)))


def test_synthetic_run_sees_gaps_and_changes():
    def message(number, payload=None):
        payload = payload or synth.picture(number, number % 5 == 0)
        return rtmp_raw.Message(9, number * 40, 1, 6, payload)
    good = [message(number) for number in range(20)]
    synth.check_run(good, first=0)
    bad = message(7, synth.picture(7, False)[:-1] + b"\0")
    for run in (good[:7] + good[8:], good[3:], good[:7] + [bad] + good[8:], []):
        with pytest.raises(AssertionError):
            synth.check_run(run)


def test_amf_round_trip():
    values = ["connect", 1.0, None, True, rtmp_raw.Ecma(a=1.0, b=[1.0, "x"]), {"o": {"p": False}}, "l" * 70000]
    assert amf_decode(amf_encode(*values)) == values
    for broken in (amf_encode("connect")[:-1], amf_encode(1.0)[:-1], amf_encode({"a": 1.0})[:-3], b"\x30"):
        with pytest.raises(rtmp_raw.ProtocolError):
            amf_decode(broken)


@pytest.fixture
def wire():
    """A raw client and the socket of its pretended server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = RtmpClient(listener.getsockname()[1], timeout_s=2)
        peer, _ = listener.accept()
        with peer, client:
            yield client, peer


@pytest.mark.parametrize("step", [1, 2, 7, 100000])
def test_chunks_round_trip_however_they_are_cut(wire, step):
    client, peer = wire
    sent = [(8, 16777214, b"a" * 10, 4), (9, 16777215, b"b" * 700, 6), (9, 0xFFFFFFFF, b"c" * 300, 30),
            (20, 0, b"", 3), (9, 5, b"d" * 128, 6)]
    data = b"".join(chunks(kind, body, stamp, 1, csid) for kind, stamp, body, csid in sent)
    for pos in range(0, len(data), step):
        peer.sendall(data[pos:pos + step])
        if step < 100:
            os.sched_yield()
    got = [client.recv() for _ in sent]
    assert [(msg.type, msg.timestamp, msg.payload, msg.csid) for msg in got] == sent


BREACHES = {
    "fresh_fmt3": rtmp_raw.basic_header(3, 9) + bytes(128),
    "header_inside": chunks(9, bytes(400), 0, 1, 6)[:140] + chunks(9, bytes(10), 0, 1, 6),
    "no_extended_repeat": chunks(9, bytes(200), 0x1000000, 1, 6)[:144] + b"\xc6" + bytes(72),
    "zero_window": chunks(5, bytes(4), csid=2),
    "csid_40": chunks(5, b"\0\0\1\0", csid=40),
}


@pytest.mark.parametrize("data", BREACHES.values(), ids=BREACHES)
def test_breach_of_the_chunk_format_is_seen(wire, data):
    client, peer = wire
    peer.sendall(data + chunks(8, b"x", csid=4))
    with pytest.raises(rtmp_raw.ProtocolError):
        for _ in range(2):
            client.recv()


def test_waits_end(wire):
    client, peer = wire
    with pytest.raises(rtmp_raw.TimedOut):
        client.recv(0.1)
    assert client.closed_within(0.1) is None
    peer.close()
    assert client.closed_within(2) is not None
    with pytest.raises(AssertionError):
        server_module.wait_until(lambda: False, 0.1)


def test_children_are_killed(tmp_path):
    factory = clients_module.Clients(tmp_path)
    child = factory.start("sleeper", ["sleep", "600"])
    with pytest.raises(AssertionError):
        child.wait(0.2)
    other = factory.start("sleeper", ["sleep", "600"])
    factory.close()
    assert not child.is_running() and not other.is_running()


@pytest.mark.limit_s(30)
def test_time_limit_fires():
    """The alarm of conftest.py interrupts a test that waits for ever."""
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGALRM))
    timer.start()
    with pytest.raises(Exception, match="longer than"):
        threading.Event().wait(20)


FAKE = """#!/usr/bin/python3
import signal, socket, sys, time
host, port = sys.argv[sys.argv.index("--listen") + 1].split(":")
listener = socket.create_server((host, int(port)))
signal.signal(signal.SIGTERM, lambda *_: sys.exit({code}))
print({line!r}, file=sys.stderr, flush=True)
if {dies}:
    sys.exit(0)
while True:
    signal.pause()
"""


@pytest.mark.parametrize("code, line, dies, good", [
    (0, "2026-01-01T00:00:00.000Z info start", False, True),
    (3, "2026-01-01T00:00:00.000Z info start", False, False),
    (0, "==1==ERROR: AddressSanitizer: heap-use-after-free", False, False),
    (0, "../src/x.c:5:1: runtime error: signed integer overflow", False, False),
    (0, "WARNING: ThreadSanitizer: data race", False, False),
    (0, "2026-01-01T00:00:00.000Z info start", True, False),
])
def test_bad_end_of_a_server_is_seen(tmp_path, monkeypatch, code, line, dies, good):
    fake = tmp_path / "fake"
    fake.write_text(FAKE.format(code=code, line=line, dies=dies), encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("CULVERT_BIN", str(fake))
    if good:
        server_module.Server(tmp_path / "s").stop()
        return
    with pytest.raises(AssertionError):
        one = server_module.Server(tmp_path / "s")
        if dies:
            one.wait(5)
        one.stop()
