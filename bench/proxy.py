#!/usr/bin/env python3
"""Measures the site behind Culvert: a large download through it, beside nginx proxy_pass to the
same nginx, and beside that nginx itself. Writes bench/RESULTS.md.

usage: bench/proxy.py [--build DIR] [--runs N] [--bytes N] [--out FILE]

One worker or thread each, on the first processor; the nginx behind and curl are on the second.
"""
import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import kit

TITLE = "A download through the proxy (`make bench-site`)"
RATIO_MIN = 0.8

# Without temporary files: they would measure the disk when curl is slower than the upstream.
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; {what} }}
}}
"""
FILES = "root {root};"
PROXY = """location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_max_temp_file_size 0; }}"""


class Nginx:
    """One nginx with one worker, on one processor."""

    def __init__(self, cpu, what):
        self.cpu, self.what = cpu, what
        self.port = kit.free_port()

    def __enter__(self):
        self.folder = tempfile.mkdtemp()
        os.chmod(self.folder, 0o755)
        config = os.path.join(self.folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(NGINX.format(folder=self.folder, port=self.port, what=self.what))
        self.process = subprocess.Popen(
            kit.pinned(self.cpu, ["nginx", "-c", config]), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            kit.wait_until(lambda: self.process.poll() is not None
                           or kit.children(self.process.pid), "nginx's worker")
        finally:
            if self.process.poll() is not None:
                shutil.rmtree(self.folder)
                sys.exit("nginx does not start")
        return self

    @property
    def pid(self):
        return kit.children(self.process.pid)[0]

    def __exit__(self, *what):
        kit.end(self.process)
        shutil.rmtree(self.folder)


def download(server, name, size):
    """(bytes per second, processor seconds of the server)"""
    before = kit.cpu_s(server.pid)
    result = subprocess.run(
        kit.pinned(kit.CLIENT_CPU, [
            "curl", "-s", "-o", "/dev/null", "--max-time", "120", "-w",
            "%{http_code} %{size_download} %{time_total}",
            f"http://127.0.0.1:{server.port}/{name}"]),
        capture_output=True, text=True, check=False)
    status, got, seconds = result.stdout.split()
    if status != "200" or int(got) != size:
        sys.exit(f"the download broke: status {status}, {got} of {size} bytes, "
                 f"curl ended with {result.returncode}")
    return size / float(seconds), kit.cpu_s(server.pid) - before


def measure(args, folder):
    """Results by name, [(bytes per second, processor seconds)], taken in turns."""
    name = "large.bin"
    with open(os.path.join(folder, name), "wb") as file:
        file.truncate(args.bytes)
    os.chmod(folder, 0o755)
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(Nginx(kit.CLIENT_CPU, FILES.format(root=folder)))
        servers = {
            "the nginx behind, directly": origin,
            "nginx proxy_pass": stack.enter_context(
                Nginx(kit.SERVER_CPU, PROXY.format(upstream=origin.port))),
            "Culvert": stack.enter_context(
                kit.Culvert(args.build, f"site: http://127.0.0.1:{origin.port}\n")),
        }
        results = {which: [] for which in servers}
        for server in servers.values():  # the file is in memory, connections are there
            download(server, name, args.bytes)
        for number in range(args.runs):
            kit.say(f"site, run {number + 1}")
            for which, server in servers.items():
                results[which].append(download(server, name, args.bytes))
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(kit.ROOT, "build"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--bytes", type=int, default=10**9)
    parser.add_argument("--out", default=kit.RESULTS)
    args = parser.parse_args()
    for program in ("nginx", "curl"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: tools/install-deps.sh bench")
    with tempfile.TemporaryDirectory() as folder:
        results = measure(args, folder)
    speed = {which: statistics.median(rate for rate, _ in runs) for which, runs in results.items()}
    rows = [[which, speed[which] / 1e6, statistics.median(cpu for _, cpu in runs),
             min(rate for rate, _ in runs) / 1e6, max(rate for rate, _ in runs) / 1e6]
            for which, runs in results.items()]
    targets = [kit.Target("speed, times nginx proxy_pass's",
                          speed["Culvert"] / speed["nginx proxy_pass"], RATIO_MIN, at_most=False)]
    text = kit.table(["through", "MB/s", "CPU s of the server", "slowest MB/s", "fastest MB/s"], rows)
    kit.write_section(args.out, TITLE, f"{kit.machine()}.\n\n{kit.target_table(targets)}\n\n"
                      f"{args.bytes / 1e9:g} GB by curl, in turns, medians of {args.runs}. One "
                      f"thread or worker on the first processor;\nthe nginx behind and curl on the "
                      f"second.\n\n{text}")
    print(text)
    print(kit.target_table(targets))
    sys.exit(0 if all(target.holds() for target in targets) else 1)


if __name__ == "__main__":
    main()
