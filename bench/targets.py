"""From what `make bench` has measured to tables and targets. Pure: no processes, no files."""
import re
import statistics

import kit
from kit import Target
from scenarios import (BARE, CULVERT, MANNERS, NGINX, ONE_THREAD, PARKED, RING, SEAL, TWO_THREADS,
                       Job)

COST = "server_cpu_s_per_gb"
SRS_QUOTED = 2.8  # SRS 5, merged write 100 ms, times the bare limit's: 1.15 and 0.41 CPU s per GB


def ring_word(log):
    """What the server says at its start about io_uring: yes, off, or why not."""
    said = re.search(r' io_uring=("[^"]*"|\S+)', log)
    return said.group(1).strip('"') if said else "not built in"


def with_softirq(result):
    """The kernel's own thread takes over when one call sends to very many: that is work, too."""
    own, its = result.get("server_cpu_percent"), result.get("server_softirq_percent")
    if not own or not its:
        return result
    return result | {COST: result[COST] * (own + its) / own, "server_cpu_percent": own + its}


class Runs:
    """Results by the job's key, one for each round; None where a round has none."""

    def __init__(self, results):
        self.results = results

    def values(self, key, metric):
        """By round; None where it is missing."""
        return [run.get(metric) if run else None for run in self.results.get(key, [])]

    def known(self, key, metric):
        return [value for value in self.values(key, metric) if value is not None]

    def median(self, key, metric):
        known = self.known(key, metric)
        return statistics.median(known) if known else None

    def span(self, key, metric):
        known = self.known(key, metric)
        return (min(known), max(known)) if known else None

    def by_round(self, combine, *wanted):
        """combine() of (key, metric) pairs of the same round, for each round that has them all."""
        columns = [self.values(key, metric) for key, metric in wanted]
        return [combine(*row) for row in zip(*columns) if None not in row]

    def ratios(self, key, other, metric=COST):
        return self.by_round(lambda a, b: a / b if b else 0, (key, metric), (other, metric))

    def broken(self):
        """Keys of which a run was not intact."""
        return [key for key, runs in self.results.items()
                if any(run and not run.get("intact", True) for run in runs)]


def key_of(program, shape, way="RTMP", window_ms=None):
    return Job("", program, shape, way, window_ms).key


def plain(window_ms, program=CULVERT, shape="1 x 500", way="RTMP"):
    return key_of(program, shape, way, window_ms)


# ---- targets ---------------------------------------------------------------------------------

def target(what, values, limit, at_most=True, unit="", why="not in this run"):
    if not values:
        return Target(what, None, limit, at_most, unit, why=why)
    span = (min(values), max(values)) if len(values) > 1 else None
    return Target(what, statistics.median(values), limit, at_most, unit, span)


def window_targets(runs, ring):
    limit = plain(0, RING if ring else BARE)
    named = "one io_uring call per message" if ring else "one send per message"
    return [
        target(f"1 x 500, window 0: CPU per GB, times the bare limit's ({named})",
               runs.ratios(plain(0), limit), 1.10),
        target("1 x 500, window 0: CPU per GB, times nginx-rtmp's (chunk 60000)",
               runs.ratios(plain(0), key_of(NGINX, "1 x 500")), 0.75,
               why="nginx-rtmp is not installed, or not in this run"),
        target("1 x 500, window 0: latency p99", runs.known(plain(0), "latency_p99_ms"), 30,
               unit="ms"),
        target("1 x 500, window 100 ms: CPU per GB, times the bare limit's",
               runs.ratios(plain(100), plain(100, BARE)), 1.25),
    ]


def srs_targets(runs, peers):
    what = "1 x 500, window 100 ms: CPU per GB, times SRS's with merged write 100 ms"
    given = [peer for peer in peers if peer.upper().startswith("SRS")]
    if given:
        return [target(what, runs.ratios(plain(100), key_of(given[0], "1 x 500")), 0.5)]
    why = "SRS is not installed: give --peer 'SRS=COMMAND'"
    bare = runs.ratios(plain(100), plain(100, BARE))
    if bare:
        why += (f". For reference: by an SRS that was once measured elsewhere, at {SRS_QUOTED} times "
                f"the bare limit, it is {kit.cell(statistics.median(bare) / SRS_QUOTED)}")
    return [Target(what, None, 0.5, why=why)]


def best_peer(runs, peers):
    """(players, name) of the peer that holds most; None: no peer was measured."""
    found = [(runs.median(key_of(peer, "until p99 > 1 s"), "players_max"), peer) for peer in peers]
    return max((one for one in found if one[0]), default=None)


def player_targets(runs, peers):
    best = best_peer(runs, peers)
    key = key_of(CULVERT, "until p99 > 1 s", window_ms=100)
    ours = runs.known(key, "players_max")
    name = f"the best peer's ({best[1]})" if best else "the best peer's"
    return [
        target(f"players on one core until p99 > 1 s, times {name}",
               [players / best[0] for players in ours] if best else [], 1.5, at_most=False,
               why="no peer in this run"),
        target("joins per second of one core",
               runs.by_round(lambda us: 1e6 / us if us else 0,
                             (key_of(CULVERT, "joins, all it can", window_ms=20),
                              "server_cpu_us_per_join")),
               2000, at_most=False, unit="/s"),
        target("200 joins a second: first key frame p99",
               runs.known(key_of(CULVERT, "200 joins/s", window_ms=20), "join_p99_ms"), 100,
               unit="ms"),
    ]


def kib_per_player(runs, way):
    """From 1000 players more of the same stream: its log does not count."""
    return runs.by_round(lambda many, some: (many - some) / 1000,
                         (plain(20, shape="1 x 1500", way=way), "rss_load_kib"),
                         (plain(20, way=way), "rss_load_kib"))


def memory_targets(runs):
    return [
        target("memory of an RTMP player", kib_per_player(runs, "RTMP"), 8, unit="KiB"),
        target("memory of a TLS player", kib_per_player(runs, "TLS"), 24, unit="KiB"),
        target("memory of a parked RTMPT session",
               runs.by_round(lambda after, before, joined: (after - before) / 1024 / max(joined, 1),
                             *((key_of(CULVERT, PARKED, "RTMPT"), metric) for metric in (
                                 "server_rss_after", "server_rss_before", "joined"))),
               16, unit="KiB"),
    ]


def cipher_times(tls, without, sealed, bare):
    """What TLS adds to a cost, in the cipher's own: what sealing the same records adds to a program
    that does nothing else. None: that is lost in the noise."""
    return (tls - without) / (sealed - bare) if sealed > bare else None


def tls_ratios(runs, window_ms):
    found = runs.by_round(cipher_times, *((key, COST) for key in (
        plain(window_ms, way="TLS"), plain(window_ms), plain(window_ms, SEAL),
        plain(window_ms, BARE))))
    return [value for value in found if value is not None]


def way_targets(runs):
    manners = [plain(20, shape="1 x 200", way=way) for way in MANNERS]
    rows = [target("20 x 3 at 6 Mb/s: processor",
                   runs.known(key_of(CULVERT, "20 x 3, 6 Mb/s", window_ms=20),
                              "server_cpu_percent"), 25, unit="%"),
            target("RTMPT, 200 FFmpeg-like players: CPU per GB, times RTMP's",
                   runs.ratios(manners[1], manners[0]), 1.3)]
    rows += [target(f"TLS, 1 x 500, window {window_ms} ms: what it adds, times the cipher's own cost",
                    tls_ratios(runs, window_ms), 1.25) for window_ms in (20, 100)]
    return rows


def scaling(runs):
    """What one thread needs for a load, over what the busiest of two needs."""
    return runs.by_round(lambda one, its_load, busiest, load: one / its_load / (busiest / load),
                         *((key, metric) for key in (
                             plain(20, ONE_THREAD, "1 x 1500"),
                             plain(20, TWO_THREADS, "1 x 1500"))
                           for metric in ("server_thread_cpu_percent_max", "megabits_per_s")))


def all_targets(runs, peers, ring):
    """`ring`: our server sends through io_uring."""
    return [*window_targets(runs, ring), *srs_targets(runs, peers), *player_targets(runs, peers),
            *memory_targets(runs), *way_targets(runs),
            target("1 x 1500: processor of one thread, times that of the busiest of two",
                   scaling(runs), 1.8, at_most=False)]


def verdict(targets):
    """The last line of a run."""
    missed = [one.what for one in targets if one.holds() is False]
    unknown = sum(one.holds() is None for one in targets)
    text = f"{sum(one.holds() is True for one in targets)} targets hold, {len(missed)} missed"
    text += f", {unknown} not measured" if unknown else ""
    return text + "".join(f"\n  missed: {what}" for what in missed)


# ---- tables ----------------------------------------------------------------------------------

FLOW = (("server_cpu_percent", "CPU %"), ("server_user_share_percent", "user %"),
        ("server_softirq_percent", "ksoftirqd %"),
        (COST, "CPU s/GB"), ("span", "least to most"), ("bare", "x bare"),
        ("latency_p50_ms", "p50 ms"), ("latency_p99_ms", "p99 ms"),
        ("bytes_per_write", "bytes/write"), ("allocs_per_message", "allocs/msg/viewer"),
        ("bench_cpu_percent", "bench CPU %"))
THREADS = (("server_cpu_percent", "CPU %"), ("server_thread_cpu_percent_max", "busiest thread %"),
           ("server_threads_busy", "busy threads"), (COST, "CPU s/GB"), ("span", "least to most"),
           ("megabits_per_s", "Mb/s"), ("latency_p99_ms", "p99 ms"))
JOINS = (("joins_per_s", "joins/s"), ("join_p50_ms", "first key frame p50 ms"),
         ("join_p99_ms", "p99 ms"), ("server_cpu_us_per_join", "CPU us/join"),
         ("joins_failed", "failed"), ("bench_cpu_percent", "bench CPU %"))
UNTIL = (("players_max", "players"), ("players_p99_ms", "p99 ms there"),
         ("bench_cpu_percent", "bench CPU %"), ("limited_by", "then"))
MEMORY = (("rss_before_kib", "RSS before KiB"), ("rss_load_kib", "RSS under load KiB"),
          ("server_rss_before", "before, bytes"), ("server_rss_after", "after, bytes"))
COLUMNS = {"fanout": FLOW, "via": FLOW, "manners": FLOW, "many": FLOW, "joins": JOINS,
           "until": UNTIL, "threads": THREADS, "memory": MEMORY}


def span_text(span):
    return f"{kit.cell(span[0])} to {kit.cell(span[1])}" if span else None


def column(runs, job, metric):
    """A cell's value. Words are those of the last run."""
    if metric == "span":
        return span_text(runs.span(job.key, COST))
    if metric == "bare":
        ratios = runs.ratios(job.key, plain(job.window_ms, BARE, job.shape))
        return statistics.median(ratios) if ratios else None
    known = runs.known(job.key, metric)
    if known and isinstance(known[-1], str):
        return known[-1]
    return statistics.median(known) if known else None


def intact_text(runs, job):
    return "NO" if job.key in runs.broken() else "yes"


def table(runs, part, jobs):
    """Of the part's jobs that have results; columns that say nothing are left out."""
    jobs = [job for job in jobs if any(runs.results.get(job.key, []))]
    columns = [(metric, title) for metric, title in COLUMNS[part]
               if any(column(runs, job, metric) is not None for job in jobs)]
    rows = [[job.key, *(column(runs, job, metric) for metric, _ in columns),
             intact_text(runs, job)] for job in jobs]
    return kit.table(["", *(title for _, title in columns), "intact"], rows) if rows else ""


def points(runs, jobs):
    """For the plot: {name: [(p50 ms, CPU s per GB, window or None)]} of 1 x 500."""
    found = {}
    for job in jobs:
        at = runs.median(job.key, "latency_p50_ms"), runs.median(job.key, COST)
        if job.shape == "1 x 500" and None not in at:
            name = job.program + ("" if job.way == "RTMP" else f", {job.way}")
            found.setdefault(name, []).append((*at, job.window_ms))
    return {name: sorted(places, key=lambda place: place[0]) for name, places in found.items()}
