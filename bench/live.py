#!/usr/bin/env python3
"""Measures live fan-out and writes bench/RESULTS.md.

usage: bench/live.py [--build DIR] [--seconds N] [--runs N] [--out FILE]

Medians of some runs. Beside Culvert, in the same session: the machine's own limit (bench/bare.c,
a program that only writes the same bytes) and nginx-rtmp, where it is installed.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import kit
from kit import median_of, run_json

TITLE = "Live fan-out (`make bench`)"

# name, arguments of `culvert bench`, window of bare.c in ms or None
SCENARIOS = (
    ("1 x 500, window 0", ["--players", "500", "--latency-ms", "0"], 0),
    ("1 x 500, window 20 ms", ["--players", "500", "--latency-ms", "20"], 20),
    ("1 x 500, window 100 ms", ["--players", "500", "--latency-ms", "100"], 100),
    ("200 x 1, window 20 ms", ["--publishers", "200", "--players", "1"], None),
    ("20 x 3, window 20 ms", ["--publishers", "20", "--players", "3"], None),
)

COLUMNS = (
    ("server_cpu_percent", "CPU %"),
    ("server_user_share_percent", "user %"),
    ("server_cpu_s_per_gb", "CPU s/GB"),
    ("latency_p50_ms", "p50 ms"),
    ("latency_p99_ms", "p99 ms"),
    ("join_p99_ms", "join p99 ms"),
    ("writes_per_flush", "writes/flush"),
    ("bytes_per_write", "bytes/write"),
    ("allocs_per_message", "allocs/msg/viewer"),
    ("load_viewer_kib", "KiB/viewer"),
    ("bench_cpu_percent", "bench CPU %"),
)

NGINX_CONFIG = """
load_module modules/ngx_rtmp_module.so;
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log error;
events {{ worker_connections 4096; }}
rtmp {{ access_log off; server {{ listen 127.0.0.1:{port}; chunk_size 65536;
  application live {{ live on; }} }} }}
"""


class Nginx:
    """nginx-rtmp with one worker on the first processor, as the server of a run has it."""

    def __enter__(self):
        self.folder = tempfile.mkdtemp()
        self.port = kit.free_port()
        config = os.path.join(self.folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(NGINX_CONFIG.format(folder=self.folder, port=self.port))
        self.process = subprocess.Popen(["taskset", "-c", "0", "nginx", "-c", config],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.worker = self.find_worker()
        return self

    def find_worker(self):
        """The worker's process, which is there soon after the master's."""
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        workers = []
        while not workers and self.process.poll() is None:
            with open(children, encoding="utf-8") as file:
                workers = file.read().split()
        if not workers:
            sys.exit("nginx does not start: see its error log")
        return workers[0]

    def __exit__(self, *what):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def has_nginx():
    return shutil.which("nginx") and shutil.which("taskset") and any(
        os.path.exists(os.path.join(folder, "ngx_rtmp_module.so"))
        for folder in ("/usr/lib/nginx/modules", "/usr/share/nginx/modules"))


def bench_nginx(program, arguments):
    with Nginx() as nginx:
        return run_json(["taskset", "-c", "1", program, "bench", "--json", *arguments, "--url",
                         f"rtmp://127.0.0.1:{nginx.port}/live", "--server-pid", nginx.worker])


def table(rows):
    titles = ["scenario", *(title for _, title in COLUMNS), "intact"]
    return kit.table(titles, [[name, *(result.get(key) for key, _ in COLUMNS),
                               "yes" if result["intact"] else "NO"] for name, result in rows])


def measure(args, say):
    program = os.path.join(args.build, "culvert")
    bare = os.path.join(args.build, "bench/bare")
    seconds = ["--seconds", str(args.seconds)]
    runs = {}
    ratios = {}
    for number in range(args.runs):
        for name, arguments, window in SCENARIOS:
            say(f"run {number + 1}: {name}")
            result = run_json([program, "bench", "--json", *arguments, *seconds])
            runs.setdefault(f"Culvert, {name}", []).append(result)
            if has_nginx() and window in (0, None):
                say(f"run {number + 1}: nginx-rtmp, {name}")
                runs.setdefault(f"nginx-rtmp, {name.split(',')[0]}", []).append(
                    bench_nginx(program, arguments + seconds))
            if window is not None:
                limit = run_json([bare, "500", str(args.seconds), str(window), "2500"])
                runs.setdefault(f"bare writes, {name}", []).append(limit)
                ratios.setdefault(name, []).append(
                    result["server_cpu_s_per_gb"] / limit["server_cpu_s_per_gb"])
    say("idle viewers")
    idle = run_json([program, "bench", "--json", "--idle", "2000"])
    return [(name, median_of(results)) for name, results in runs.items()], ratios, idle


def write_results(args, rows, ratios, idle):
    text = f"""{kit.machine()}. Server on the first processor, one thread; bench on the second. Streams of 2.5 Mb/s,
73 messages a second, {args.seconds} s, medians of {args.runs} runs.
Command of a row: `culvert bench` with the row's publishers x players and window; `bench/bare 500
{args.seconds} WINDOW 2500` for the bare writes. Latency is from the publisher's send call to the player's
check, over both connections and the bench's own queue.

{table(rows)}

Processor per GB against the bare writes of the same run:
{", ".join(f"{name}: {statistics.median(values):.2f}" for name, values in ratios.items())}.

Memory per idle viewer ({int(idle["players"])} of them): {idle["idle_viewer_kib"]:.2f} KiB of the \
server's own (sockets are the kernel's).
"""
    kit.write_section(args.out, TITLE, text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(kit.ROOT, "build"))
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", default=kit.RESULTS)
    args = parser.parse_args()
    rows, ratios, idle = measure(args, kit.say)
    write_results(args, rows, ratios, idle)
    print(table(rows))
    sys.exit(0 if all(result["intact"] for _, result in rows) else 1)


if __name__ == "__main__":
    main()
