#!/usr/bin/env python3
"""Measures how soon a client is through other people's networks. Writes bench/RESULTS.md.

usage: bench/ways.py [--build DIR] [--runs N] [--networks "NAME;..."] [--out FILE]

The networks are those of the tests (test/net/firewalls.py), in namespaces; needs root, nftables, Squid and nginx with
its RTMP module.
"""
import argparse
import os
import pathlib
import statistics
import sys
import tempfile

import kit

sys.path.insert(0, os.path.join(kit.ROOT, "test/net"))
import crossing  # noqa: E402
import firewalls  # noqa: E402
import netns  # noqa: E402
import server  # noqa: E402

TITLE = "Through other people's networks (`make bench-ways`)"
LIMIT_S, CUT_S, FILE_FRAMES = 20, 3, 250
NEAR_MS, FAR_MS = 50, 150
SILENCE_MS = 300  # so much later, at most, a server of other people is tried in its own way
# Where the offer passes as it is: all must travel in one flight, on one connection.
ONE_FLIGHT = ("open", "1935 dropped", "80 and 443 only", "80 only, rest reset", "inspector resets",
              "inspector swallows", "inspector accepts and swallows", "cut")
FOREIGN = {"RTMP-only server": (netns.NAME_RTMP, netns.OTHER_RTMP),
           "RTMPT-only server": (netns.NAME_RTMPT, netns.SIDE_DOOR[0])}
TEXT = """Time from the start of the client's process to the first audio or video message that `culvert play` writes,
and that a player beside the server gets of `culvert publish`. Round trip R = {r} ms, to the gateway none. The floor is
what a client needs that knows what the network does, and sends all in one flight. Remembered: another `culvert play`
after one in the same network. Connections: SYNs of the client's side for one play. Medians of {runs}."""


class Bench:
    """The network, a server, and a stream to play."""

    def __init__(self, folder, runs):
        self.folder, self.runs, self.count = pathlib.Path(folder), runs, 0
        self.net = netns.Net(self.folder)
        self.parts = []
        self.parts.append(netns.Serving(self.net, self.folder / "server", {"apps": [server.app()]}))
        self.parts.append(firewalls.Squid(self.net))
        self.parts.append(crossing.RtmpOnly(self.net, self.folder / "nginx"))
        self.parts.append(crossing.RtmptOnly(self.net, self.folder / "rtmpt"))
        self.source = crossing.synth.write_file(self.folder / "source.flv", FILE_FRAMES)
        for door in (netns.SIDE_DOOR[0], netns.OTHER_RTMP):
            self.parts.append(crossing.Feeder(self.net, "playing", door))

    def close(self):
        for part in reversed(self.parts):
            part.stop()
        self.net.close()

    def _command(self, wall, args, state):
        self.count += 1
        memory = ["--no-memory"] if state is None else []
        env = wall.environment(**({} if state is None else {"XDG_STATE_HOME": str(state)}))
        return crossing.Command(self.net, self.folder / f"{self.count}.log", [*args, *memory], env)

    def play_s(self, wall, host, state=None):
        wall.forget()
        command = self._command(wall, ["play", f"rtmp://{host}/live/playing", "-o", "-"], state)
        try:
            server.wait_until(lambda: command.first_media_s() or command.process.poll() is not None, LIMIT_S, "media")
            return command.first_media_s()
        finally:
            if state is None:
                command.stop()
            else:  # it may remember at its end
                command.process.terminate()
                command.process.wait(LIMIT_S)
                command.stop()

    def publish_s(self, wall, host, door):
        stream = f"published{self.count}"
        watcher = crossing.Watcher(self.net, stream, door)
        command = self._command(wall, ["publish", self.source, f"rtmp://{host}/live/{stream}"], None)
        try:
            watcher.next(LIMIT_S)
            return watcher.first_media_s(command)
        finally:
            command.stop()
            watcher.close()

    def measure(self, name):
        """Medians in ms: play, publish, remembered play; connections of the slowest play."""
        foreign = FOREIGN.get(name)
        network = "open" if foreign else name
        with firewalls.Firewall(self.net, network) as wall:
            host, door = foreign or (wall.kind.host, netns.SIDE_DOOR[0])
            plays, connections = [], []
            for _ in range(self.runs):
                plays.append(self.play_s(wall, host))
                connections.append(self.net.counted().connections)
            publishes = [self.publish_s(wall, host, door) for _ in range(self.runs)]
            state = self.folder / f"state{self.count}"
            self.play_s(wall, host, state)
            again = [self.play_s(wall, host, state) for _ in range(self.runs)]
        return [median_ms(plays), median_ms(publishes), median_ms(again), max(connections)]


    def gaps_ms(self):
        """Longest times without a message while each connection is cut after some seconds: of a viewer beside the
        server, and of `culvert play`."""
        with firewalls.Firewall(self.net, "cut", rules=firewalls.cut_after(CUT_S)) as wall:
            watcher = crossing.Watcher(self.net, "cut")
            publisher = self._command(wall, ["publish", self.source, f"rtmp://{netns.NAME}/live/cut"], None)
            player = self._command(wall, ["play", f"rtmp://{netns.NAME}/live/playing", "-o", "-"], None)
            try:
                watcher.until(FILE_FRAMES - 1, LIMIT_S)
                return watcher.longest_gap_s() * 1000, player.longest_gap_s() * 1000
            finally:
                publisher.stop()
                player.stop()
                watcher.close()


def median_ms(times):
    return statistics.median(LIMIT_S * 1000 if one is None else one * 1000 for one in times)


def limits_ms(name):
    """For the first time in a network, and for each time after that."""
    floor = firewalls.floor_ms(name)
    if name in FOREIGN:
        return floor + netns.R_MS + FAR_MS + SILENCE_MS, floor + netns.R_MS + FAR_MS
    first = floor + (NEAR_MS if name in ONE_FLIGHT else netns.R_MS + FAR_MS)
    return first, first


def measured_row(bench, name):
    try:
        return bench.measure(name)
    except Exception as err:  # pylint: disable=broad-except  (one network fails, the others are measured)
        kit.say(f"  {name}: {str(err)[:500]}")
        return [LIMIT_S * 1000.0] * 3 + [0]


def measure_all(bench, names):
    rows, targets = [], []
    for name in names:
        kit.say(name)
        play, publish, again, connections = measured_row(bench, name)
        first, later = limits_ms(name)
        rows.append([name, firewalls.floor_ms(name), play, publish, again, connections])
        targets += [kit.Target(f"{name}: play", play, first, unit="ms"),
                    kit.Target(f"{name}: publish", publish, first, unit="ms"),
                    kit.Target(f"{name}, remembered: play", again, later, unit="ms")]
        if name in ONE_FLIGHT:
            targets.append(kit.Target(f"{name}: connections", connections, 1))
    titles = ["network", "floor ms", "play ms", "publish ms", "remembered play ms", "connections"]
    return kit.table(titles, rows), targets


def told_gaps(bench):
    kit.say("gaps")
    try:
        publish_ms, play_ms = bench.gaps_ms()
    except Exception as err:  # pylint: disable=broad-except
        return f"Each connection cut after {CUT_S} s: {str(err)[:200]}"
    return (f"Each connection cut after {CUT_S} s, frames every 40 ms: the longest time without media is {publish_ms:.0f} ms "
            f"behind `culvert publish`, {play_ms:.0f} ms behind `culvert play`.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(kit.ROOT, "build"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--networks", default="")
    parser.add_argument("--out", default=kit.RESULTS)
    args = parser.parse_args()
    os.environ["CULVERT_BIN"] = os.path.abspath(os.path.join(args.build, "culvert"))
    names = args.networks.split(";") if args.networks else [*firewalls.PASSING, *FOREIGN]
    with tempfile.TemporaryDirectory() as folder:
        try:
            bench = Bench(folder, args.runs)
        except netns.Unavailable as err:
            sys.exit(f"bench/ways.py: {err}")
        try:
            text, targets = measure_all(bench, names)
            text += "\n\n" + told_gaps(bench)
        finally:
            bench.close()
    print(text)
    body = [f"{kit.machine()}.", kit.target_table(targets), TEXT.format(r=netns.R_MS, runs=args.runs), text]
    kit.write_section(args.out, TITLE, "\n\n".join(body))
    print(kit.target_table(targets))
    sys.exit(0 if all(target.holds() for target in targets) else 1)


if __name__ == "__main__":
    main()
