"""Small test clips, made once per session with FFmpeg."""
import json
import subprocess

SECONDS = 6
FPS = 25
_VIDEO = ["-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={FPS}:duration={SECONDS}"]
_AUDIO = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={SECONDS}"]
_X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", str(FPS),
         "-keyint_min", str(FPS), "-sc_threshold", "0"]
_AAC = ["-c:a", "aac", "-b:a", "64k"]
_MP3 = ["-c:a", "libmp3lame", "-b:a", "64k"]

# clip name -> (kinds of track, FFmpeg arguments)
CLIPS = {
    "h264_aac": ("va", [*_VIDEO, *_AUDIO, *_X264, "-bf", "0", *_AAC]),
    "h264_aac_bframes": ("va", [*_VIDEO, *_AUDIO, *_X264, "-bf", "2", "-b_strategy", "0", *_AAC]),
    "h264_mp3": ("va", [*_VIDEO, *_AUDIO, *_X264, "-bf", "0", *_MP3]),
    "audio_only": ("a", [*_AUDIO, *_AAC]),
    "video_only": ("v", [*_VIDEO, *_X264, "-bf", "0"]),
}


def _ffmpeg(args):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *args], check=True, timeout=120)


def make_clip(folder, name, seconds=SECONDS):
    """Path of the clip; made on first use."""
    path = folder / f"{name}-{seconds}.flv"
    if not path.exists():
        made = [word.replace(f"duration={SECONDS}", f"duration={max(seconds, SECONDS)}") for word in CLIPS[name][1]]
        _ffmpeg([*made, "-t", str(seconds), "-f", "flv", str(path)])
    return path


def make_hevc(folder):
    """(configuration record, [(dts ms, composition ms, is key, length-prefixed NALUs)]) or None."""
    path = folder / "hevc.mp4"
    made = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *_VIDEO, "-c:v", "libx265", "-preset",
                           "ultrafast", "-x265-params", f"keyint={FPS}:min-keyint={FPS}:scenecut=0:log-level=none",
                           "-tag:v", "hvc1", str(path)], timeout=120, check=False)
    if made.returncode:
        return None
    data = path.read_bytes()
    at = data.index(b"hvcC")
    record = data[at + 4:at - 4 + int.from_bytes(data[at - 4:at], "big")]
    probe = subprocess.run(["ffprobe", "-v", "error", "-show_packets", "-of", "json", str(path)], check=True,
                           capture_output=True, timeout=60)
    frames = []
    for packet in json.loads(probe.stdout)["packets"]:
        pos, size = int(packet["pos"]), int(packet["size"])
        dts = round(float(packet["dts_time"]) * 1000)
        pts = round(float(packet["pts_time"]) * 1000)
        frames.append((dts, pts - dts, "K" in packet["flags"], data[pos:pos + size]))
    first = frames[0][0]
    return record, [(dts - first, cts, key, body) for dts, cts, key, body in frames]
