#!/usr/bin/env python3
"""Measures how fast Culvert is beside the machine's own limit and beside other servers, and writes
bench/RESULTS.md and bench/RESULTS.svg: `make bench`.

usage: bench/fast.py [--build DIR] [--only PART,...] [--rows REGEX] [--runs N] [--seconds N]
                     [--quick] [--peer 'NAME=COMMAND']... [--raw FILE] [--out FILE]

All programs take turns, in rounds; ratios are of the same round. nginx-rtmp is measured where it is
installed, others by --peer: a command that serves rtmp://127.0.0.1:{port}/live and, if it likes, has
a folder of its own, {folder}:

    --peer 'SRS=sh -c "sed s/1935/{port}/ srs.conf > {folder}/conf; exec srs -c {folder}/conf"'

A run of less than all only prints, unless --out is given. --raw keeps each result, and goes on from
what is there; --runs 0 only reports.
Ends with 1 when something was not intact or a program failed; not when a target is missed.
"""
import argparse
import json
import os
import re
import sys
import time
import types

import kit
import parked
import peers
import plot
import scenarios
import targets
import tunnel
from kit import CLIENT_CPU
from scenarios import BARE, MANNERS, PARKED, RING, SEAL

TITLE = "Live fan-out (`make bench`)"
QUICK = {"runs": 1, "seconds": 2, "parts": "fanout,via,many"}
BARE_OPTIONS = {BARE: (), RING: ("--uring",), SEAL: ("--seal",)}
LATE_FACTOR = 6  # a program that takes so many times longer has failed

ABOUT = {
    "fanout": "Fan-out of one stream. Bare: a program that only writes the same bytes, each window "
              "in one call (bench/bare.c).",
    "via": "The same over RTMPT (our own client), FLV over HTTP, and TLS. Bare, sealed: the bytes "
           "are made TLS records before\n(AES-128-GCM by OpenSSL, at most 16 KiB each): what that "
           "adds is the cipher's own cost.",
    "manners": "Players with FFmpeg's manners over RTMPT, and the same over RTMP.",
    "many": "Many streams. Peers know no window.",
    "joins": "While a stream flows, players come, wait for their first key frame, and leave. "
             "nginx-rtmp keeps no key frame: who joins\nwaits for the next.",
    "until": "Players are added until the p99 of 3 s is above 1 s, or messages are lost.",
    "threads": "One and two threads for the same load. The generator shares the two processors in "
               "both cases, so that throughput says\nnothing; what a thread needs for its half of "
               "the players does.",
    "memory": "Resident memory. Per player: 1 x 1500 less 1 x 500 of the same stream, so that its "
              "log does not count. Sockets are the kernel's.",
}


# ---- running ---------------------------------------------------------------------------------

class Machine:
    """How each program is run, by what a job says."""

    def __init__(self, args, commands):
        self.args, self.commands = args, commands
        self.program = os.path.join(args.build, "culvert")

    def run(self, job):
        if job.program in BARE_OPTIONS:
            return self._bare(job)
        if job.way in MANNERS:
            return self._manners(job)
        if job.shape == PARKED:
            return self._parked()
        return self._bench(job)

    def _bare(self, job):
        seconds, (_, players, *_) = self.args.seconds, scenarios.SHAPES[job.shape]
        return kit.run_json([os.path.join(self.args.build, "bench/bare"),
                             *BARE_OPTIONS[job.program], players, seconds, job.window_ms,
                             scenarios.BITRATE_KBPS], self._limit_s(job))

    def _bench(self, job):
        command = [self.program, "bench", "--json", "--seconds", self.args.seconds,
                   *scenarios.SHAPES[job.shape], *scenarios.WAYS.get(job.way, ()), *job.options]
        if job.window_ms is not None:
            command += ["--latency-ms", job.window_ms]
        if job.program not in self.commands:
            return kit.run_json(command, self._limit_s(job))
        with self.commands[job.program]() as peer:
            where = ["--url", f"rtmp://127.0.0.1:{peer.port}/live", "--server-pid", peer.pid]
            return kit.run_json(kit.pinned(CLIENT_CPU, [*command, *where]), self._limit_s(job))

    def _manners(self, job):
        scheme = ("rtmp", "rtmpt")[MANNERS.index(job.way)]
        return tunnel.measure_cpu(self.args, 200, (scheme,))[scheme]

    def _parked(self):
        of_parked = types.SimpleNamespace(build=self.args.build, seconds=2,
                                          sessions=scenarios.PARKED_SESSIONS)
        return parked.measure(of_parked, "rtmpt")

    def _limit_s(self, job):
        return LATE_FACTOR * scenarios.run_takes_s(job, self.args.seconds) + 60


class Rounds:
    """All results so far, and how long the rest will take."""

    def __init__(self, args, jobs):
        self.args, self.jobs = args, jobs
        self.results, self.failed = {}, []
        if args.raw and os.path.exists(args.raw):
            with open(args.raw, encoding="utf-8") as file:
                self.results = json.load(file)

    def plan(self):
        """(round, job), in order: those of which there are fewer results than wanted."""
        return [(number, job) for number in range(self.args.runs) for job in self.jobs
                if number < job.rounds_max and len(self.results.get(job.key, [])) <= number]

    def run(self, machine):
        plan = self.plan()
        left_s = sum(scenarios.run_takes_s(job, self.args.seconds) for _, job in plan)
        kit.say(f"{len(plan)} measurements, about {left_s / 60:.0f} min")
        for at, (number, job) in enumerate(plan):
            kit.say(f"[{time.strftime('%H:%M:%S')}, {at + 1} of {len(plan)}, about "
                    f"{left_s / 60:.0f} min left] round {number + 1}: {job.key}")
            left_s -= scenarios.run_takes_s(job, self.args.seconds)
            self._keep(job, self._one(machine, job))

    def _one(self, machine, job):
        try:
            return targets.with_softirq(machine.run(job))
        except kit.Failed as failed:
            kit.say(f"  FAILED: {failed}")
            self.failed.append(f"{job.key}: {failed}")
            return None

    def _keep(self, job, result):
        self.results.setdefault(job.key, []).append(result)
        if self.args.raw:
            with open(self.args.raw, "w", encoding="utf-8") as file:
                json.dump(self.results, file, indent=1)


# ---- results ---------------------------------------------------------------------------------

def report(args, runs, names, failed):
    parts = args.only.split(",")
    with kit.Culvert(args.build) as server:
        ring = targets.ring_word(server.log())
    found = targets.all_targets(runs, names, ring == "yes")
    texts = [kit.target_table(found)]
    for part in parts:
        text = targets.table(runs, part, list(scenarios.PARTS[part](names)))
        texts += [f"{ABOUT[part]}\n\n{text}"] if text else []
    texts += ["Failed: " + "; ".join(failed) + "."] if failed else []
    head = (f"{kit.machine()}. Server on the first processor, one thread; generator on the second. "
            f"Streams of 2.5 Mb/s, 73\nmessages a second, where nothing else is said; {args.seconds} "
            f"s each, medians of {args.runs} rounds (least to most). In a round\nall take turns, and "
            "ratios are of one round. Latency is from the publisher's send call to the player's "
            "check. Processor time\nis that of the process, and of the kernel's ksoftirqd beside it, "
            f"which takes over when much is sent at once. Culvert's io_uring: {ring}.\nA row: `culvert "
            "bench` with the row's publishers x players and `--latency-ms`; `bench/bare [--uring|--seal] "
            "PLAYERS\nSECONDS WINDOW 2500`. The plot of the costs: [RESULTS.svg](RESULTS.svg).")
    print("\n\n".join(texts), flush=True)
    print(targets.verdict(found))
    if args.out:
        kit.write_section(args.out, TITLE, "\n\n".join([head, *texts]))
        jobs = scenarios.jobs_of(parts, names)
        if not plot.draw(targets.points(runs, jobs), os.path.splitext(args.out)[0] + ".svg"):
            kit.say("no plot: install python3-matplotlib, and run this by Debian's own python3")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(kit.ROOT, "build"))
    parser.add_argument("--only", metavar="PART,...", help=", ".join(scenarios.PARTS))
    parser.add_argument("--rows", metavar="REGEX", default="", help="of them only such rows")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--quick", action="store_true", help="one short round of the chief parts")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--raw", metavar="FILE")
    parser.add_argument("--out", metavar="FILE")
    args = parser.parse_args()
    if not (args.out or args.only or args.rows or args.quick):
        args.out = kit.RESULTS
    args.runs = args.runs if args.runs is not None else QUICK["runs"] if args.quick else 5
    args.seconds = args.seconds or (QUICK["seconds"] if args.quick else 4)
    args.only = args.only or (QUICK["parts"] if args.quick else ",".join(scenarios.PARTS))
    unknown = set(args.only.split(",")) - set(scenarios.PARTS)
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such part")
    try:
        args.peer = dict(map(peers.parse, args.peer))
    except ValueError as wrong:
        parser.error(str(wrong))
    return args


def main():
    args = parse()
    commands = {name: lambda command=command: peers.Peer(command)
                for name, command in args.peer.items()}
    if peers.has_nginx():
        commands = {scenarios.NGINX: peers.nginx} | commands
    else:
        kit.say("nginx-rtmp is not installed (libnginx-mod-rtmp): left out")
    jobs = [job for job in scenarios.jobs_of(args.only.split(","), commands)
            if re.search(args.rows, job.key)]
    rounds = Rounds(args, jobs)
    rounds.run(Machine(args, commands))
    runs = targets.Runs(rounds.results)
    report(args, runs, list(commands), rounds.failed)
    for key in runs.broken():
        print(f"NOT INTACT: {key}")
    sys.exit(1 if runs.broken() or rounds.failed else 0)


if __name__ == "__main__":
    main()
