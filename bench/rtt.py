"""A network with a round trip time, in namespaces of its own (bench/delay.c), and what crosses it.

    with rtt.Network(delay_program, 50) as net:
        net.popen("far", server_command)
        net.popen("near", ["ffmpeg", "-i", f"rtmp://{net.address(3)}/live/a", ...])

The server's side is "far". It has 16 addresses: clients that use different ones can be told apart
by net.tap(). At 0 ms nothing is between the two: both sides are the loopback of one namespace.
Everything vanishes with the delay program, which ends with this process. Needs root.
"""
import collections
import ctypes
import json
import os
import re
import select
import socket
import statistics
import struct
import subprocess
import threading
import time

ECHO_PORT = 7
ETH_P_ALL, ETH_P_IP = 0x0003, 0x0800  # only the former shows what goes out
CLONE_NEWNET = 0x40000000
SOL_PACKET, PACKET_STATISTICS, PACKET_OUTGOING = 263, 6, 4
SO_RCVBUFFORCE = 33
REQUEST = re.compile(rb"POST /")
CLIBRARY = ctypes.CDLL(None, use_errno=True)


def enter(path):
    """Moves the calling thread into a network namespace."""
    with open(path, "rb") as namespace:
        if CLIBRARY.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")


class Flow:
    """What one client, or several of the same server address, have exchanged."""

    def __init__(self):
        self.up = self.down = 0  # bytes of TCP
        self.up_packets = self.down_packets = 0
        self.requests = 0  # heads of HTTP requests

    def minus(self, other):
        out = Flow()
        for name, value in vars(self).items():
            setattr(out, name, value - getattr(other, name))
        return out


class Tap:
    """Counts the packets of one end, by the server's address, on a thread of its own."""

    def __init__(self, namespace, port):
        self.port = port
        self.flows = collections.defaultdict(Flow)
        self.lock = threading.Lock()
        self.stop_read, self.stop_write = os.pipe()
        self.socket = None
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(namespace, ready), daemon=True)
        self.thread.start()
        ready.wait(5)
        if self.socket is None:
            raise OSError("no packet socket: needs root")

    def _run(self, namespace, ready):
        try:
            enter(namespace)
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        finally:
            ready.set()
        while True:
            readable, _, _ = select.select([self.socket, self.stop_read], [], [])
            if self.stop_read in readable:
                return
            packet, where = self.socket.recvfrom(65536)
            # lo shows each packet twice, going out and coming in
            if where[1] == ETH_P_IP and (where[0] != "lo" or where[2] != PACKET_OUTGOING):
                self._count(packet)

    def _count(self, packet):
        at = (packet[0] & 15) * 4
        if packet[9] != socket.IPPROTO_TCP or len(packet) < at + 20:
            return
        source, target = struct.unpack_from(">HH", packet, at)
        if self.port not in (source, target):
            return
        size = struct.unpack_from(">H", packet, 2)[0] or len(packet)
        data = at + (packet[at + 12] >> 4) * 4
        with self.lock:
            if target == self.port:
                flow = self.flows[packet[16:20]]
                flow.up += size - data
                flow.up_packets += 1
                flow.requests += len(REQUEST.findall(packet, data))
            else:
                flow = self.flows[packet[12:16]]
                flow.down += size - data
                flow.down_packets += 1

    def flow(self, address):
        """A copy of what was counted so far for this address of the server."""
        with self.lock:
            return self.flows[socket.inet_aton(address)].minus(Flow())

    def lost(self):
        """Packets since the last call that were too many to be counted."""
        return struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]

    def close(self):
        os.write(self.stop_write, b"x")
        self.thread.join()
        self.socket.close()
        os.close(self.stop_read)
        os.close(self.stop_write)


class Network:
    """Two ends. What was started in them is killed at the end."""

    def __init__(self, program, rtt_ms):
        self.program, self.rtt_ms = program, rtt_ms
        self.children, self.taps = [], []
        self.delay = self.ends = self.report = None

    def __enter__(self):
        self.delay = subprocess.Popen([self.program, str(int(self.rtt_ms * 500))], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.delay.stdout.readline()
        if not line:
            raise OSError("bench/delay does not start: it needs root and /dev/net/tun")
        self.ends = json.loads(line)
        if not self.rtt_ms:
            self.ends["near"] = self.ends["far"]
        return self

    def __exit__(self, *what):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        for tap in self.taps:
            tap.close()
        self.delay.stdin.close()
        self.report = json.loads(self.delay.stdout.read() or "null")
        self.delay.stdout.close()
        self.delay.wait()

    def address(self, number=1):
        """The server's number-th address, 1 to 16, as its clients see it."""
        return f"127.0.0.{number}" if not self.rtt_ms else f"198.18.0.{number}"

    def popen(self, end, command, cpu=None, **options):
        """Starts a program at an end, perhaps on one processor only."""
        pin = ["taskset", "-c", str(cpu)] if cpu is not None and os.cpu_count() > 1 else []
        child = subprocess.Popen([*pin, "nsenter", f"--net={self.ends[end]}", "--",
                                  *map(str, command)], stdin=subprocess.DEVNULL, **options)
        self.children.append(child)
        return child

    def tap(self, port):
        """A Tap on the clients' side for the server's port."""
        tap = Tap(self.ends["near"], port)
        self.taps.append(tap)
        return tap

    def ping(self, count=50):
        """Round trips in ms, by UDP, one after the other: (median, largest)."""
        ready, done, times = threading.Event(), threading.Event(), []

        def echo():
            enter(self.ends["far"])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(("", ECHO_PORT))
                sock.settimeout(0.1)
                ready.set()
                while not done.is_set():
                    try:
                        data, peer = sock.recvfrom(100)
                    except socket.timeout:
                        continue
                    sock.sendto(data, peer)

        def ask():
            enter(self.ends["near"])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(2)
                for _ in range(count):
                    begin = time.monotonic()
                    sock.sendto(b"x" * 64, (self.address(), ECHO_PORT))
                    sock.recv(100)
                    times.append((time.monotonic() - begin) * 1000)

        threads = [threading.Thread(target=echo), threading.Thread(target=ask)]
        threads[0].start()
        ready.wait(5)
        threads[1].start()
        threads[1].join()
        done.set()
        threads[0].join()
        if len(times) < count:
            raise OSError("the link does not carry packets")
        return statistics.median(times), max(times)
