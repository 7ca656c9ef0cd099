"""Frame hashes of media files, and the question "is this an exact run of that?"."""
import collections
import subprocess

Frame = collections.namedtuple("Frame", "dts pts size hash")


class Mismatch(AssertionError):
    """What was played is not an exact run of what was published."""


def _framehash(path, maps, codec):
    cmd = ["ffmpeg", "-v", "error", "-nostdin", "-copyts", "-i", str(path), "-map", maps, *codec,
           "-f", "framehash", "-hash", "md5", "-"]
    done = subprocess.run(cmd, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Mismatch(f"{path}: {done.stderr}")
    rows = [line.split(",") for line in done.stdout.splitlines() if line and line[0] != "#"]
    extradata = [line for line in done.stdout.splitlines() if line.startswith("#extradata")]
    return [Frame(int(r[1]), int(r[2]), int(r[4]), r[5].strip()) for r in rows], extradata


def packets(path, kind):
    """Frames of the kind "v" or "a" as they are in the file; times in ms in an FLV file."""
    return _framehash(path, f"0:{kind}:0", ["-c", "copy"])[0]


def pictures(path):
    """The decoded pictures. Audio is compared as packets: its decoders remember the frame before."""
    return _framehash(path, "0:v:0", ["-vsync", "passthrough"])[0]


def codec_header(path, kind):
    return _framehash(path, f"0:{kind}:0", ["-c", "copy"])[1]


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


def check_suffix(source, played, at_least=1):
    """played is source from some frame to its very last one. Returns the index of the first."""
    start = start_in(source, played)
    if start + len(played) != len(source):
        raise Mismatch(f"{len(source) - start - len(played)} frames are missing at the end")
    if len(played) < at_least:
        raise Mismatch(f"only {len(played)} frames, wanted {at_least}")
    return start


def time_offsets(source, played, start):
    """Set of (dts, pts) differences between what was played and what was published."""
    return {(p.dts - s.dts, p.pts - s.pts) for s, p in zip(source[start:], played)}


def check_file(source_path, played_path, kinds="va", at_least=0.4, slack_ms=0):
    """The whole referee: packets of each kind, pictures, codec headers and time stamps."""
    offsets = set()
    for kind in kinds:
        source, played = packets(source_path, kind), packets(played_path, kind)
        start = check_suffix(source, played, int(at_least * len(source)))
        offsets |= {ms for pair in time_offsets(source, played, start) for ms in pair}
        if codec_header(source_path, kind) != codec_header(played_path, kind):
            raise Mismatch(f"codec header of {kind} differs")
    if max(offsets) - min(offsets) > slack_ms:
        raise Mismatch(f"time stamps moved against each other: offsets {sorted(offsets)[:9]}")
    if "v" in kinds:
        check_suffix(pictures(source_path), pictures(played_path))
