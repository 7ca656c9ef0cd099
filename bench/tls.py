#!/usr/bin/env python3
"""What TLS costs the server, beside plain RTMP and beside OpenSSL itself: live fan-out, and
handshakes. The cipher's own cost is that of sealing the same records by a program that does nothing
else (bench/bare --seal), less that of the same program without; `openssl speed` stands beside it.

usage: bench/tls.py [--build DIR] [--seconds N] [--runs N] [--parts fanout,handshakes] [--out FILE]
"""
import os
import re
import statistics
import subprocess

import kit
import scenarios
from kit import Culvert, Target, median_of, run_json
from targets import COST, cipher_times, target, with_softirq

TITLE = "TLS (`make bench-tls`)"
CONFIG = "tls:\n  self_signed: true\n"
CIPHER = "aes-128-gcm"
PLAYERS = 200
LATENCIES_MS = (20, 100)
RECORD_BYTES = 16384
BARE = {scenarios.BARE: (), scenarios.SEAL: ("--seal",)}
FAN_OUT_WAYS = (scenarios.BARE, scenarios.SEAL, "RTMP", "TLS")
HANDSHAKES = (("TLS 1.3", "-tls1_3"), ("TLS 1.2", "-tls1_2"))


class Server(Culvert):
    """One that shows a certificate of its own making."""

    def __init__(self, build):
        super().__init__(build, CONFIG)

    @property
    def certificate(self):
        return os.path.join(self.folder, "self-signed.crt")

    @property
    def key(self):
        return os.path.join(self.folder, "self-signed.key")


# ---- fan-out ---------------------------------------------------------------------------------

def cipher_s_per_gb(record_bytes):
    """What sealing records of this size costs by itself: key ready, a tag for each."""
    out = subprocess.run(kit.pinned(kit.SERVER_CPU, [
        "openssl", "speed", "-aead", "-evp", CIPHER, "-bytes", str(int(record_bytes)), "-seconds", "1"]),
        capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"([\d.]+)k\s*$", out).group(1)) * 1000
    return 1e9 / rate


def fan_out_once(build, latency_ms, way, seconds):
    if way in BARE:
        return run_json([os.path.join(build, "bench/bare"), *BARE[way], PLAYERS, seconds,
                         latency_ms, scenarios.BITRATE_KBPS])
    return run_json([os.path.join(build, "culvert"), "bench", "--json", "--players", PLAYERS,
                     *scenarios.SOME, "--latency-ms", latency_ms, "--seconds", seconds,
                     *scenarios.WAYS[way]])


def fan_out_row(way, latency_ms, results):
    middle = median_of(results)
    writes = middle["bytes_per_write"]
    record = writes / max(1, round(writes / RECORD_BYTES + 0.49))
    return [f"{way}, window {latency_ms} ms", middle[COST],
            cipher_s_per_gb(record) if way == "TLS" else None,
            middle["server_user_share_percent"], writes, middle["latency_p99_ms"],
            middle.get("load_viewer_kib"), "yes" if middle["intact"] else "NO"]


def fan_out(args):
    rows, targets = [], []
    for latency_ms in LATENCIES_MS:
        results = {way: [] for way in FAN_OUT_WAYS}
        for number in range(args.runs):
            for way in FAN_OUT_WAYS:
                kit.say(f"run {number + 1}: {way}, window {latency_ms} ms")
                results[way].append(with_softirq(fan_out_once(args.build, latency_ms, way,
                                                              args.seconds)))
        rows += [fan_out_row(way, latency_ms, results[way]) for way in FAN_OUT_WAYS]
        times = [cipher_times(*(run[COST] for run in runs)) for runs in zip(
            results["TLS"], results["RTMP"], results[scenarios.SEAL], results[scenarios.BARE])]
        targets.append(target(f"{PLAYERS} players, window {latency_ms} ms: what TLS adds, times the "
                              "cipher's own cost", [one for one in times if one is not None], 1.25))
    titles = ["", "CPU s/GB", f"openssl speed {CIPHER}, s/GB", "user %", "bytes/write", "p99 ms",
              "KiB/viewer", "intact"]
    return kit.table(titles, rows), targets


# ---- handshakes ------------------------------------------------------------------------------

def connect_for(port, version, seconds):
    """New handshakes, one after the other; how many."""
    out = subprocess.run(kit.pinned(kit.CLIENT_CPU, [
        "openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", version, "-time", seconds]),
        capture_output=True, text=True, check=True).stdout
    return int(re.search(r"(\d+) connections in \d+ real seconds", out).group(1))


def per_cpu_second(pid, port, version, seconds):
    before = kit.run_s(pid)
    count = connect_for(port, version, seconds)
    return count / (kit.run_s(pid) - before)


def peer_per_cpu_second(server, version, seconds):
    """The same of `openssl s_server` with the same certificate."""
    port = kit.free_port()
    peer = subprocess.Popen(kit.pinned(kit.SERVER_CPU, [
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", server.certificate, "-key",
        server.key, "-quiet", "-num_tickets", "1", "-naccept", "1000000"]), stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        kit.wait_until(lambda: listens(port), "openssl s_server")
        return per_cpu_second(peer.pid, port, version, seconds)
    finally:
        kit.end(peer)


def listens(port):
    table = subprocess.run(["ss", "-ltnH", f"sport = :{port}"], capture_output=True, text=True,
                           check=False)
    return bool(table.stdout.strip())


def handshakes(args):
    rows, targets = [], []
    seconds = max(3, args.seconds // 4)
    with Server(args.build) as server:
        for name, version in HANDSHAKES:
            ours, theirs = [], []
            for number in range(args.runs):
                kit.say(f"run {number + 1}: handshakes, {name}")
                ours.append(per_cpu_second(server.pid, server.port, version, seconds))
                theirs.append(peer_per_cpu_second(server, version, seconds))
            middle = [statistics.median(ours), statistics.median(theirs)]
            rows.append([name, *middle])
            targets.append(Target(f"{name} handshakes per second of processor, times those of "
                                  "openssl s_server", statistics.median(
                                      mine / other for mine, other in zip(ours, theirs)),
                                  0.85, at_most=False))
    return kit.table(["ECDSA P-256, no resumption", "Culvert /s", "openssl s_server /s"],
                     rows), targets


PARTS = {
    "fanout": (fan_out, f"Live fan-out to {PLAYERS} players: the server's processor. Bare: a program "
               "that does nothing but write the same\nbytes; sealed: as records of TLS, so that what "
               "this adds is the cipher's own cost, with the same caches. Beside it: `openssl\nspeed "
               f"-aead -evp {CIPHER}` with records as long as ours, on the same processor."),
    "handshakes": (handshakes, "New connections one after the other (`openssl s_time -new`): "
                   "handshakes for each second of the\nserver's processor, connection and all."),
}

if __name__ == "__main__":
    kit.main(TITLE, PARTS)
