"""Made-up media: frames that carry their own number, so that any loss or change shows."""
import hashlib
import struct

import flv
import rtmp_raw
import server
from rtmp_raw import AUDIO, DATA, VIDEO, Ecma, amf_encode

FRAME_MS = 40
AVC_HEADER = (b"\x17\0\0\0\0" + bytes.fromhex("0142c00dffe1000b6742c00dda0507e84000") + b"\x01"
              + bytes.fromhex("000468ce3c80"))
AAC_HEADER = b"\xaf\x00\x12\x10"
METADATA = Ecma(duration=0.0, width=320.0, height=180.0, framerate=25.0, videocodecid=7.0,
                audiocodecid=10.0, encoder="synth")


def _filler(number, size):
    block = hashlib.sha256(struct.pack(">I", number)).digest()
    return (block * (size // len(block) + 1))[:size]


def picture(number, key, size=400):
    nal = bytes([0x65 if key else 0x41]) + struct.pack(">I", number) + _filler(number, size)
    return (b"\x17" if key else b"\x27") + b"\x01\0\0\0" + struct.pack(">I", len(nal)) + nal


def enhanced_picture(number, key, size=400, fourcc=b"hvc1"):
    body = struct.pack(">I", number) + _filler(number, size)
    return bytes([0x80 | (1 if key else 2) << 4 | 3]) + fourcc + b"\0\0\0\x01\x26" + body


def sound(number, size=60):
    return b"\xaf\x01" + struct.pack(">I", number) + _filler(number, size)


def number_of(msg):
    """The number of a synthetic frame; None for headers."""
    if msg.is_header:
        return None
    if msg.type == AUDIO:
        return struct.unpack_from(">I", msg.payload, 2)[0]
    return struct.unpack_from(">I", msg.payload, 10)[0]


def is_intact(msg):
    number = number_of(msg)
    if number is None:
        return msg.payload in (AVC_HEADER, AAC_HEADER)
    at = 6 if msg.type == AUDIO else 14
    return msg.payload[at:] == _filler(number, len(msg.payload) - at)


class Publisher:
    """Publishes synthetic media over a raw client, as fast as it is told to."""

    def __init__(self, port, name="a", app="live", first_ms=0, gop=25, size=400, audio=True,
                 video=True, fmt=0, chunk_size=4096, client=None):
        self.client = client or rtmp_raw.RtmpClient.open(port, app)
        self.client.set_chunk_size(chunk_size)
        self.msid = self.client.publish(name)
        self.now_ms, self.gop, self.size, self.fmt = first_ms, gop, size, fmt
        self.audio, self.video = audio, video
        self.number = 0
        self._headers()

    @classmethod
    def when_free(cls, port, timeout_s=5, **settings):
        """Publishes as soon as the server has seen the end of the publisher before."""
        def attempt():
            try:
                return cls(port, **settings)
            except (rtmp_raw.Refused, rtmp_raw.Closed):
                return None
        return server.wait_until(attempt, timeout_s, "the name is free")

    def _headers(self):
        self.put(DATA, amf_encode("@setDataFrame", "onMetaData", METADATA), csid=4)
        if self.audio:
            self.put(AUDIO, AAC_HEADER, csid=4)
        if self.video:
            self.put(VIDEO, AVC_HEADER, csid=6)

    def put(self, kind, payload, csid):
        self.client.send_message(kind, payload, self.now_ms & 0xFFFFFFFF, self.msid, csid, self.fmt)

    def send(self, count=1):
        """count pictures (each with a sound), one frame time apart. Returns the last number."""
        for _ in range(count):
            if self.video:
                key = self.number % self.gop == 0
                self.put(VIDEO, picture(self.number, key, self.size), csid=6)
            if self.audio:
                self.put(AUDIO, sound(self.number), csid=4)
            self.number += 1
            self.now_ms += FRAME_MS
        return self.number - 1

    def sync(self):
        """Waits until the server has taken all that was sent: it answers in order."""
        self.client.create_stream()

    def send_until_key(self):
        """Sends so that the next picture will be a key frame."""
        while self.number % self.gop:
            self.send()

    def unpublish(self):
        self.client.command("FCUnpublish", "", call_id=0)
        self.client.command("deleteStream", self.msid, call_id=0)

    def close(self):
        self.client.close()


def collect(viewer, last, kind=VIDEO, timeout_s=10):
    """All media messages up to the one of this kind with number last."""
    out = []
    while True:
        msg = viewer.media(timeout_s)
        out.append(msg)
        if msg.type == kind and number_of(msg) == last:
            return out


def check_run(messages, first=None, kind=VIDEO):
    """Messages of the kind are intact, without a gap, and start with a key frame."""
    frames = [msg for msg in messages if msg.type == kind and not msg.is_header]
    numbers = [number_of(msg) for msg in frames]
    assert frames, "no frames at all"
    assert all(is_intact(msg) for msg in frames), "a frame was changed"
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), f"gap in {numbers}"
    assert kind != VIDEO or frames[0].is_key, "does not start at a key frame"
    assert first is None or numbers[0] == first
    return frames


def write_file(path, count, gop=25, size=400):
    """An FLV file of count pictures, each with a sound."""
    tags = [flv.Tag(DATA, 0, amf_encode("onMetaData", METADATA)), flv.Tag(VIDEO, 0, AVC_HEADER),
            flv.Tag(AUDIO, 0, AAC_HEADER)]
    for number in range(count):
        now_ms = number * FRAME_MS
        tags += [flv.Tag(VIDEO, now_ms, picture(number, number % gop == 0, size)),
                 flv.Tag(AUDIO, now_ms, sound(number))]
    flv.write_tags(path, tags)
    return path
