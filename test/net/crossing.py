"""A stream from one side of a firewall to the other: the client's own commands, and what is beside the server.

Used by tests and by bench/ways.py. Times are in seconds from the start of the client's process.
"""
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

import synth
from middlebox import HttpProxy
from netns import OTHER_RTMP, OTHER_RTMPT, PATH, SERVER, SIDE_DOOR, Service
from rtmp_raw import AUDIO, VIDEO, Closed, Message, RtmpClient, TimedOut
from server import SANITIZER, SANITIZER_ENV, find_binary, wait_until

EXIT_INTERRUPTED = 130
SOURCE_FRAMES = 40  # of the file that tests publish


class Command:
    """A culvert command at the client's end. stdout, when it is a stream, is read by a thread of ours."""

    def __init__(self, net, log, args, env, binary=None):
        for name, value in SANITIZER_ENV.items():
            env = {**env, name: value + (":" + env[name] if name in env else "")}
        self.log_path = pathlib.Path(log)
        self.out, self.arrivals, self.ended = b"", [], None
        command = [*net.client.within(), str(binary or find_binary()), *map(str, args)]
        with open(self.log_path, "wb") as file:
            self.begin = time.monotonic()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file,
                                            env={**env, "PATH": PATH})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        source = self.process.stdout.fileno()
        while piece := os.read(source, 1 << 20):
            self.out += piece
            self.arrivals.append((time.monotonic() - self.begin, len(self.out)))

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout_s=20, code=0):
        """Waits for its end, with this exit code, and no report of a sanitizer. Returns what it printed."""
        try:
            got = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as err:
            raise AssertionError(f"still running after {timeout_s} s: {self.log()[-3000:]}") from err
        finally:
            self.stop()
        assert not SANITIZER.search(self.log().encode()), self.log()[:4000]
        assert got == code, f"exit code {got}, not {code}: {self.log()[-3000:]}"
        return self.out.decode(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.ended = self.ended or time.monotonic()
        self.reader.join(10)
        self.process.stdout.close()

    def lasted_s(self):
        return self.ended - self.begin

    # -- the FLV stream of `culvert play`

    def messages(self):
        """What has come so far."""
        data, pos, out = self.out, 13, []
        while pos + 15 <= len(data):
            size = int.from_bytes(data[pos + 1:pos + 4], "big")
            if pos + 15 + size > len(data):
                break
            stamp = int.from_bytes(data[pos + 4:pos + 7], "big") | data[pos + 7] << 24
            out.append((pos + 11 + size, Message(data[pos] & 31, stamp, 1, 0, data[pos + 11:pos + 11 + size])))
            pos += 15 + size
        return out

    def media(self):
        return [message for _, message in self.messages() if message.is_media]

    def longest_gap_s(self):
        """The longest time without bytes, between two pieces."""
        return max(after[0] - before[0] for before, after in zip(self.arrivals, self.arrivals[1:]))

    def first_media_s(self):
        """When the first audio or video message was complete; None: not yet."""
        end = next((at for at, message in self.messages() if message.is_media), None)
        return next((when for when, size in self.arrivals if end and size >= end), None)


def require(command):
    """Skips where this build has no such command."""
    done = subprocess.run([find_binary(), "help", command], capture_output=True, timeout=20, check=False)
    if done.returncode:
        pytest.skip(f"this build has no `culvert {command}`")


class Feeder:
    """A stream that is published beside the server in real time, on a thread, until stop(); ahead: frames at once.
    With nginx each picture is a key frame, because it keeps none for those who come later."""

    def __init__(self, net, name, address=SERVER, ahead=30):
        client = net.server.run(lambda: RtmpClient.open(80, host=address))
        self.publisher = synth.Publisher(80, name, client=client, gop=1 if address == OTHER_RTMP else 25)
        self.publisher.send(ahead)
        self.publisher.sync()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        due = time.monotonic()
        while not self.ended.is_set():
            self.publisher.send()
            due += synth.FRAME_MS / 1000
            self.ended.wait(max(0, due - time.monotonic()))

    def stop(self):
        """Ends the stream. Returns the number of its last frame."""
        if not self.ended.is_set():
            self.ended.set()
            self.thread.join()
            self.publisher.unpublish()
            self.publisher.sync()
            self.publisher.close()
        return self.publisher.number - 1


class Watcher:
    """A viewer beside the server, or at another end, that waits for a stream."""

    def __init__(self, net, name, address="127.0.0.1", at=None, port=80):
        self.viewer = (at or net.server).run(lambda: RtmpClient.open(port, host=address))
        self.viewer.play(name)
        self.viewer.create_stream()
        self.messages, self.times = [], []

    def next(self, timeout_s=10):
        message = self.viewer.media(timeout_s)
        self.times.append(time.monotonic())
        self.messages.append(message)
        return message

    def until(self, last, timeout_s=20):
        """All up to the sound with this number, the last one of a file."""
        while True:
            message = self.next(timeout_s)
            if message.type == AUDIO and synth.number_of(message) == last:
                return self.messages

    def first_media_s(self, command):
        return self.times[0] - command.begin

    def longest_gap_s(self):
        """The longest time without a message, between two."""
        return max(after - before for before, after in zip(self.times, self.times[1:]))

    def close(self):
        self.viewer.close()


def check_whole(messages, first=None, last=None):
    """Pictures and sounds, each once and in order, none missing."""
    pictures = synth.check_run(messages, first)
    sounds = synth.check_run(messages, first, AUDIO)
    numbers = [synth.number_of(frames[-1]) for frames in (pictures, sounds)]
    assert last is None or numbers == [last, last], f"ends with {numbers}, not {last}"
    return pictures


def play(net, wall, log, url, *options, frames=25, feed=None, ends=True, **env):
    """`culvert play` until it has so many frames; then the stream ends, and with it the command, or with a server that
    `ends` nothing by Ctrl-C. Returns it and the number of the last frame, or None."""
    command = Command(net, log, ["play", url, "-o", "-", *options], wall.environment(**env))
    try:
        def has_enough():
            got = sum(1 for message in command.media() if message.type == VIDEO)
            assert got >= frames or command.process.poll() is None, f"ended: {command.log()[-3000:]}"
            return got >= frames
        wait_until(has_enough, 20, f"{frames} frames")
        if not ends:
            command.process.send_signal(signal.SIGINT)
            command.wait(code=EXIT_INTERRUPTED)
            return command, None
        last = feed.stop()
        command.wait()
        return command, last
    finally:
        command.stop()


def log_of(tmp_path):
    return tmp_path / f"{len(list(tmp_path.iterdir()))}.log"


def slug(name):
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def publish_through(net, wall, tmp_path, source, url, stream, *options, last=SOURCE_FRAMES - 1, at=SIDE_DOOR[0], **env):
    """The whole file arrives beside the server. Returns the seconds to the first media message, and the longest time
    without one after it."""
    watcher = Watcher(net, stream, at)
    command = Command(net, log_of(tmp_path), ["publish", source, url, *options], wall.environment(**env))
    try:
        check_whole(watcher.until(last), first=0, last=last)
        command.wait()
        return watcher.first_media_s(command), watcher.longest_gap_s()
    except (Closed, TimedOut) as err:
        raise AssertionError(f"{err}; the publisher said: {command.log()[-3000:]}") from err
    finally:
        command.stop()
        watcher.close()


def play_through(net, wall, tmp_path, url, stream, *options, at=SIDE_DOOR[0], **how):
    """A stream from a key frame to its end. Returns the seconds to the first media message, and the longest time
    without one after it."""
    feed = Feeder(net, stream, at)
    try:
        command, last = play(net, wall, log_of(tmp_path), url, *options, feed=feed, **how)
        check_whole(command.media(), last=last)
        return command.first_media_s(), command.longest_gap_s()
    finally:
        feed.stop()


# ---- servers of other people ------------------------------------------------------------------

NGINX = """
load_module {module};
daemon off;
worker_processes 1;
error_log stderr info;
pid {folder}/pid;
events {{ worker_connections 256; }}
rtmp {{ server {{ listen {address}:80; application live {{ live on; }} }} }}
"""
MODULES = ("/usr/lib/nginx/modules/ngx_rtmp_module.so", "/usr/share/nginx/modules/ngx_rtmp_module.so")


class RtmpOnly(Service):
    """nginx with its RTMP module: knows no HTTP on that port."""

    def __init__(self, net, folder):
        folder.mkdir(parents=True, exist_ok=True)
        module = next((path for path in MODULES if os.path.exists(path)), None)
        if not module:
            raise FileNotFoundError("libnginx-mod-rtmp is not installed: tools/install-deps.sh test")
        text = NGINX.format(module=module, folder=folder, address=OTHER_RTMP)
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        super().__init__(net.server, ["nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"],
                         folder / "log", (OTHER_RTMP, 80))


class RtmptOnly:
    """A tunnel server that knows nothing of ours: no offers, no RTMP. It is ours behind a box that hides it, and
    resets what is no HTTP."""

    def __init__(self, net, _folder):
        self.box = HttpProxy(net.server, 80, to=SIDE_DOOR, hides=("culvert", "server"), address=OTHER_RTMPT)

    def stop(self):
        self.box.stop()


