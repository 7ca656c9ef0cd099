#!/usr/bin/env python3
"""Measures the project's own client: what the relay and RTMPT add, and cost. Writes bench/RESULTS.md.

usage: bench/client.py [--build DIR] [--seconds N] [--runs N] [--parts relay,publish,play,cpu] [--out FILE]

Streams come from bench/live_flv by a pipe, as from an encoder, and are judged by bench/tunnel_play,
which knows the stamp of each message. What is compared runs at the same time. Needs root, for the
networks with a round trip time (bench/rtt.py).
"""
import json
import os
import statistics
import subprocess
import sys
import time

import clockflv
import kit
import rtt
from tunnel import NEAR_REAL_TIME, PUBLISH_CONFIG, SETTLE_S, measure_flow

TITLE = "The client (`make bench-client`)"
RTTS_MS = (0, 50, 120, 200)
TARGET_RTTS_MS = (120, 200)
SCHEMES = ("rtmp", "rtmpt")
WARM_S = 4
CPU_PLAYERS, CPU_PUBLISHERS = 50, 10
RELAY_ADDED_MAX_MS, ADDED_MAX_MS, CPU_RATIO_MAX = 5, 40, 1.3
CPU_CONFIG = PUBLISH_CONFIG + """
limits:
  connections_max: 100000
  connections_per_address_max: 100000
"""


def program(args, name):
    return os.path.join(args.build, name)


class Here:
    """The machine itself where no network is between; as bench/rtt.py's Network otherwise."""

    def __init__(self):
        self.children = []

    def popen(self, _, command, cpu=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        child = subprocess.Popen(kit.pinned(cpu, command), **options)
        self.children.append(child)
        return child

    def __enter__(self):
        return self

    def __exit__(self, *what):
        for child in self.children:
            child.kill()
            child.wait()


# ---- the parts of a measurement ---------------------------------------------------------------

def start_publisher(args, net, url, via, seconds):
    """`culvert publish` with an encoder in front of it. Returns both processes."""
    encoder = net.popen("near", [program(args, "bench/live_flv"), seconds], cpu=kit.CLIENT_CPU,
                        stdout=subprocess.PIPE)
    command = [program(args, "culvert"), "publish", "-", url, "--via", via, "--no-memory", "--quiet"]
    if isinstance(net, rtt.Network):
        command = ["nsenter", f"--net={net.ends['near']}", "--", *command]
    publisher = subprocess.Popen(kit.pinned(kit.CLIENT_CPU, command), stdin=encoder.stdout,
                                 stdout=subprocess.DEVNULL)
    encoder.stdout.close()
    net.children.append(publisher)
    return encoder, publisher


def start_judge(args, net, end, url):
    """A plain RTMP player, which may come before its publisher."""
    return net.popen(end, [program(args, "bench/tunnel_play"), "--warm-ms", WARM_S * 1000,
                           "--seconds", args.seconds, url], cpu=kit.CLIENT_CPU,
                     stdout=subprocess.PIPE)


def verdict(name, judge):
    result = json.loads(judge.communicate()[0])
    if not result["intact"]:
        kit.say(f"  {name}: not intact: {result}")
    return result


def merge(runs):
    """Medians by name of what several runs have measured."""
    return {name: kit.median_of([run[name] for run in runs]) for name in runs[0]}


def median_added(runs, name, base):
    """Of the differences between two that ran at the same time."""
    return statistics.median(run[name]["latency_p50_ms"] - run[base]["latency_p50_ms"]
                             for run in runs)


def yes(value):
    return "yes" if value else "NO"


# ---- the relay --------------------------------------------------------------------------------

# name, stream, whether it is played through the relay
RELAY_WAYS = (("publisher, server, player", "direct", False),
              ("publisher, relay, server, player", "relayed", False),
              ("publisher, server, relay, player", "direct", True),
              ("publisher, relay, server, relay, player", "relayed", True))


def measure_relay(args):
    out = {}
    with Here() as here, kit.Culvert(args.build, PUBLISH_CONFIG) as server:
        port = kit.free_port()
        here.popen("near", [program(args, "culvert"), "relay", f"rtmp://127.0.0.1:{server.port}/live",
                            "--listen", f"127.0.0.1:{port}", "--no-memory", "--quiet"],
                   cpu=kit.CLIENT_CPU)
        base = {False: f"rtmp://127.0.0.1:{server.port}/live/", True: f"rtmp://127.0.0.1:{port}/live/"}
        time.sleep(0.5)
        lasts_s = args.seconds + WARM_S + SETTLE_S
        for stream in ("direct", "relayed"):
            start_publisher(args, here, base[stream == "relayed"] + stream, "rtmp", lasts_s)
        judges = {name: start_judge(args, here, "far", base[relayed] + stream)
                  for name, stream, relayed in RELAY_WAYS}
        for name, judge in judges.items():
            out[name] = verdict(name, judge)
    return out


def part_relay(args):
    runs = []
    for number in range(args.runs):
        kit.say(f"relay, run {number + 1}")
        runs.append(measure_relay(args))
    rows, targets = [], []
    direct = RELAY_WAYS[0][0]
    for name, result in merge(runs).items():
        added = median_added(runs, name, direct)
        rows.append([name, result["latency_p50_ms"], result["latency_p99_ms"],
                     None if name == direct else added, yes(result["intact"])])
    for verb, way in (("publishing", RELAY_WAYS[1][0]), ("playing", RELAY_WAYS[2][0])):
        targets.append(kit.Target(f"relay, {verb} through it at RTT 0: median latency added",
                                  median_added(runs, way, direct), RELAY_ADDED_MAX_MS, unit="ms"))
    return kit.table(["way", "p50 ms", "p99 ms", "added p50 ms", "intact"], rows), targets


# ---- packets ----------------------------------------------------------------------------------

def address(net, scheme):
    """Of the server for the client of this scheme, so that its packets can be counted."""
    return net.address(SCHEMES.index(scheme) + 1)


def measure_flows(args, net, tap):
    """What goes over the wire in the time to be measured, by scheme."""
    before = {scheme: tap.flow(address(net, scheme)) for scheme in SCHEMES}
    time.sleep(args.seconds)
    return {scheme: tap.flow(address(net, scheme)).minus(before[scheme]) for scheme in SCHEMES}


# ---- publishing -------------------------------------------------------------------------------

def measure_publish(args, rtt_ms):
    """Result by scheme."""
    out = {}
    with rtt.Network(program(args, "bench/delay"), rtt_ms) as net, \
            kit.Culvert(args.build, PUBLISH_CONFIG, net) as server:
        tap = net.tap(server.port)
        judges = {scheme: start_judge(args, net, "far", f"rtmp://127.0.0.9:{server.port}/live/{scheme}")
                  for scheme in SCHEMES}
        for scheme in SCHEMES:
            url = f"rtmp://{address(net, scheme)}:{server.port}/live/{scheme}"
            start_publisher(args, net, url, scheme, args.seconds + WARM_S + SETTLE_S)
        time.sleep(WARM_S)
        flows = measure_flows(args, net, tap)
        for scheme, flow in flows.items():
            out[scheme] = verdict(f"publish, {scheme}", judges[scheme])
            media = max(out[scheme]["media_bytes"], 1)
            out[scheme].update(requests_per_s=flow.requests / args.seconds,
                               wire_per_media=(flow.up + flow.down) / media)
    return out


def part_publish(args):
    rows, targets = [], []
    for rtt_ms in RTTS_MS:
        runs = []
        for number in range(args.runs):
            kit.say(f"publish, RTT {rtt_ms} ms, run {number + 1}")
            runs.append(measure_publish(args, rtt_ms))
        added = median_added(runs, "rtmpt", "rtmp")
        result = merge(runs)
        for scheme in SCHEMES:
            one = result[scheme]
            rows.append([scheme, rtt_ms, one["real_time_factor"], one["longest_gap_ms"],
                         one["requests_per_s"], one["wire_per_media"], one["latency_p50_ms"],
                         one["latency_p99_ms"], added if scheme == "rtmpt" else None,
                         yes(one["intact"])])
        if rtt_ms in TARGET_RTTS_MS:
            what = f"culvert publish --via rtmpt at RTT {rtt_ms} ms"
            targets += [kit.Target(f"{what}: real-time factor", result["rtmpt"]["real_time_factor"],
                                   NEAR_REAL_TIME, at_most=False),
                        kit.Target(f"{what}: median latency over --via rtmp", added, ADDED_MAX_MS,
                                   unit="ms")]
    titles = ["via", "RTT ms", "real-time factor", "longest gap ms", "requests/s", "wire/media",
              "p50 ms", "p99 ms", "added p50 ms", "intact"]
    return kit.table(titles, rows), targets


# ---- playing ----------------------------------------------------------------------------------

def start_player(args, net, url, via, **options):
    return net.popen("near", [program(args, "culvert"), "play", url, "--via", via, "--no-memory",
                              "--quiet"], cpu=kit.CLIENT_CPU, **options)


def measure_play(args, rtt_ms):
    """Result by scheme."""
    out, readers = {}, clockflv.Readers()
    try:
        with rtt.Network(program(args, "bench/delay"), rtt_ms) as net, \
                kit.Culvert(args.build, PUBLISH_CONFIG, net) as server:
            tap = net.tap(server.port)
            net.popen("far", [program(args, "culvert"), "bench", "--json", "--players", "1",
                              "--seconds", 2 * SETTLE_S + args.seconds, "--url",
                              f"rtmp://127.0.0.9:{server.port}/live"],
                      cpu=kit.CLIENT_CPU, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            name = f"live/bench{net.children[-1].pid}_0"
            players = {}
            for scheme in SCHEMES:
                url = f"rtmp://{address(net, scheme)}:{server.port}/{name}"
                child = start_player(args, net, url, scheme, stdout=subprocess.PIPE)
                players[scheme] = readers.add(os.dup(child.stdout.fileno()))
                child.stdout.close()
            kit.wait_until(lambda: all(player.has_settled() for player in players.values()),
                           "players that have caught up", SETTLE_S)
            time.sleep(WARM_S)
            readers.reset()
            for scheme, flow in measure_flows(args, net, tap).items():
                out[scheme] = measure_flow(flow, *readers.taken(players[scheme]), args.seconds)
                out[scheme]["latency_p50_ms"] = out[scheme]["p50_ms"]
    finally:
        readers.close()
    return out


def part_play(args):
    rows = []
    for rtt_ms in RTTS_MS:
        runs = []
        for number in range(args.runs):
            kit.say(f"play, RTT {rtt_ms} ms, run {number + 1}")
            runs.append(measure_play(args, rtt_ms))
        for scheme, one in merge(runs).items():
            added = median_added(runs, scheme, "rtmp") if scheme == "rtmpt" else None
            rows.append([scheme, rtt_ms, one["requests_per_s"], one["wire_per_media"],
                         one["p50_ms"], one["p99_ms"], added])
    titles = ["via", "RTT ms", "requests/s", "wire/media", "p50 ms", "p99 ms", "added p50 ms"]
    return kit.table(titles, rows), []


# ---- the processor ----------------------------------------------------------------------------

def measure_costs(args, server, clients, judge):
    """Seconds of the processor per GB of media, of the server and of the clients."""
    time.sleep(WARM_S)
    everyone = [server.pid, *(client.pid for client in clients)]
    before = [kit.run_s(pid) for pid in everyone]
    begin_s = time.monotonic()
    time.sleep(args.seconds)
    used = [kit.run_s(pid) - first for pid, first in zip(everyone, before)]
    lasted_s = time.monotonic() - begin_s
    if any(client.poll() is not None for client in clients):
        sys.exit("a client has ended before its time")
    result = verdict("the stream beside it", judge)
    gigabytes = result["media_bytes"] / args.seconds * lasted_s * len(clients) * 1e-9
    return {"server_percent": 100 * used[0] / lasted_s, "server_s_per_gb": used[0] / gigabytes,
            "client_percent": 100 * sum(used[1:]) / lasted_s / len(clients),
            "client_s_per_gb": sum(used[1:]) / gigabytes, "intact": result["intact"]}


def measure_players(args, via):
    with Here() as here, kit.Culvert(args.build, CPU_CONFIG) as server:
        url = f"rtmp://127.0.0.1:{server.port}/live/cpu"
        start_publisher(args, here, url, "rtmp", args.seconds + WARM_S + SETTLE_S)
        clients = [start_player(args, here, f"{url}", via, stdout=subprocess.DEVNULL)
                   for _ in range(CPU_PLAYERS)]
        return measure_costs(args, server, clients, start_judge(args, here, "far", url))


def measure_publishers(args, via):
    with Here() as here, kit.Culvert(args.build, CPU_CONFIG) as server:
        url = f"rtmp://127.0.0.1:{server.port}/live/cpu"
        clients = [start_publisher(args, here, f"{url}{number}", via,
                                   args.seconds + WARM_S + SETTLE_S)[1]
                   for number in range(CPU_PUBLISHERS)]
        return measure_costs(args, server, clients, start_judge(args, here, "far", f"{url}0"))


def part_cpu(args):
    rows, targets = [], []
    for count, verb, measure in ((CPU_PLAYERS, "play", measure_players),
                                 (CPU_PUBLISHERS, "publish", measure_publishers)):
        runs = []
        for number in range(args.runs):
            kit.say(f"processor, {count} x {verb}, run {number + 1}")
            order = SCHEMES[::-1 if number % 2 else 1]
            runs.append({scheme: measure(args, scheme) for scheme in order})
        result = merge(runs)
        for scheme in SCHEMES:
            one = result[scheme]
            rows.append([f"{count} x {verb} --via {scheme}", one["server_percent"],
                         one["server_s_per_gb"], one["client_percent"], one["client_s_per_gb"],
                         yes(one["intact"])])
        ratios = {key: statistics.median(run["rtmpt"][key] / max(run["rtmp"][key], 1e-9)
                                         for run in runs)
                  for key in ("server_s_per_gb", "client_s_per_gb")}
        rows.append(["RTMPT, times RTMP", None, ratios["server_s_per_gb"], None,
                     ratios["client_s_per_gb"], None])
        if verb == "play":
            targets.append(kit.Target(f"{count} x culvert play --via rtmpt: server's processor per "
                                      "GB, times RTMP's", ratios["server_s_per_gb"], CPU_RATIO_MAX))
    titles = ["clients", "server CPU %", "server s/GB", "CPU % of a client", "client s/GB", "intact"]
    return kit.table(titles, rows), targets


# ---- all of it --------------------------------------------------------------------------------

PARTS = {
    "relay": (part_relay, """`culvert relay` at RTT 0, with `culvert publish` before it. Latency is
from when a message was due at the encoder to the player's check. All ways at the same time."""),
    "publish": (part_publish, """`culvert publish`, RTMP and RTMPT at the same time; the judge plays
beside the server. The real-time factor is as for the tunnel's publishers."""),
    "play": (part_play, """`culvert play`, RTMP and RTMPT at the same time; latency is from the
publisher's send call, beside the server, to the player's output."""),
    "cpu": (part_cpu, """The processor, RTT 0: one thread of the server, and `culvert play` or
`culvert publish` in processes of their own. RTMP and RTMPT one after the other, in turns who is
first; a GB is of media, ratios are of each pair."""),
}


if __name__ == "__main__":
    kit.main(TITLE, PARTS)
