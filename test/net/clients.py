"""Other people's programs as publishers and players, each a child with a log file."""
import pathlib
import shlex
import subprocess
import time
import typing

import flv
import frames
from server import wait_until

QUIET = ["-hide_banner", "-nostdin", "-loglevel", "info"]


class Child:
    """A running program. Its output is in a file, so it can never block on a full pipe."""

    def __init__(self, cmd, log, env=None):
        self.cmd, self.log_path = [str(part) for part in cmd], pathlib.Path(log)
        with open(self.log_path, "wb") as file:
            file.write((shlex.join(self.cmd) + "\n").encode())
            file.flush()
            self.process = subprocess.Popen(self.cmd, stdin=subprocess.DEVNULL, stdout=file,
                                            stderr=subprocess.STDOUT, start_new_session=True, env=env)
        self.started = time.monotonic()

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def is_running(self):
        return self.process.poll() is None

    def wait(self, timeout_s=30, codes=(0,)):
        """Waits for its end; the exit code must be one of codes (None = any)."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as err:
            self.kill()
            raise AssertionError(f"still running after {timeout_s} s: {self.log()[-2000:]}") from err
        assert codes is None or code in codes, f"exit code {code}: {self.log()[-2000:]}"
        return code

    def kill(self):
        """kill -9: no farewell to the server."""
        if self.is_running():
            self.process.kill()
        self.process.wait()


class Clients:
    """Factory; everything it started is dead after close()."""

    def __init__(self, folder, librtmp_publish=None):
        self.folder = pathlib.Path(folder)
        self.librtmp_binary = librtmp_publish
        self.children = []
        self.env = None  # environment of what is started from now on; None: ours
        self.ca_file = None  # whom FFmpeg trusts inside TLS, where it can be told; the others believe anybody

    def start(self, name, cmd):
        child = Child(cmd, self.folder / f"{len(self.children):02}-{name}.log", self.env)
        self.children.append(child)
        return child

    def close(self):
        for child in self.children:
            child.kill()

    def _trust(self, url):
        """FFmpeg's rtmpts:// passes no options on."""
        secure = url.startswith(("rtmps://", "https://"))
        return ["-tls_verify", "1", "-ca_file", self.ca_file] if secure and self.ca_file else []

    # -- publishers

    def ffmpeg_publish(self, url, source, realtime=True, before=(), after=()):
        pace = ["-re"] if realtime else []
        return self.start("ffmpeg-publish", ["ffmpeg", *QUIET, *pace, *before, "-i", source, "-c", "copy",
                                             *after, *self._trust(url), "-f", "flv", url])

    def _gst_publish(self, sink, source, kinds):
        parts = ["gst-launch-1.0", "-q", "filesrc", f"location={source}", "!", "flvdemux", "name=d",
                 "flvmux", "name=m", "streamable=true", "!", *sink]
        if "v" in kinds:
            parts += ["d.video", "!", "queue", "!", "h264parse", "!", "m.video"]
        if "a" in kinds:
            parts += ["d.audio", "!", "queue", "!", "aacparse", "!", "m.audio"]
        return self.start("gst-publish", parts)

    def rtmp2sink_publish(self, url, source, kinds="va"):
        return self._gst_publish(["rtmp2sink", "sync=true", "tls-validation-flags=0", f"location={url}"], source,
                                 kinds)

    def rtmpsink_publish(self, url, source, kinds="va"):
        return self._gst_publish(["rtmpsink", "sync=true", f"location={url} live=1"], source, kinds)

    def librtmp_publish(self, url, source):
        return self.start("librtmp-publish", [self.librtmp_binary, url, source])

    # -- players: each writes an FLV file

    def ffmpeg_play(self, url, out):
        flag = ["-rtmp_live", "live"] if url.startswith("rtmp") else []
        return self.start("ffmpeg-play", ["ffmpeg", *QUIET, "-y", *flag, *self._trust(url), "-copyts", "-i", url,
                                          "-map", "0", "-dn", "-c", "copy", "-copytb", "1", "-f", "flv", out])

    def rtmpdump_play(self, url, out):
        return self.start("rtmpdump", ["rtmpdump", "--live", "--timeout", "20", "-r", url, "-o", out])

    def rtmpsrc_play(self, url, out):
        return self.start("gst-rtmpsrc", ["gst-launch-1.0", "-q", "rtmpsrc", f"location={url} live=1",
                                          "!", "filesink", "buffer-mode=unbuffered", f"location={out}"])

    def rtmp2src_play(self, url, out):
        return self.start("gst-rtmp2src", ["gst-launch-1.0", "-q", "rtmp2src", "tls-validation-flags=0",
                                           f"location={url}", "!", "filesink", f"location={out}"])


class Player(typing.NamedTuple):
    """How a program plays and what is known about it."""
    method: str
    codes: tuple = (0,)    # exit codes that mean "the stream ended"
    ends: bool = True      # stops when the stream does
    lost_at_end: int = 0   # messages that it may drop when Stream EOF follows at once


PLAYERS = {
    "ffmpeg": Player("ffmpeg_play"),
    "rtmpdump": Player("rtmpdump_play", codes=(0, 2)),
    # connects again after UnpublishNotify and waits for the stream to return
    "rtmpsrc": Player("rtmpsrc_play", ends=False),
    # holds one message for its streaming thread and forgets it when Stream EOF arrives
    "rtmp2src": Player("rtmp2src_play", lost_at_end=2),
}
PUBLISHERS = {
    "ffmpeg": "ffmpeg_publish",
    "rtmp2sink": "rtmp2sink_publish",
    "rtmpsink": "rtmpsink_publish",
    "librtmp": "librtmp_publish",
}


class Playing:
    """A player at work; finish() waits for the end of the stream and compares."""

    def __init__(self, clients, name, url, out):
        self.player, self.out = PLAYERS[name], out
        self.child = getattr(clients, self.player.method)(url, out)

    def finish(self, source, kinds="va", timeout_s=20, lost_at_end=0, **limits):
        lost_at_end = max(lost_at_end, self.player.lost_at_end)
        if self.player.ends:
            self.child.wait(timeout_s, self.player.codes)
        else:
            wait_until(lambda: frames.reached_end(source, self.out, kinds, lost_at_end), timeout_s, "last frame", 0.2)
            self.child.kill()
            flv.write_tags(self.out, flv.read_tags(self.out))  # without half a tag at the end
        frames.check_file(source, self.out, kinds, lost_at_end=lost_at_end, **limits)
