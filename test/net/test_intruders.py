"""Peers that say nothing, too little, or nonsense: only their own connection ends, with a line in the log."""
import struct
import time

import pytest

import server as server_module
from rtmp_raw import (ABORT, CHUNK_SIZE, COMMAND, COMMAND3, DATA, HANDSHAKE_BYTES, USER_CONTROL, VIDEO, WINDOW,
                      Closed, Raw, RtmpClient, amf_encode, basic_header, chunks)
from synth import Publisher, collect

MIB = 1 << 20
CLOSED_SOON_S = 5


@pytest.fixture
def strict(start_server):
    """A server with a short handshake limit."""
    return start_server(config={"limits": {"handshake_s": 1}, "apps": [server_module.app()]})


class Bystanders:
    """A publisher and a viewer that must not notice anything."""

    def __init__(self, server):
        self.server = server
        self.viewer = RtmpClient.open(server.port)
        self.viewer.play("bystander")
        self.pub = Publisher(server.port, name="bystander")
        self.check()

    def check(self):
        assert self.server.is_alive(), self.server.log()[-3000:]
        collect(self.viewer, self.pub.send(3))

    def close(self):
        self.viewer.close()
        self.pub.close()


@pytest.fixture
def bystanders(strict):
    pair = Bystanders(strict)
    yield pair
    pair.check()
    pair.close()


def assert_one_line(server, client):
    """The end of a bad connection is one line that names the peer; opening it and connect may be others."""
    lines = server_module.wait_until(lambda: server.lines_about(client.local_port), 5, "a log line")
    assert len(lines) <= 3, lines


HALF_HANDSHAKES = {
    "nothing": b"",
    "only_c0": b"\x03",
    "half_c1": b"\x03" + bytes(700),
    "no_c2": b"\x03" + bytes(HANDSHAKE_BYTES),
    "half_c2": b"\x03" + bytes(HANDSHAKE_BYTES + 800),
}


@pytest.mark.parametrize("sent", HALF_HANDSHAKES.values(), ids=HALF_HANDSHAKES)
def test_bug_30_unfinished_handshake_is_closed_in_time(strict, bystanders, sent):
    with RtmpClient(strict.port) as client:
        client.send_raw(sent)
        took_s = client.closed_within(6)
        assert took_s is not None, "still open"
        assert 0.7 < took_s < 4
        assert_one_line(strict, client)


def test_bug_30_slow_handshake_has_one_limit(strict, bystanders):
    """A byte now and then does not extend the time."""
    with RtmpClient(strict.port) as client:
        client.send_raw(b"\x03")
        begin, done = time.monotonic(), None
        while done is None and time.monotonic() - begin < 6:
            try:
                client.send_raw(b"\0")
            except Closed:
                break
            done = client.closed_within(0.2)
        assert time.monotonic() - begin < 4


GARBAGE = {"low": b"\x00" * 64, "high": b"\xff" * 64, "rtmpe": b"\x06" + bytes(HANDSHAKE_BYTES),
           "old_version": b"\x02" + bytes(HANDSHAKE_BYTES), "text": b"hello, is this thing on?\r\n\r\n"}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_closed_at_once(strict, bystanders, sent):
    with RtmpClient(strict.port) as client:
        client.send_raw(sent)
        took_s = client.closed_within(CLOSED_SOON_S)
        assert took_s is not None and took_s < 0.9
        assert_one_line(strict, client)


def fmt0(kind, length, csid=3, msid=0):
    """A bare fmt 0 header that announces length bytes."""
    return basic_header(0, csid) + bytes(3) + length.to_bytes(3, "big") + bytes([kind]) + struct.pack("<I", msid)


def message(kind, payload, csid=3, msid=0):
    return chunks(kind, payload, 0, msid, csid)


def command(*values):
    return message(COMMAND, amf_encode(*values))


def nested(depth):
    return b"\x03" + b"\0\1a\x03" * depth


# name -> bytes after the handshake, each a reason to close
BAD_AFTER_HANDSHAKE = {
    "bug_02_amf_unknown_marker": command("connect", 1, Raw(b"\x30")),
    "bug_02_amf_string_longer_than_message": command("connect", 1, Raw(b"\x02\xff\xff")),
    "bug_02_amf_command_is_no_string": command(17, 1, None),
    "bug_02_amf_empty_command": message(COMMAND, b"") + message(COMMAND, b"\x02"),
    "bug_02_amf_reference_to_nothing": command("connect", 1, Raw(b"\x07\x00\x63")),
    "bug_03_amf_nesting": command("connect", 1, Raw(nested(3000))),
    "bug_03_amf_array_count": command("connect", 1, Raw(b"\x0a\xff\xff\xff\xff")),
    "bug_03_amf_long_string": command("connect", 1, Raw(b"\x0c\xff\xff\xff\xff")),
    "bug_03_amf3_array_count": message(COMMAND3, b"\0" + amf_encode("connect", 1, Raw(b"\x11\x09\xff\xff\xff\xff"))),
    "bug_04_header_in_mid_message": fmt0(VIDEO, 5000) + bytes(128) + fmt0(VIDEO, 9000) + bytes(128),
    "bug_06_command_of_16_mb": fmt0(COMMAND, 0xFFFFFF),
    "bug_06_control_of_16_mb": fmt0(USER_CONTROL, 0xFFFFFF, csid=2),
    "bug_07_chunk_size_zero": message(CHUNK_SIZE, bytes(4), csid=2),
    "bug_07_chunk_size_top_bit": message(CHUNK_SIZE, b"\x80\0\0\0", csid=2),
    "bug_08_fmt3_on_fresh_stream": basic_header(3, 9) + bytes(128),
    "bug_08_fmt2_on_fresh_stream": basic_header(2, 9) + bytes(131),
    "bug_08_hundred_chunk_streams": b"".join(fmt0(VIDEO, 2000, csid) + bytes(128) for csid in range(3, 103)),
    "control_too_short": message(CHUNK_SIZE, b"\0\1", csid=2),
    "window_too_short": message(WINDOW, b"\0", csid=2),
    "abort_too_short": message(ABORT, b"", csid=2),
}


def feed_until_closed(client, filler=b"\0" * 4096, total=2 * MIB):
    """What was announced may follow: the server has to close by itself. True when it did."""
    try:
        for _ in range(total // len(filler)):
            client.send_raw(filler)
            if client.closed_within(0) is not None:
                return True
    except (Closed, OSError):
        return True
    return client.closed_within(CLOSED_SOON_S) is not None


@pytest.mark.limit_s(150)
@pytest.mark.parametrize("connected", [False, True], ids=["before_connect", "after_connect"])
def test_malformed_messages_close_only_their_connection(strict, bystanders, connected):
    """One server for the whole table: what one attack breaks, the next would notice."""
    open_still = []
    for name, data in BAD_AFTER_HANDSHAKE.items():
        with RtmpClient(strict.port) as client:
            client.handshake()
            if connected:
                client.connect()
            client.send_raw(data)
            if not feed_until_closed(client) if "16_mb" in name else client.closed_within(CLOSED_SOON_S) is None:
                open_still.append(name)
            else:
                assert_one_line(strict, client)
        bystanders.check()
    assert not open_still


def test_bug_06_announced_lengths_cost_nothing(strict, bystanders):
    """64 chunk streams on each of 20 connections announce 8 MB each: 10 GB that never come."""
    before = strict.rss_bytes()
    clients = []
    for _ in range(20):
        client = RtmpClient.open(strict.port)
        client.send_raw(b"".join(fmt0(VIDEO, 8 * MIB - 1, csid, msid=1) + bytes(128) for csid in range(3, 63)))
        clients.append(client)
    bystanders.check()
    assert strict.rss_bytes() - before < 64 * MIB
    for client in clients:
        client.close()


def test_bug_07_chunk_size_one_works(strict, bystanders):
    with RtmpClient(strict.port) as client:
        client.handshake()
        client.set_chunk_size(1)
        client.connect()
        assert client.create_stream() >= 1


def test_bug_01_chunk_size_changes_in_mid_message(strict, bystanders, raw):
    """The new size counts from the next chunk on; the message comes out whole."""
    viewer = raw(strict)
    viewer.play("m")
    client = raw(strict)
    msid = client.publish("m")
    body = b"\x17\x01\0\0\0" + bytes(range(256)) * 4
    parts = fmt0(VIDEO, len(body), 6, msid) + body[:128] + message(CHUNK_SIZE, struct.pack(">I", 500), csid=2)
    parts += basic_header(3, 6) + body[128:628] + message(CHUNK_SIZE, struct.pack(">I", 64), csid=2)
    rest = body[628:]
    parts += b"".join(basic_header(3, 6) + rest[at:at + 64] for at in range(0, len(rest), 64))
    client.send_raw(parts)
    client.out_chunk = 64
    assert viewer.media().payload == body


def test_abort_drops_the_partial_message(strict, bystanders, raw):
    viewer = raw(strict)
    viewer.play("m")
    client = raw(strict)
    msid = client.publish("m")
    client.send_raw(fmt0(VIDEO, 5000, 6, msid) + b"\x17" + bytes(127))
    client.send_raw(message(ABORT, struct.pack(">I", 6), csid=2))
    client.send_message(VIDEO, b"\x17\x01\0\0\0whole", 7, msid, csid=6)
    assert viewer.media().payload == b"\x17\x01\0\0\0whole"


def test_chunk_streams_up_to_65599(strict, bystanders, raw):
    """All three lengths of the basic header are read."""
    viewer = raw(strict)
    viewer.play("m")
    client = raw(strict)
    msid = client.publish("m")
    for csid in (63, 64, 319, 320, 65599):
        payload = b"\x17\x01\0\0\0" + struct.pack(">I", csid)
        client.send_message(VIDEO, payload, csid, msid, csid=csid)
        assert viewer.media().payload == payload


def test_fmt3_starts_messages(strict, bystanders, raw):
    """GStreamer, librtmp and FMLE start messages with fmt 3: same length, type and delta."""
    viewer = raw(strict)
    viewer.play("m")
    client = raw(strict)
    msid = client.publish("m")
    body = [b"\x17\x01\0\0\0" + bytes([i]) * 20 for i in range(4)]
    client.send_raw(chunks(VIDEO, body[0], 1000, msid, 6) + chunks(VIDEO, body[1], 0, msid, 6, fmt=1, delta=40))
    client.send_raw(basic_header(3, 6) + body[2] + basic_header(3, 6) + body[3])
    got = [viewer.media() for _ in body]
    assert [(msg.timestamp, msg.payload) for msg in got] == list(zip((1000, 1040, 1080, 1120), body))


OUT_OF_ORDER = {
    "publish_before_connect": command("publish", 0, None, "a", "live"),
    "play_before_connect": command("play", 0, None, "a"),
    "create_stream_before_connect": command("createStream", 2, None),
    "video_before_connect": message(VIDEO, b"\x17\x01\0\0\0x"),
    "second_connect": command("connect", 1, {"app": "live"}) * 2,
    "play_on_no_stream": command("connect", 1, {"app": "live"}) + message(
        COMMAND, amf_encode("play", 0, None, "a"), msid=77),
    "publish_without_name": command("connect", 1, {"app": "live"}) + command("createStream", 2, None) + message(
        COMMAND, amf_encode("publish", 3, None), msid=1),
    "connect_without_object": command("connect", 1),
    "connect_app_is_a_number": command("connect", 1, {"app": 5}),
    "many_streams": command("connect", 1, {"app": "live"}) + command("createStream", 2, None) * 100,
    "metadata_broken": message(DATA, b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x08\0\0\0\x09\0\x05wid"),
    "unknown_types": b"".join(message(kind, b"????") for kind in (7, 10, 14, 21, 23, 99, 255)),
    "shared_object": message(19, b"\0\1a" + bytes(12) + b"\x01\xff\xff\xff\xff"),
    "aggregate_broken": message(22, b"\x09\xff\xff\xff" + bytes(20)),
    "delete_unknown_stream": command("connect", 1, {"app": "live"}) + command("deleteStream", 0, None, 1e300),
    "not_a_number": command("connect", 1, {"app": "live"}) + command("deleteStream", 0, None, float("nan")),
}


def test_out_of_order_conversations_harm_nobody(strict, bystanders):
    """Closed or answered: both are right. What counts is that nobody else notices."""
    for data in OUT_OF_ORDER.values():
        with RtmpClient(strict.port) as client:
            client.handshake()
            try:
                client.send_raw(data)
            except Closed:
                pass
            client.closed_within(0.3)
        bystanders.check()


def test_bug_30_flood_of_connections(strict, bystanders):
    """Many silent connections at once, reset without a word."""
    clients = [RtmpClient(strict.port) for _ in range(200)]
    bystanders.check()
    for client in clients:
        client.reset()
    bystanders.check()


def test_reset_in_every_phase(strict, bystanders):
    """The connection breaks after any step of a conversation."""
    steps = ["tcp", "handshake", "connect", "create", "publish", "play"]
    for last in steps:
        client = RtmpClient(strict.port)
        for step in steps[1:steps.index(last) + 1]:
            {"handshake": client.handshake, "connect": client.connect, "create": client.create_stream,
             "publish": lambda: client.publish("r"), "play": lambda: client.play("bystander")}[step]()
        client.reset()
        bystanders.check()
