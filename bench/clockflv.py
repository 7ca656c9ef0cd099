"""FLV streams whose messages carry their send times (src/cli/bench_stream.c): reading them off a
player's pipe as they come, and making a file of the same shape for publishers."""
import os
import select
import struct
import threading
import time

MAGIC = 0x63767431
AUDIO, VIDEO = 8, 9
BODY_AT = {AUDIO: 2, VIDEO: 10}  # of the stamp, in a message
STAMP = struct.Struct(">IIQQI")  # magic, stream, number, send time in us, size
SETTLED_US = 1000000  # a player lags no more than this when it has caught up


class Reader:
    """One FLV stream of a pipe, tag by tag. Counts while `counting`."""

    def __init__(self, fd):
        self.fd, self.data, self.headed = fd, bytearray(), False
        self.newest_us = None  # age of the last message
        self.reset()

    def reset(self):
        self.ages_us, self.media_bytes = [], 0

    def feed(self, data, now_us):
        self.data += data
        at = 0 if self.headed else 13
        self.headed = True
        while len(self.data) - at >= 15:
            size = int.from_bytes(self.data[at + 1:at + 4], "big")
            if len(self.data) - at < 15 + size:
                break
            self._tag(self.data[at] & 31, at + 11, size, now_us)
            at += 15 + size
        if at > len(self.data):
            self.headed = False  # the file's header is not complete
        else:
            del self.data[:at]

    def _tag(self, kind, at, size, now_us):
        body = at + BODY_AT.get(kind, size)
        if size < BODY_AT.get(kind, size) + STAMP.size or self.data[at + 1] == 0:
            return
        magic, _, _, sent_us, _ = STAMP.unpack_from(self.data, body)
        if magic != MAGIC:
            return
        self.media_bytes += size
        self.newest_us = now_us - sent_us
        self.ages_us.append(self.newest_us)

    def has_settled(self):
        return self.newest_us is not None and self.newest_us < SETTLED_US


class Readers:
    """Reads all pipes on one thread."""

    def __init__(self):
        self.readers, self.lock = [], threading.Lock()
        self.wake_read, self.wake_write = os.pipe()
        self.closing = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def add(self, fd):
        """Takes over a pipe's reading end."""
        reader = Reader(fd)
        with self.lock:
            self.readers.append(reader)
        os.write(self.wake_write, b"x")
        return reader

    def _run(self):
        while not self.closing:
            with self.lock:
                by_fd = {reader.fd: reader for reader in self.readers}
            for fd in select.select([self.wake_read, *by_fd], [], [])[0]:
                data = os.read(fd, 1 << 18)
                now_us = time.monotonic_ns() // 1000
                with self.lock:
                    if fd in by_fd and data:
                        by_fd[fd].feed(data, now_us)
                    elif fd in by_fd:
                        os.close(fd)
                        self.readers.remove(by_fd[fd])

    def reset(self):
        with self.lock:
            for reader in self.readers:
                reader.reset()

    def taken(self, reader):
        """(ages of its messages in us, bytes of media) since reset."""
        with self.lock:
            return list(reader.ages_us), reader.media_bytes

    def close(self):
        self.closing = True
        os.write(self.wake_write, b"x")
        self.thread.join()
        for fd in [self.wake_read, self.wake_write, *(reader.fd for reader in self.readers)]:
            os.close(fd)


# ---- a file for publishers -------------------------------------------------------------------

AVC_HEADER = bytes.fromhex("1700000000" "0142c01fffe1000a6742c01fd900a005ba10" "01000468cb83cb")
AAC_HEADER = bytes.fromhex("af001210")
VIDEO_KBPS, AUDIO_KBPS, FPS, GOP_FRAMES, KEY_FACTOR = 2372, 128, 30, 60, 8


def _tag(kind, stamp_ms, body):
    head = struct.pack(">B3s3sB3s", kind, len(body).to_bytes(3, "big"),
                       (stamp_ms & 0xffffff).to_bytes(3, "big"), stamp_ms >> 24, bytes(3))
    return head + body + struct.pack(">I", 11 + len(body))


def _frames(seconds):
    gop_bytes = VIDEO_KBPS * 125 * GOP_FRAMES // FPS
    plain = gop_bytes // (GOP_FRAMES + KEY_FACTOR - 1)
    for number in range(seconds * FPS):
        key = number % GOP_FRAMES == 0
        nal = (b"\x65" if key else b"\x41") + os.urandom(plain * (KEY_FACTOR if key else 1) - 10)
        body = (b"\x17" if key else b"\x27") + b"\1\0\0\0" + struct.pack(">I", len(nal)) + nal
        yield number * 1000 // FPS, VIDEO, body
    for number in range(seconds * 44100 // 1024):
        yield number * 1024000 // 44100, AUDIO, b"\xaf\1" + os.urandom(AUDIO_KBPS * 128000 // 44100)


def write_file(path, seconds):
    """The stream of `culvert bench` as to bit rate, frames and sizes: 2.5 Mb/s, 73 tags a second."""
    with open(path, "wb") as file:
        file.write(b"FLV\1\5\0\0\0\x09\0\0\0\0")
        file.write(_tag(VIDEO, 0, AVC_HEADER) + _tag(AUDIO, 0, AAC_HEADER))
        for stamp_ms, kind, body in sorted(_frames(seconds), key=lambda frame: frame[0]):
            file.write(_tag(kind, stamp_ms, body))
