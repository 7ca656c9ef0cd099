#!/usr/bin/env python3
"""Measures RTMPT against RTMP: same server, same stream, side by side. Writes bench/RESULTS.md.

usage: bench/tunnel.py [--build DIR] [--seconds N] [--runs N] [--parts play,cpu,publish] [--out FILE]

Needs root, for the networks with a round trip time (bench/rtt.py). The clients are FFmpeg, rtmpdump
and, in C, players with FFmpeg's manners (bench/player.h).
"""
import json
import os
import statistics
import subprocess
import tempfile
import time

import clockflv
import kit
import rtt

TITLE = "RTMPT beside RTMP (`make bench-tunnel`)"
PLAY_RTTS_MS = (0, 50, 120)
PUBLISH_RTTS_MS = (0, 50, 120, 200)
CPU_SESSIONS = (50, 200)
SETTLE_S = 30  # a real player has caught up with the stream within this time
NEAR_REAL_TIME = 0.98  # a factor that rounds to 1.0: the last batch is on its way
STALL_MS = 1000

LATENCY_MAX_MS, REQUESTS_MAX, CPU_RATIO_MAX = 2, 60, 1.3


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else None


# ---- playing ---------------------------------------------------------------------------------

def start_player(net, readers, command):
    child = net.popen("near", command, cpu=kit.CLIENT_CPU, stdout=subprocess.PIPE,
                      stderr=subprocess.DEVNULL)
    fd = os.dup(child.stdout.fileno())
    child.stdout.close()
    return readers.add(fd)


def ffmpeg_player(url):
    """What FFmpeg's RTMP layer gives out, an FLV stream, as it comes: its own demuxer wants to
    decode pictures before it begins, and these are made up."""
    return ["ffmpeg", "-v", "quiet", "-nostdin", "-fflags", "nobuffer", "-f", "data", "-i", url,
            "-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "data", "pipe:1"]


def rtmpdump_player(url):
    return ["stdbuf", "-o0", "rtmpdump", "-q", "--live", "-r", url, "-o", "-"]


PLAYERS = (("FFmpeg", ffmpeg_player), ("rtmpdump", rtmpdump_player))
SCHEMES = ("rtmp", "rtmpt")


def start_publisher(build, net, port, seconds):
    """`culvert bench` beside the server: its stream, and a player of its own that is no matter."""
    bench = net.popen("far", [os.path.join(build, "culvert"), "bench", "--json", "--players", "1",
                              "--seconds", seconds, "--url", f"rtmp://127.0.0.1:{port}/live"],
                      cpu=kit.CLIENT_CPU, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return f"live/bench{bench.pid}_0"


def measure_flow(flow, ages_us, media_bytes, seconds):
    ages_ms = [age / 1000 for age in ages_us]
    return {"p50_ms": percentile(ages_ms, 50), "p99_ms": percentile(ages_ms, 99),
            "wire_per_media": (flow.up + flow.down) / max(media_bytes, 1),
            "packets_per_s": (flow.up_packets + flow.down_packets) / seconds,
            "requests_per_s": flow.requests / seconds}


def measure_real_players(net, server, path, seconds, readers):
    """Result by (client, scheme). All play at the same time, each from an address of its own."""
    tap = net.tap(server.port)
    players = {}
    for name, command in PLAYERS:
        for scheme in SCHEMES:
            address = net.address(len(players) + 2)  # the first is for what runs beside the server
            url = f"{scheme}://{address}:{server.port}/{path}"
            players[name, scheme] = (address, start_player(net, readers, command(url)))
    kit.wait_until(lambda: all(reader.has_settled() for _, reader in players.values()),
                   "players that have caught up", SETTLE_S)
    time.sleep(1)
    readers.reset()
    tap.lost()
    before = {key: tap.flow(address) for key, (address, _) in players.items()}
    time.sleep(seconds)
    out = {}
    for key, (address, reader) in players.items():
        out[key] = measure_flow(tap.flow(address).minus(before[key]), *readers.taken(reader),
                                seconds)
    if tap.lost():
        kit.say("  some packets were not counted")
    return out


def start_shaped(net, build, server, path, seconds, scheme):
    return net.popen("near", [os.path.join(build, "bench/tunnel_play"), "--seconds", seconds,
                              f"{scheme}://{net.address(16)}:{server.port}/{path}"],
                     cpu=kit.CLIENT_CPU, stdout=subprocess.PIPE)


def measure_shaped_players(net, build, server, path, seconds):
    """The same of the players in C, which measure themselves."""
    children = {scheme: start_shaped(net, build, server, path, seconds, scheme)
                for scheme in SCHEMES}
    out = {}
    for scheme, child in children.items():
        result = json.loads(child.communicate()[0])
        if not result["intact"]:
            kit.say(f"  {scheme}: damage: {result}")
        out["FFmpeg's manners", scheme] = {
            "p50_ms": result["latency_p50_ms"], "p99_ms": result["latency_p99_ms"],
            "wire_per_media": (result["bytes_in"] + result["bytes_out"])
            / max(result["media_bytes"], 1),
            "requests_per_s": result["requests_per_s"]}
    return out


def measure_play(args, rtt_ms):
    with rtt.Network(os.path.join(args.build, "bench/delay"), rtt_ms) as net, \
            kit.Culvert(args.build, network=net) as server:
        path = start_publisher(args.build, net, server.port, 2 * args.seconds + 2 * SETTLE_S)
        time.sleep(1)
        out = measure_shaped_players(net, args.build, server, path, args.seconds)
        readers = clockflv.Readers()
        try:
            out.update(measure_real_players(net, server, path, args.seconds, readers))
        finally:
            readers.close()
        out["ping"] = {"p50_ms": net.ping(10)[0]}
    return out


def merge(runs):
    """Medians over runs of {key: {name: number}}."""
    return {key: {name: statistics.median(run[key][name] or 0 for run in runs)
                  for name in runs[0][key]} for key in runs[0]}


def part_play(args):
    rows, targets = [], []
    for rtt_ms in PLAY_RTTS_MS:
        runs = []
        for number in range(args.runs):
            kit.say(f"play, RTT {rtt_ms} ms, run {number + 1}")
            runs.append(measure_play(args, rtt_ms))
        result = merge(runs)
        for name in [name for name, _ in PLAYERS] + ["FFmpeg's manners"]:
            plain, tunnel = result[name, "rtmp"], result[name, "rtmpt"]
            added = tunnel["p50_ms"] - plain["p50_ms"]
            rows.append([name, rtt_ms, result["ping"]["p50_ms"], plain["wire_per_media"],
                         tunnel["wire_per_media"], tunnel["requests_per_s"], plain["p50_ms"],
                         plain["p99_ms"], tunnel["p50_ms"], tunnel["p99_ms"], added])
            if name == "FFmpeg" and rtt_ms in (0, 50):
                targets.append(kit.Target(f"FFmpeg plays at RTT {rtt_ms} ms: median latency added",
                                          added, LATENCY_MAX_MS, unit="ms"))
            if name == "rtmpdump" and rtt_ms == 0:
                targets.append(kit.Target("rtmpdump plays at RTT 0: requests",
                                          tunnel["requests_per_s"], REQUESTS_MAX, unit="/s"))
    titles = ["player", "RTT ms", "ping ms", "RTMP wire/media", "RTMPT wire/media", "requests/s",
              "RTMP p50 ms", "p99 ms", "RTMPT p50 ms", "p99 ms", "added p50 ms"]
    return kit.table(titles, rows), targets


# ---- the server's processor ------------------------------------------------------------------

CPU_CONFIG = "limits:\n  connections_max: 100000\n  connections_per_address_max: 100000\n"


def measure_cpu(args, sessions, schemes):
    """Result by scheme, one after the other with the same server."""
    out = {}
    with kit.Culvert(args.build, CPU_CONFIG) as server:
        bench = subprocess.Popen(
            kit.pinned(kit.CLIENT_CPU, [os.path.join(args.build, "culvert"), "bench", "--json",
                                        "--players", 1, "--seconds", 4 * args.seconds + 60, "--url",
                                        f"rtmp://127.0.0.1:{server.port}/live"]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            for scheme in schemes:
                out[scheme] = kit.run_json(kit.pinned(kit.CLIENT_CPU, [
                    os.path.join(args.build, "bench/tunnel_play"), "--sessions", sessions,
                    "--seconds", args.seconds, "--server-pid", server.pid,
                    f"{scheme}://127.0.0.1:{server.port}/live/bench{bench.pid}_0"]))
        finally:
            kit.end(bench)
    return out


def part_cpu(args):
    rows, targets = [], []
    for sessions in CPU_SESSIONS:
        runs = {scheme: [] for scheme in SCHEMES}
        for number in range(args.runs):
            kit.say(f"processor, {sessions} players, run {number + 1}")
            for scheme, result in measure_cpu(
                    args, sessions, SCHEMES[::-1 if number % 2 else 1]).items():
                runs[scheme].append(result)
        ratio = statistics.median(
            tunnel["server_cpu_s_per_gb"] / max(plain["server_cpu_s_per_gb"], 1e-9)
            for plain, tunnel in zip(runs["rtmp"], runs["rtmpt"]))
        for scheme in SCHEMES:
            middle = kit.median_of(runs[scheme])
            rows.append([f"{sessions} x {scheme}", middle["server_cpu_percent"],
                         middle["server_user_share_percent"], middle["server_cpu_s_per_gb"],
                         middle["requests_per_s"],
                         (middle["bytes_in"] + middle["bytes_out"]) / max(middle["media_bytes"], 1),
                         middle["latency_p50_ms"], middle["latency_p99_ms"],
                         "yes" if middle["intact"] else "NO"])
        targets.append(kit.Target(f"{sessions} FFmpeg-like players: server's processor per GB, "
                                  "times RTMP's", ratio, CPU_RATIO_MAX))
    titles = ["players", "server CPU %", "user %", "CPU s/GB", "requests/s each", "wire/media",
              "p50 ms", "p99 ms", "intact"]
    return kit.table(titles, rows), targets


# ---- publishing ------------------------------------------------------------------------------

PUBLISH_CONFIG = """
apps:
  - name: live
    publish: open
    play: open
    play_wait_s: 60
"""


def ffmpeg_publisher(url, source, *flush):
    return ["ffmpeg", "-v", "quiet", "-nostdin", "-re", "-i", source, "-map", "0", "-c", "copy",
            *flush, "-f", "flv", url]


# name, scheme, command of (url, source, build)
PUBLISHERS = (
    ("FFmpeg over RTMP", "rtmp", lambda url, source, _: ffmpeg_publisher(url, source)),
    ("FFmpeg, flush 10 (its default)", "rtmpt",
     lambda url, source, _: ffmpeg_publisher(url, source, "-rtmp_flush_interval", "10")),
    ("FFmpeg, flush 50", "rtmpt",
     lambda url, source, _: ffmpeg_publisher(url, source, "-rtmp_flush_interval", "50")),
    ("OBS-like librtmp", "rtmpt",
     lambda url, source, build: [os.path.join(build, "bench/publish_as_obs"), url, source]),
)


def measure_publish(args, rtt_ms, source):
    """Result by publisher's name; all publish at the same time, each its own stream."""
    out = {}
    with rtt.Network(os.path.join(args.build, "bench/delay"), rtt_ms) as net, \
            kit.Culvert(args.build, PUBLISH_CONFIG, net) as server:
        tap = net.tap(server.port)
        players = []
        for number, (name, _, _) in enumerate(PUBLISHERS):
            players.append(net.popen("far", [
                os.path.join(args.build, "bench/tunnel_play"), "--unstamped", "--warm-ms", "2000",
                "--seconds", args.seconds, f"rtmp://127.0.0.1:{server.port}/live/p{number}"],
                cpu=kit.CLIENT_CPU, stdout=subprocess.PIPE))
        time.sleep(0.5)
        begin_s = time.monotonic()
        for number, (name, scheme, command) in enumerate(PUBLISHERS):
            url = f"{scheme}://{net.address(number + 1)}:{server.port}/live/p{number}"
            net.popen("near", command(url, source, args.build), cpu=kit.CLIENT_CPU,
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for number, (name, _, _) in enumerate(PUBLISHERS):
            out[name] = json.loads(players[number].communicate()[0])
            out[name]["requests_per_s"] = (tap.flow(net.address(number + 1)).requests
                                           / (time.monotonic() - begin_s))
    return out


def part_publish(args):
    rows, targets = [], []
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "source.flv")
        clockflv.write_file(source, args.seconds + 10)
        for rtt_ms in PUBLISH_RTTS_MS:
            runs = []
            for number in range(args.runs):
                kit.say(f"publish, RTT {rtt_ms} ms, run {number + 1}")
                runs.append(measure_publish(args, rtt_ms, source))
            for name, _, _ in PUBLISHERS:
                middle = kit.median_of([run[name] for run in runs])
                rows.append([name, rtt_ms, middle["real_time_factor"], middle["longest_gap_ms"],
                             middle["requests_per_s"]])
                if name.startswith("OBS") and rtt_ms == 200:
                    targets += [
                        kit.Target("OBS-like librtmp publishes at RTT 200 ms: real-time factor",
                                   middle["real_time_factor"], NEAR_REAL_TIME, at_most=False),
                        kit.Target("the same: longest time without a message",
                                   middle["longest_gap_ms"], STALL_MS, unit="ms")]
    titles = ["publisher", "RTT ms", "real-time factor", "longest gap ms", "requests/s"]
    return kit.table(titles, rows), targets


# ---- all of it -------------------------------------------------------------------------------

PARTS = {
    "play": (part_play, """Playing: real players and, in C, one with FFmpeg's manners. Latency is from
the publisher's send call to the player's output; wire is TCP payload in both directions; the ping
is the link's own. The project's own client: see "The client"."""),
    "cpu": (part_cpu, """The server's processor, RTT 0, players with FFmpeg's manners, all of one
process; a GB is of media. RTMP and RTMPT one after the other with the same server, in turns who is
first; the ratio is of each pair."""),
    "publish": (part_publish, """Publishing in real time; a player beside the server says what has arrived.
The real-time factor is how fast the time stamps go on, by wall time, from two seconds behind the
first message on; 1 is real time."""),
}


if __name__ == "__main__":
    kit.main(TITLE, PARTS)
