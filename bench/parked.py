#!/usr/bin/env python3
"""Measures the memory of sessions that only wait: RTMPT tunnels whose idle requests are held again
and again, and RTMP connections beside them. Writes bench/RESULTS.md.

usage: bench/parked.py [--build DIR] [--sessions N] [--seconds N] [--out FILE]

Each session has gone all the way to play, of a stream that nobody publishes.
"""
import argparse
import os
import resource
import sys

import kit

TITLE = "Parked sessions (`make bench-tunnel`)"
RSS_MAX_MB = 200
ADDRESSES = 20
SPARE_DESCRIPTORS = 200

CONFIG = """
limits:
  connections_max: 1000000
  connections_per_address_max: 1000000
apps:
  - name: live
    publish: open
    play: open
    play_wait_s: 3600
"""


def measure(args, scheme):
    kit.say(f"{args.sessions} parked sessions over {scheme}")
    with kit.Culvert(args.build, CONFIG) as server:
        return kit.run_json(kit.pinned(kit.CLIENT_CPU, [
            os.path.join(args.build, "bench/tunnel_play"), "--parked", "--sessions", args.sessions,
            "--start-s", "120", "--seconds", args.seconds, "--addresses", ADDRESSES,
            "--server-pid", server.pid, f"{scheme}://127.0.0.1:{server.port}/live/nobody"]))


def check_descriptors(sessions):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < sessions + SPARE_DESCRIPTORS:
        sys.exit(f"{sessions} sessions need more descriptors than {hard}: ulimit -n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(kit.ROOT, "build"))
    parser.add_argument("--sessions", type=int, default=10000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--out", default=kit.RESULTS)
    args = parser.parse_args()
    check_descriptors(args.sessions)
    rows, results = [], {}
    for scheme in ("rtmp", "rtmpt"):
        result = results[scheme] = measure(args, scheme)
        grown = result["server_rss_after"] - result["server_rss_before"]
        rows.append([scheme, result["joined"], result["server_rss_before"] / 1e6,
                     result["server_rss_after"] / 1e6, f"{grown / max(result['joined'], 1):.0f}",
                     result["requests_per_s"], result["server_cpu_percent"],
                     "yes" if result["intact"] else "NO"])
    text = kit.table(["over", "sessions", "RSS before MB", "RSS after MB", "bytes/session",
                      "requests/s each", "server CPU %", "all there"], rows)
    targets = [kit.Target(f"{args.sessions} parked RTMPT sessions: the server's memory",
                          results["rtmpt"]["server_rss_after"] / 1e6, RSS_MAX_MB, unit="MB"),
               kit.Target("sessions that are there, of all",
                          results["rtmpt"]["joined"] - results["rtmpt"]["lost"], args.sessions,
                          at_most=False)]
    kit.write_section(args.out, TITLE, f"{kit.machine()}.\n\n{kit.target_table(targets)}\n\n"
                      "Sessions that wait for a publisher, from "
                      f"{ADDRESSES} addresses; a server of their own for each row. Sockets are the "
                      f"kernel's.\n\n{text}")
    print(text)
    print(kit.target_table(targets))
    sys.exit(0 if all(target.holds() for target in targets) else 1)


if __name__ == "__main__":
    main()
