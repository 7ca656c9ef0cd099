"""Frame hashes of media files, and the question "is this an exact run of that?"."""
import collections
import hashlib
import struct
import subprocess

import flv

Frame = collections.namedtuple("Frame", "dts pts key hash")
VIDEO_TAG, AUDIO_TAG = 9, 8


class Mismatch(AssertionError):
    """What was played is not an exact run of what was published."""


def _digest(data):
    return hashlib.md5(data).hexdigest()


def _video_frame(tag):
    cts = int.from_bytes(tag.data[2:5], "big", signed=True)
    return Frame(tag.timestamp, tag.timestamp + cts, tag.data[0] >> 4 == 1, _digest(tag.data[5:]))


def _audio_frame(tag):
    head = 2 if tag.data[0] >> 4 == 10 else 1
    return Frame(tag.timestamp, tag.timestamp, True, _digest(tag.data[head:]))


def _is_frame(tag):
    """Neither codec header nor end mark. AVC and AAC say it in their second byte."""
    if len(tag.data) < 2:
        return False
    aac = tag.type == AUDIO_TAG and tag.data[0] >> 4 == 10
    avc = tag.type == VIDEO_TAG and tag.data[0] & 15 == 7
    return not (aac or avc) or tag.data[1] == 1


def message_hash(message):
    """The hash that a message's frame has in a file."""
    make = _video_frame if message.type == VIDEO_TAG else _audio_frame
    return make(flv.Tag(message.type, message.timestamp, message.payload)).hash


def packets(path, kind):
    """Frames of the kind "v" or "a" as they are in an FLV file: times in ms, hash of the codec's bytes."""
    wanted, make = (VIDEO_TAG, _video_frame) if kind == "v" else (AUDIO_TAG, _audio_frame)
    return [make(tag) for tag in flv.read_tags(path) if tag.type == wanted and _is_frame(tag)]


def codec_headers(path, kind):
    """The different codec headers of an FLV file, in order."""
    wanted, head = (VIDEO_TAG, 5) if kind == "v" else (AUDIO_TAG, 2)
    headers = []
    for tag in flv.read_tags(path):
        is_header = tag.type == wanted and not _is_frame(tag) and tag.data[1:2] == b"\0"
        if is_header and tag.data[head:] not in headers:
            headers.append(tag.data[head:])
    return headers


def pictures(path):
    """The pictures as FFmpeg decodes them. Audio is compared as packets: its decoders remember the frame before."""
    cmd = ["ffmpeg", "-v", "error", "-nostdin", "-copyts", "-i", str(path), "-map", "0:v:0", "-vsync",
           "passthrough", "-f", "framehash", "-hash", "md5", "-"]
    done = subprocess.run(cmd, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode or done.stderr:
        raise Mismatch(f"{path}: {done.stderr}")
    rows = [line.split(",") for line in done.stdout.splitlines() if line and line[0] != "#"]
    return [Frame(int(row[1]), int(row[2]), False, row[5].strip()) for row in rows]


def start_in(source, played):
    """Index in source at which the run played starts; every frame must follow. Raises Mismatch."""
    if not played:
        raise Mismatch("nothing was played")
    want = [frame.hash for frame in source]
    got = [frame.hash for frame in played]
    starts = [i for i, value in enumerate(want) if value == got[0]]
    for start in starts:
        if want[start:start + len(got)] == got:
            return start
    if not starts:
        raise Mismatch("the first frame that was played was never published")
    good = max(_common(want[start:], got) for start in starts)
    raise Mismatch(f"from frame {starts[0]} on {good} frames are right, frame {good} of {len(got)} is not")


def _common(left, right):
    count = 0
    for one, other in zip(left, right):
        if one != other:
            break
        count += 1
    return count


def check_suffix(source, played, at_least=1, lost_at_end=0):
    """played is source from some frame to its very last one. Returns the index of the first."""
    start = start_in(source, played)
    missing = len(source) - start - len(played)
    if missing > lost_at_end:
        raise Mismatch(f"{missing} frames are missing at the end")
    if len(played) < at_least:
        raise Mismatch(f"only {len(played)} frames, wanted {at_least}")
    return start


def time_offsets(source, played, start):
    """Differences (played - published) of dts and pts, in ms."""
    return {ms for s, p in zip(source[start:], played) for ms in (p.dts - s.dts, p.pts - s.pts)}


def check_file(source_path, played_path, kinds="va", at_least=0.4, lost_at_end=0, slack_ms=0):
    """The whole referee: packets of each kind, codec headers, time stamps, pictures.

    lost_at_end: frames that a player with a known fault may lose. slack_ms: rounding of a muxer on the way.
    """
    offsets = set()
    for kind in kinds:
        source, played = packets(source_path, kind), packets(played_path, kind)
        start = check_suffix(source, played, int(at_least * len(source)), lost_at_end)
        offsets |= time_offsets(source, played, start)
        if codec_headers(source_path, kind) != codec_headers(played_path, kind):
            raise Mismatch(f"codec header of {kind} differs")
        if kind == "v" and not played[0].key:
            raise Mismatch("does not start at a key frame")
    if max(offsets) - min(offsets) > slack_ms:
        raise Mismatch(f"time stamps moved against each other: offsets {sorted(offsets)[:9]}")
    if "v" in kinds:
        check_suffix(pictures(source_path), pictures(played_path), 1, lost_at_end)


def reached_end(source_path, played_path, kinds="va", lost_at_end=0):
    """The last frames of each kind are in the file: for players that never stop by themselves."""
    def one_reached(kind):
        last = {frame.hash for frame in packets(source_path, kind)[-1 - lost_at_end:]}
        return packets(played_path, kind)[-1].hash in last
    try:
        return all(one_reached(kind) for kind in kinds)
    except (OSError, IndexError, struct.error):
        return False
