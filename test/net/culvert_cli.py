"""Our own client programs: culvert publish, play, relay, each with its output in files."""
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess

import server as server_module
from server import SANITIZER, SANITIZER_ENV, wait_until


class Cli:
    """One running command. stdin and stdout may be given; stderr is always kept."""

    def __init__(self, folder, name, args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=None):
        self.cmd = [str(server_module.find_binary()), *[str(arg) for arg in args]]
        self.log_path = pathlib.Path(folder) / f"{name}.log"
        full = {**os.environ, **SANITIZER_ENV, "XDG_STATE_HOME": str(folder), **(env or {})}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.cmd, stdin=stdin, stdout=stdout, stderr=log, env=full)

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout_s=30):
        """Its exit code; AssertionError when it does not end, or a sanitizer has something to say."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as err:
            self.kill()
            raise AssertionError(f"{shlex.join(self.cmd)} does not end: {self.log()[-2000:]}") from err
        assert not SANITIZER.search(self.log().encode()), self.log()[-8000:]
        return code

    def expect(self, code, *sentences, timeout_s=30):
        """Ends with this code, having said this."""
        ended = self.wait(timeout_s)
        assert ended == code, f"exit code {ended}: {self.log()[-2000:]}"
        for sentence in sentences:
            assert sentence in self.log(), self.log()[-2000:]
        return self

    def says(self, pattern, timeout_s=15):
        """Waits until it has said something; the match."""
        return wait_until(lambda: re.search(pattern, self.log()), timeout_s, f"{pattern!r} on stderr")

    def summary(self):
        """The line of --json."""
        return json.loads(self.log().splitlines()[-1])

    def interrupt(self, how=signal.SIGINT):
        self.process.send_signal(how)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class CliFactory:
    """Starts commands; what still runs at the end is killed."""

    def __init__(self, folder):
        self.folder, self.running = pathlib.Path(folder), []

    def __call__(self, *args, **kwargs):
        self.running.append(Cli(self.folder, f"{len(self.running):02}-{args[0]}", args, **kwargs))
        return self.running[-1]

    def close(self):
        for one in self.running:
            one.kill()
