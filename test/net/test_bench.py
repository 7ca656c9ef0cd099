"""culvert bench: its kinds of runs against a server that works, and servers that do not, which it must see."""
import contextlib
import json
import select
import socket
import threading

import pytest

from hostile import Gone, Hostile

SMALL = ("--seconds", "1", "--gop-s", "1", "--bitrate-kbps", "500", "--json")
PIECE = 1 << 16


@pytest.fixture
def bench(cli, tmp_path):
    """Runs it; the JSON it has printed, when it ends with this code."""
    def run(*args, code=0, timeout_s=50):
        with open(tmp_path / "bench.json", "w+", encoding="utf-8") as out:
            cli("bench", *SMALL, *args, stdout=out).expect(code, timeout_s=timeout_s)
            out.seek(0)
            return json.load(out)
    return run


# ---- a server that works -----------------------------------------------------------------------

@pytest.mark.parametrize("via", ["rtmp", "rtmpt", "ws", "flv"])
@pytest.mark.parametrize("tls", [(), ("--tls",)], ids=["plain", "tls"])
def test_some_check_and_all_count(bench, via, tls):
    some = bench("--players", 8, "--checked", 3, "--via", via, *tls)
    assert some["intact"] and (some["players"], some["checked"]) == (8, 3)
    # 30 pictures and 43 sounds in a second; a key frame more or less in that second is 5 % of the bytes
    assert 3 * 60 < some["messages_per_s"] < 3 * 90
    assert 8 * 0.5 * 0.7 < some["megabits_per_s"] < 8 * 0.5 * 1.4


def test_every_stream_has_players_who_check(bench):
    some = bench("--publishers", 3, "--players", 4, "--checked", 3)
    assert some["intact"] and some["checked"] == 3
    assert 3 * 60 < some["messages_per_s"] < 3 * 90


def test_processors_and_threads(bench):
    found = bench("--players", 2, "--threads", 2, "--server-cpus", "0", "--bench-cpu", 0)
    assert found["intact"]
    assert found["server_threads_busy"] <= 4
    # both are told in steps of 10 ms
    assert found["server_thread_cpu_percent_max"] <= found["server_cpu_percent"] + 5


@pytest.mark.parametrize("args, words", [
    (("--server-cpus", "63"), "the last one here is"),
    (("--server-cpus", "0,,1"), "a list is needed"),
    (("--server-cpus", "0", "--url", "rtmp://127.0.0.1/live"), "own server"),
    (("--via", "smoke"), "rtmp, rtmpt, ws or flv"),
    (("--idle", "3", "--join-rate", "3"), "exclude each other"),
])
def test_wrong_command_lines(cli, args, words):
    cli("bench", *args).expect(2, words)


@pytest.mark.parametrize("via", ["rtmp", "flv"])
def test_joins(bench, via):
    found = bench("--join-rate", 20, "--players", 50, "--via", via)
    assert found["intact"] and found["joins_failed"] == 0
    assert 15 <= found["joins"] <= 20
    assert 0 < found["join_p50_ms"] <= found["join_p99_ms"]
    assert "server_cpu_us_per_join" in found


def test_most_players_end_at_the_cap(bench):
    found = bench("--players", 3, "--step", 2, "--players-max", 4, "--until-p99-ms", 20000, "--checked", 2)
    assert found["limited_by"] == "cap" and found["intact"]
    assert (found["players_max"], found["players"], found["checked"]) == (4, 4, 2)


def test_most_players_end_at_the_latency(bench):
    found = bench("--players", 3, "--until-p99-ms", 1, "--latency-ms", 200)
    assert (found["limited_by"], found["players_max"]) == ("p99", 0)
    assert found["players_p99_ms"] > 1


# ---- servers that do not -----------------------------------------------------------------------

def pump(source, peer, write):
    """Until it ends, or the test does."""
    while not peer.over.is_set():
        if not select.select([source], [], [], 0.1)[0]:
            continue
        data = source.recv(PIECE)
        if not data:
            return
        write(data)


class Broken(Hostile):
    """Stands in front of a server; each connection's answers go through an alter() of their own."""

    def __init__(self, port, make_alter):
        self.target = port
        self.make_alter = make_alter
        super().__init__(self.between)

    def between(self, peer):
        alter = self.make_alter()
        with socket.create_connection(("127.0.0.1", self.target)) as server:
            up = threading.Thread(target=self.carry_up, args=(peer, server), daemon=True)
            up.start()
            try:
                pump(server, peer, lambda data: peer.send(alter(data)))
            except OSError as err:
                raise Gone from err
            finally:
                with contextlib.suppress(OSError):  # the client was first
                    peer.sock.shutdown(socket.SHUT_RDWR)
                up.join(5)

    @staticmethod
    def carry_up(peer, server):
        try:
            pump(peer.sock, peer, server.sendall)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Flip:
    """One byte is another one."""

    def __init__(self, at=100_000):
        self.left = at

    def __call__(self, data):
        at, self.left = self.left, self.left - len(data)
        if not 0 <= at < len(data):
            return data
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]


class Cut(Flip):
    """The connection ends in the middle."""

    def __call__(self, data):
        self.left -= len(data)
        if self.left < 0:
            raise Gone
        return data


class Lossy:
    """Of a stream of FLV over HTTP the 50th tag is missing."""

    def __init__(self):
        self.head, self.body, self.flv, self.tags = b"", b"", b"", -1

    def __call__(self, data):
        if not self.head.startswith(b"HTTP/1.1 200") or b"\r\n\r\n" not in self.head:
            self.head += data
            begin, end, rest = self.head.partition(b"\r\n\r\n")
            if not end or not begin.startswith(b"HTTP/"):
                return data  # the publisher's RTMP
            assert b"chunked" in begin.lower()
            return begin + end + self.body_of(rest)
        return self.body_of(data)

    def body_of(self, data):
        self.body += data
        while b"\r\n" in self.body:
            size, _, rest = self.body.partition(b"\r\n")
            size = int(size, 16)
            if len(rest) < size + 2:
                break
            self.flv += rest[:size]
            self.body = rest[size + 2:]
        out = self.take_tags()
        return b"%x\r\n%s\r\n" % (len(out), out) if out else b""

    def take_tags(self):
        out = b""
        while True:
            size = 13 if self.tags < 0 else 11 + int.from_bytes(self.flv[1:4], "big") + 4
            if len(self.flv) < max(size, 4):
                return out
            self.tags += 1
            if self.tags != 50:
                out += self.flv[:size]
            self.flv = self.flv[size:]


@pytest.mark.parametrize("make_alter, via, key", [
    (Flip, "rtmp", "damaged"),
    (Flip, "flv", "damaged"),
    (Cut, "rtmp", "lost_connections"),
    (Cut, "flv", "lost_connections"),
    (Lossy, "flv", "gaps"),
])
def test_broken_server_is_seen(bench, server, make_alter, via, key):
    with Broken(server.port, make_alter) as broken:
        found = bench("--url", f"rtmp://127.0.0.1:{broken.port}/live", "--via", via, "--players", 3, "--checked", 1,
                      "--seconds", "2", code=1)
    assert not found["intact"] and found[key] >= 1


def test_most_players_end_where_messages_are_lost(bench, server):
    with Broken(server.port, Lossy) as broken:
        found = bench("--url", f"rtmp://127.0.0.1:{broken.port}/live", "--via", "flv", "--players", 2,
                      "--until-p99-ms", 20000, code=1)
    assert (found["limited_by"], found["players_max"]) == ("lost", 0)


def test_joins_in_vain_are_seen(cli, bench, server):
    count = [0]

    def cut_the_tenth():
        count[0] += 1
        return Cut(0) if count[0] == 10 else lambda data: data
    with Broken(server.port, cut_the_tenth) as broken:
        found = bench("--url", f"rtmp://127.0.0.1:{broken.port}/live", "--join-rate", 20, code=1)
    assert found["joins_failed"] == 1 and not found["intact"]
    assert found["joins"] >= 10
