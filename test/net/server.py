"""Starts the server under test and says how it ended."""
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZER = re.compile(rb"(Address|Thread|Leak|Memory)Sanitizer|runtime error:")
SANITIZER_ENV = {
    "ASAN_OPTIONS": "exitcode=99:quarantine_size_mb=16:detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
    "TSAN_OPTIONS": "exitcode=66:halt_on_error=0",
}


def wait_until(condition, timeout_s=10, what="condition", every_s=0.02):
    """Polls until condition() is true and returns its value; AssertionError at the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(every_s)


def find_binary():
    chosen = os.environ.get("CULVERT_BIN")
    candidates = [chosen] if chosen else [ROOT / "build/culvert", ROOT / "build-asan/culvert"]
    for path in candidates:
        if pathlib.Path(path).is_file():
            return pathlib.Path(path).resolve()
    raise FileNotFoundError(f"no server binary: set CULVERT_BIN, or build one of {candidates}")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def app(name="live", **settings):
    """One entry of apps: with short waits, so that tests end soon."""
    return {"name": name, "publish": "open", "play": "open", "grace_s": 1, "play_wait_s": 10, **settings}


class Server:
    """One `culvert serve`. Logs go to files; stop() demands a clean end.

    listen: addresses instead of a free port of loopback; within: what runs the command elsewhere (netns.py).
    """

    def __init__(self, folder, args=("--open-publish",), config=None, listen=None, within=()):
        self.port = int(listen[0].partition("/")[0].rpartition(":")[2]) if listen else free_port()
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.binary = find_binary()
        cmd = [*within, str(self.binary), "serve", "--state", str(self.folder / "state"), *args]
        for address in listen or [f"127.0.0.1:{self.port}"]:
            cmd += ["--listen", address]
        if config:
            (self.folder / "culvert.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
            cmd += ["-c", str(self.folder / "culvert.yaml")]
        env = dict(os.environ)
        for name, value in SANITIZER_ENV.items():
            env[name] = value + (":" + env[name] if name in env else "")
        (self.folder / "command").write_text(shlex.join(cmd), encoding="utf-8")
        with open(self.folder / "stdout", "wb") as out, open(self.folder / "stderr", "wb") as err:
            self.process = subprocess.Popen(cmd, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=env)
        self.stopped = self.asked_to_end = False
        self._wait_ready(bool(within))

    def _wait_ready(self, elsewhere):
        def accepts():
            if self.process.poll() is not None:
                raise AssertionError(f"server ended with {self.process.returncode}: {self.log()[-3000:]}")
            if elsewhere:
                return "server.ready" in self.log()
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", self.port)) == 0
        try:
            wait_until(accepts, 20, "server accepts")
        except AssertionError:
            self.kill()
            raise

    def url(self, path="live/a"):
        return f"rtmp://127.0.0.1:{self.port}/{path}"

    def log(self):
        return (self.folder / "stderr").read_text(encoding="utf-8", errors="replace")

    def stats(self):
        """Its counters, as it tells them now."""
        before = self.log().count("server.stats")
        self.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.log().count("server.stats") > before, 5, "the counters")
        line = [line for line in self.log().splitlines() if "server.stats" in line][-1]
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)(?: |$)", line)}

    def stdout(self):
        return (self.folder / "stdout").read_text(encoding="utf-8", errors="replace")

    def lines_about(self, port):
        """Log lines that name this client port."""
        return [line for line in self.log().splitlines() if re.search(rf":{port}\b", line)]

    def publish_key(self):
        """The key that a first start prints in an example URL."""
        found = wait_until(lambda: re.search(r"key=([^\s\"'&]+)", self.stdout()), 5, "publish key on stdout")
        return found.group(1)

    def rss_bytes(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) * 1024

    def sanitized(self):
        """Which sanitizer the binary was built with, or None."""
        data = self.binary.read_bytes()
        return next((kind for kind in ("asan", "tsan") if f"__{kind}_init".encode() in data), None)

    def is_alive(self):
        return self.process.poll() is None

    def terminate(self):
        self.asked_to_end = True
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s=20):
        return self.process.wait(timeout_s)

    def kill(self):
        self.stopped = True
        if self.is_alive():
            self.process.kill()
            self.process.wait()

    def stop(self):
        """Ends the server and checks: exit code 0, no report of a sanitizer."""
        if self.stopped:
            return
        self.stopped = True
        if self.is_alive():
            self.terminate()
        try:
            code = self.wait()
        except subprocess.TimeoutExpired as err:
            self.kill()
            raise AssertionError(f"server did not end after SIGTERM: {self.log()[-3000:]}") from err
        log = (self.folder / "stderr").read_bytes()
        assert not SANITIZER.search(log), log[-8000:].decode(errors="replace")
        assert code == 0, f"exit code {code}: {self.log()[-3000:]}"
        assert self.asked_to_end, f"the server ended by itself: {self.log()[-3000:]}"
