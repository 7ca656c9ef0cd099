"""What a viewer gets first, and enhanced media."""
import struct

import synth
from rtmp_raw import AUDIO, COMMAND, DATA, VIDEO, RtmpClient
from synth import Publisher, check_run, collect


def joined(server, raw, **kwargs):
    viewer = raw(server, **kwargs)
    viewer.play("a")
    viewer.expect_status("NetStream.Play.Start")
    return viewer


def test_late_joiner_gets_metadata_headers_key_frame(server, raw):
    pub = Publisher(server.port, first_ms=5000)
    raw.keep(pub.client)
    pub.send(60)
    pub.sync()
    viewer = joined(server, raw)
    got = [msg for msg in _until_video(viewer) if msg.type in (AUDIO, VIDEO, DATA)]
    names = [msg.values()[0] for msg in got if msg.type == DATA]
    assert names[-1] == "onMetaData" and "@setDataFrame" not in names
    metadata = next(msg for msg in got if msg.type == DATA and msg.values()[0] == "onMetaData")
    assert metadata.payload[13] == 0x08, "players want an ECMA array"
    assert dict(metadata.values()[1])["width"] == 320
    media = [msg for msg in got if msg.type != DATA]
    assert got.index(metadata) < got.index(media[0])
    assert {msg.payload for msg in media[:2]} == {synth.AVC_HEADER, synth.AAC_HEADER}
    key = media[-1]
    assert key.is_key and synth.number_of(key) == 50
    assert key.timestamp == 5000 + 50 * synth.FRAME_MS
    assert {msg.timestamp for msg in media[:2]} == {key.timestamp}
    check_run([key] + collect(viewer, pub.send(30)), first=50)


def _until_video(viewer):
    """Everything up to the first picture, in the order of arrival."""
    out = []
    while True:
        msg = viewer.recv()
        out.append(msg)
        if msg.type == VIDEO and not msg.is_header:
            return out


def test_order_of_the_answer_to_play(server, raw):
    pub = Publisher(server.port)
    raw.keep(pub.client)
    pub.send(10)
    pub.sync()
    viewer = raw(server)
    viewer.play("a")
    got = _until_video(viewer)
    codes = [msg.values()[3]["code"] for msg in got if msg.type == COMMAND and msg.values()[0] == "onStatus"]
    assert codes[-1] == "NetStream.Play.Start" and codes[0] in ("NetStream.Play.Reset", "NetStream.Play.Start")
    kinds = [msg.type for msg in got]
    assert kinds.index(COMMAND) < kinds.index(DATA)


def test_connect_announces_chunk_size_before_its_result(server):
    """FFmpeg publishers stay at 128 bytes otherwise, and old OBS misreads long replies."""
    with RtmpClient.open(server.port) as client:
        assert client.in_chunk > 128
        assert {msg.type for msg in client.inbox} >= {1, 5, 6}


def test_handshake_echo(server):
    with RtmpClient(server.port) as client:
        c1 = struct.pack(">II", 1234, 0) + bytes(range(256)) * 5 + bytes(248)
        s1, s2 = client.handshake(c1)
        assert s2 == c1
        assert s1[4:8] == b"\0\0\0\0"
        client.connect()


def test_audio_only_joiner(server, raw):
    pub = Publisher(server.port, video=False)
    raw.keep(pub.client)
    pub.send(60)
    pub.sync()
    viewer = joined(server, raw)
    first = viewer.media()
    assert first.payload == synth.AAC_HEADER
    check_run(collect(viewer, pub.send(20), kind=AUDIO), kind=AUDIO)


def test_metadata_change_reaches_viewers(server, raw):
    pub = Publisher(server.port)
    raw.keep(pub.client)
    viewer = joined(server, raw)
    collect(viewer, pub.send(5))
    pub.put(DATA, synth.amf_encode("@setDataFrame", "onMetaData", synth.Ecma(width=640.0)), csid=4)
    pub.put(DATA, synth.amf_encode("onTextData", {"text": "hello"}), csid=4)
    changed = viewer.expect(lambda m: m.type == DATA and m.values()[0] == "onMetaData" and
                            m.values()[1].get("width") == 640, what="new metadata")
    text = viewer.expect(lambda m: m.type == DATA and m.values()[0] == "onTextData", what="text data")
    assert changed and text.values()[1] == {"text": "hello"}


def test_hevc_enhanced_is_passed_unchanged(server, raw, hevc):
    """hvc1: what the viewer gets is byte for byte what was sent; joiners get SequenceStart and a key frame."""
    record, packets = hevc
    pub = Publisher(server.port, audio=False, video=False)
    raw.keep(pub.client)
    early = joined(server, raw)
    start = b"\x90hvc1" + record
    sent = []

    def put(payload, dts):
        pub.now_ms = dts
        pub.put(VIDEO, payload, csid=6)
        sent.append((dts, payload))
    put(start, 0)
    for dts, cts, key, body in packets[:80]:
        head = (0x80 | (1 if key else 2) << 4 | 1).to_bytes(1, "big") + b"hvc1"
        put(head + cts.to_bytes(3, "big", signed=True) + body, dts)
    got = [early.media() for _ in sent]
    assert [(msg.timestamp, msg.payload) for msg in got] == sent
    pub.sync()
    late = joined(server, raw)
    header, key = late.media(), late.media()
    assert header.payload == start
    assert key.is_key and (key.timestamp, key.payload) in sent and key.timestamp >= 3000 - 40
    assert header.timestamp == key.timestamp


def test_enhanced_oddities_are_forwarded(server, raw):
    """Metadata packets, multitrack, ModEx, empty audio, unknown FourCC: forwarded, never a reason to close."""
    pub = Publisher(server.port)
    raw.keep(pub.client)
    viewer = joined(server, raw)
    collect(viewer, pub.send(3))
    odd = [
        (VIDEO, b"\x84hvc1" + synth.amf_encode("colorInfo", {})),
        (VIDEO, b"\xa6\x01avc1\x01" + b"\0\0\0" + b"track one"),
        (VIDEO, b"\xa7\x02\x00\x00\x01\x03hvc1" + b"nano"),
        (VIDEO, b"\xa1zzzz????"),
        (AUDIO, b""),
        (AUDIO, b"\x91Opus" + b"opus packet"),
        (AUDIO, b"\x95\x01Opus\x01" + b"second track"),
    ]
    for kind, payload in odd:
        pub.put(kind, payload, csid=6 if kind == VIDEO else 4)
    got = [viewer.media() for _ in odd]  # the last sound of the frames before may come first
    while len(got) < len(odd) + 1 and (got[-1].type, got[-1].payload) != odd[-1]:
        got.append(viewer.media())
    assert [(msg.type, msg.payload) for msg in got][-len(odd):] == odd
