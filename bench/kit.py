"""What the measurements share: a server to measure, its costs, tables, and bench/RESULTS.md."""
import argparse
import dataclasses
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "bench/RESULTS.md")
SERVER_CPU, CLIENT_CPU = 0, 1
START_S = 20


def say(text):
    print(text, file=sys.stderr, flush=True)


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":")[1].strip()
                break
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(cpu, command):
    """The command on one processor, where there are several."""
    pin = ["taskset", "-c", str(cpu)] if os.cpu_count() > 1 and shutil.which("taskset") else []
    return [*pin, *map(str, command)]


class Failed(SystemExit):
    """A program of a measurement has failed: ends us, unless somebody goes on without it."""


def run_json(command, limit_s=None):
    """What a program prints, as JSON; its exit code does not matter, its silence ends us."""
    words = " ".join(map(str, command))
    try:
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                                check=False, timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise Failed(f"{words}: not within {limit_s:.0f} s") from None
    if not result.stdout.strip():
        raise Failed(f"{words}: {result.stderr.strip() or 'says nothing'}")
    return json.loads(result.stdout)


def median_of(runs):
    """Medians of all numbers of some results with the same keys."""
    keys = [key for key, value in runs[0].items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)]
    middle = {key: statistics.median(run[key] for run in runs) for key in keys}
    middle["intact"] = all(run.get("intact", True) for run in runs)
    return middle


# ---- processes -------------------------------------------------------------------------------

def _proc(pid, name):
    with open(f"/proc/{pid}/{name}", encoding="utf-8") as file:
        return file.read()


def cpu_s(pid):
    """Processor time of a process, with all its threads."""
    fields = _proc(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_s(pid):
    """The same to the nanosecond: for what uses little. Threads that have ended are not in it."""
    return sum(int(_proc(pid, f"task/{task}/schedstat").split()[0])
               for task in os.listdir(f"/proc/{pid}/task")) * 1e-9


def rss_bytes(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", _proc(pid, "status")).group(1)) * 1024


def children(pid):
    return [int(word) for word in _proc(pid, f"task/{pid}/children").split()]


def wait_until(condition, what, limit_s=START_S):
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {limit_s} s")
        time.sleep(0.02)


def end(process):
    """Asks a child to end; kills it when it does not."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Culvert:
    """`culvert serve` with one thread on the first processor; `network`: at its far end."""

    def __init__(self, build, config="", network=None):
        self.program = os.path.join(build, "culvert")
        self.config, self.network = config, network
        self.port = free_port()
        self.process = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        path = os.path.join(self.folder, "culvert.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.config)
        listen = f"0.0.0.0:{self.port}" if self.network else f"127.0.0.1:{self.port}"
        command = [self.program, "serve", "--open-publish", "--config", path, "--listen", listen,
                   "--state", self.folder, "--threads", "1"]
        with open(os.path.join(self.folder, "log"), "wb") as log:
            if self.network:
                self.process = self.network.popen("far", command, cpu=SERVER_CPU,
                                                  stdout=subprocess.DEVNULL, stderr=log)
            else:
                self.process = subprocess.Popen(pinned(SERVER_CPU, command), stderr=log,
                                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(lambda: "server.ready" in self.log() or self.process.poll() is not None,
                   "the server's start")
        if self.process.poll() is not None:
            raise Failed(f"the server did not start: {self.log()}")

    @property
    def pid(self):
        return self.process.pid  # taskset and nsenter become the program

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def __exit__(self, *what):
        if self.process:
            end(self.process)
        shutil.rmtree(self.folder)


# ---- results ---------------------------------------------------------------------------------

@dataclasses.dataclass
class Target:
    what: str
    measured: float | None  # None: was not
    limit: float
    at_most: bool = True
    unit: str = ""
    span: tuple | None = None  # least and most of all runs
    why: str = ""  # not measured

    def holds(self):
        """None: that is not known."""
        if self.measured is None:
            return None
        return self.measured <= self.limit if self.at_most else self.measured >= self.limit

    def measured_text(self):
        if self.measured is None:
            return f"not measured: {self.why}"
        text = f"{cell(self.measured)} {self.unit}".strip()
        return text + (f" ({cell(self.span[0])} to {cell(self.span[1])})" if self.span else "")


def cell(value):
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.2f}"


def table(titles, rows):
    """Markdown. A row is a list of texts and numbers."""
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def target_table(targets):
    words = {True: "yes", False: "NO", None: "?"}
    return table(["target", "measured", "limit", "holds"],
                 [[target.what, target.measured_text(),
                   f"{'<=' if target.at_most else '>='} {cell(target.limit)} {target.unit}".strip(),
                   words[target.holds()]] for target in targets])


def write_section(path, title, body):
    """Puts `## title` and its body into the file, in the place of the section that was there."""
    text = "# Results\n"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
    parts = re.split(r"(?m)^(?=## )", text)
    section = f"## {title}\n\n{body.strip()}\n"
    at = next((i for i, part in enumerate(parts) if part.startswith(f"## {title}\n")), None)
    if at is None:
        parts.append(section)
    else:
        parts[at] = section
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(part.strip() + "\n" for part in parts))


def main(title, parts):
    """A measurement of several parts: {name: (function, what is to be said about it)}. A function
    takes the options and gives a table and its targets. Ends with 1 when a target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--parts", default=",".join(parts))
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    texts, targets = [], []
    for name in args.parts.split(","):
        part, about = parts[name]
        text, found = part(args)
        print(text, flush=True)
        texts.append(f"{about}\n\n{text}")
        targets += found
    head = (f"{machine()}. Server on the first processor, one thread; clients on the second. "
            f"Stream of 2.5 Mb/s,\n73 messages a second, {args.seconds} s, medians of {args.runs} "
            "runs.")
    told = [target_table(targets)] if targets else []
    write_section(args.out, title, "\n\n".join([head, *told, *texts]))
    print("\n".join(told))
    sys.exit(0 if all(target.holds() for target in targets) else 1)
