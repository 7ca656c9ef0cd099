"""What `make bench` measures: one table of jobs, each a program and what it is to do."""
import dataclasses

CULVERT, ONE_THREAD, TWO_THREADS, BARE, RING, SEAL = (
    "Culvert", "Culvert, 1 thread", "Culvert, 2 threads", "bare", "bare, io_uring", "bare, sealed")
NGINX = "nginx-rtmp"
BITRATE_KBPS = 2500
SOME = ("--checked", 50)
ALL = 1000
FEW = 3  # rounds of what no target needs, or what takes long or differs little
PARKED_SESSIONS = 2000
PARKED = f"{PARKED_SESSIONS} parked"


@dataclasses.dataclass(frozen=True)
class Job:
    part: str
    program: str
    shape: str
    way: str = "RTMP"
    window_ms: int | None = None
    options: tuple = ()  # of `culvert bench`
    rounds_max: int = ALL
    takes_s: float = 0  # beyond what every run takes

    @property
    def key(self):
        window = "" if self.window_ms is None else f", window {self.window_ms} ms"
        return f"{self.program}: {self.shape}, {self.way}{window}"


WINDOWS_MS = {0: ALL, 20: ALL, 50: FEW, 100: ALL, 350: FEW}  # and rounds

# shape: options of `culvert bench`
SHAPES = {
    "1 x 500": ("--players", 500, *SOME),
    "1 x 1500": ("--players", 1500, *SOME),
    "200 x 1": ("--publishers", 200, "--players", 1),
    "20 x 3, 6 Mb/s": ("--publishers", 20, "--players", 3, "--bitrate-kbps", 6000),
    "200 joins/s": ("--players", 1000, "--join-rate", 200),
    "joins, all it can": ("--players", 1000, "--join-rate", 2500),
    "until p99 > 1 s": (*SOME, "--until-p99-ms", 1000),
}
WAYS = {"RTMP": (), "RTMPT": ("--via", "rtmpt"), "FLV": ("--via", "flv"), "TLS": ("--tls",)}
MANNERS = ("RTMP, FFmpeg's manners", "RTMPT, FFmpeg's manners")


def _fanout(peers):
    for window_ms, rounds_max in WINDOWS_MS.items():
        for program in (BARE, CULVERT, RING):
            few = program == RING and window_ms
            yield Job("fanout", program, "1 x 500", window_ms=window_ms,
                      rounds_max=FEW if few else rounds_max)
    for window_ms in (20, 100):
        yield Job("fanout", CULVERT, "1 x 1500", window_ms=window_ms, rounds_max=FEW)
    for peer in peers:
        yield Job("fanout", peer, "1 x 500")
        yield Job("fanout", peer, "1 x 1500", rounds_max=FEW)


def _via(peers):
    del peers
    for window_ms in (20, 100):
        yield Job("via", BARE, "1 x 500", window_ms=window_ms)
        yield Job("via", SEAL, "1 x 500", window_ms=window_ms)
        for way in WAYS:
            yield Job("via", CULVERT, "1 x 500", way, window_ms,
                      rounds_max=ALL if way in ("RTMP", "TLS") else FEW)


def _manners(peers):
    del peers
    for way in MANNERS:
        yield Job("manners", CULVERT, "1 x 200", way, 20, rounds_max=FEW, takes_s=-1)


def _many(peers):
    for shape in ("200 x 1", "20 x 3, 6 Mb/s"):
        yield Job("many", CULVERT, shape, window_ms=20, rounds_max=FEW)
        for peer in peers:
            yield Job("many", peer, shape, rounds_max=FEW)


def _joins(peers):
    for shape in ("200 joins/s", "joins, all it can"):
        yield Job("joins", CULVERT, shape, window_ms=20, takes_s=3)
        for peer in peers:
            yield Job("joins", peer, shape, takes_s=3, rounds_max=FEW)


def _until(peers):
    yield Job("until", CULVERT, "until p99 > 1 s", window_ms=100,
              options=("--players", 3000, "--step", 500), rounds_max=FEW, takes_s=24)
    for peer in peers:
        yield Job("until", peer, "until p99 > 1 s", options=("--players", 1000, "--step", 250),
                  rounds_max=FEW, takes_s=22)


def _threads(peers):
    del peers
    both = ("--server-cpus", "0,1", "--bench-cpu", 1)
    yield Job("threads", TWO_THREADS, "1 x 1500", window_ms=20, options=("--threads", 2, *both),
              rounds_max=FEW)
    yield Job("threads", ONE_THREAD, "1 x 1500", window_ms=20, options=both,
              rounds_max=FEW)


def _memory(peers):
    del peers
    for way in ("RTMP", "TLS"):
        yield Job("memory", CULVERT, "1 x 500", way, 20)
        yield Job("memory", CULVERT, "1 x 1500", way, 20, rounds_max=FEW)
    yield Job("memory", CULVERT, PARKED, "RTMPT", rounds_max=1, takes_s=10)


PARTS = {"fanout": _fanout, "via": _via, "manners": _manners, "many": _many, "joins": _joins,
         "until": _until, "threads": _threads, "memory": _memory}


def jobs_of(parts, peers):
    """All jobs of these parts, in the order in which a round does them; what several parts need is
    there once."""
    jobs = {}
    for part in parts:
        for job in PARTS[part](peers):
            jobs.setdefault(job.key, job)
    return list(jobs.values())


def run_takes_s(job, seconds):
    """About how long one run of it takes."""
    if job.program in (BARE, RING, SEAL):
        return seconds + 1.5
    return seconds + 5.6 + job.takes_s


def takes_s(jobs, rounds, seconds):
    return sum(run_takes_s(job, seconds) * min(rounds, job.rounds_max) for job in jobs)
