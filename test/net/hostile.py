"""A server that means harm, for clients to meet, and a run of the client that says what it cost.

A Hostile gives each connection to a function of its own thread: behave(peer). What such functions need
stands in Peer: to send, to pour without an end, to drip, to listen; and talk(), which plays a server of
RTMP up to a point and then leaves the word to the attack.
"""
import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time
import typing

from rtmp_raw import COMMAND, USER_CONTROL, amf_encode, chunks
from server import SANITIZER, SANITIZER_ENV, find_binary

POUR_BYTES = 64 * 1024  # one piece of what has no end
ANSWERED = re.compile(rb"\x02\x00.(connect|createStream|publish|play)\x00(.{8})", re.S)


class Gone(Exception):
    """The client has closed, or the test is over."""


class Peer:
    """One connection of a client."""

    def __init__(self, sock, over, number):
        self.sock = sock
        self.number = number  # of the connection, from 1
        self.over = over
        self.heard = b""

    def send(self, data):
        view = memoryview(data)
        while view:
            if self.over.is_set():
                raise Gone
            if not select.select([], [self.sock], [], 0.1)[1]:
                continue
            try:
                view = view[self.sock.send(view):]
            except OSError as err:
                raise Gone from err

    def pour(self, piece):
        """The same again, without an end."""
        piece = piece * max(1, POUR_BYTES // len(piece))
        while True:
            self.send(piece)

    def drip(self, data, every_s=0.02):
        """One byte at a time, from the beginning again at the end."""
        while True:
            for byte in data:
                self.send(bytes([byte]))
                if self.over.wait(every_s):
                    raise Gone

    def listen(self, timeout_s=10):
        """Some bytes of the client."""
        if not select.select([self.sock], [], [], timeout_s)[0]:
            raise Gone
        try:
            data = self.sock.recv(1 << 16)
        except OSError as err:
            raise Gone from err
        if not data:
            raise Gone
        self.heard += data
        return data

    def hold(self):
        """Says nothing more, and hears what comes, until the client goes."""
        while True:
            self.listen(60)
            self.heard = b""

    def deaf(self):
        """Says nothing more and reads nothing more."""
        self.over.wait()


def command(name, transaction, *values, msid=0):
    return chunks(COMMAND, amf_encode(name, transaction, *values), msid=msid)


def status(code, description="", level="status", msid=1):
    info = {"level": level, "code": code, "description": description}
    return command("onStatus", 0, None, info, msid=msid)


def user_control(event, *numbers):
    return chunks(USER_CONTROL, struct.pack(">H", event) + b"".join(struct.pack(">I", n) for n in numbers), csid=2)


ANSWERS = {
    b"connect": lambda n: command("_result", n, {"fmsVer": "FMS/3,0"},
                                  {"level": "status", "code": "NetConnection.Connect.Success", "description": ""}),
    b"createStream": lambda n: command("_result", n, None, 1),
    b"publish": lambda n: status("NetStream.Publish.Start"),
    b"play": lambda n: status("NetStream.Play.Start"),
}


def handshake(peer):
    while len(peer.heard) < 1 + 1536:
        peer.listen()
    peer.send(b"\x03" + bytes(2 * 1536))


def talk(peer, until=b"start"):
    """Plays a server of RTMP up to the answer to this command; "start": to publish or play."""
    handshake(peer)
    answered = set()
    while True:
        for name, number in ANSWERED.findall(peer.heard):
            if name in answered:
                continue
            answered.add(name)
            peer.send(ANSWERS[name](struct.unpack(">d", number)[0]))
            if name == until or (until == b"start" and name in (b"publish", b"play")):
                return
        peer.listen()


class Hostile:
    """Listens on loopback and gives each connection to behave(peer), in a thread of its own."""

    def __init__(self, behave):
        self.behave = behave
        self.over = threading.Event()
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while not self.over.is_set():
            if not select.select([self.listener], [], [], 0.1)[0]:
                continue
            sock, _ = self.listener.accept()
            self.connections += 1
            self.threads.append(threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True))
            self.threads[-1].start()

    def _serve(self, sock, number):
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.behave(Peer(sock, self.over, number))
            except Gone:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(5)
        self.listener.close()


class Outcome(typing.NamedTuple):
    """How a client ended, and what it took."""
    code: int
    lines: list
    seconds: float
    peak_kb: int


def peak_kb(pid):
    """What the process has used at most; its parent's share is not in it, as it is in ru_maxrss."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return int((re.findall(r"^VmHWM:\s+(\d+)", file.read(), re.M) or [0])[0])
    except OSError:
        return 0


def watch(process, timeout_s, interrupt_s):
    """Waits for the end, and helps it along: SIGINT after interrupt_s, SIGKILL after timeout_s. The peak."""
    begun = time.monotonic()
    peak = 0
    while True:
        try:
            process.wait(0.02)
            return peak
        except subprocess.TimeoutExpired:
            peak = max(peak, peak_kb(process.pid))
        lasted = time.monotonic() - begun
        if lasted > timeout_s:
            process.kill()
        elif interrupt_s and lasted > interrupt_s:
            process.send_signal(signal.SIGINT)
            interrupt_s = None


def run_client(folder, words, timeout_s, interrupt_s=None):
    """`culvert WORDS...` with its own state folder and no proxy; code is None when it had to be killed."""
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    env["XDG_STATE_HOME"] = str(folder / "state-home")
    for name, value in SANITIZER_ENV.items():
        env[name] = value + (":" + env[name] if name in env else "")
    begun = time.monotonic()
    with open(folder / "client-stderr", "wb+") as err:
        process = subprocess.Popen([str(find_binary()), *map(str, words)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=err, env=env)
        peak = watch(process, timeout_s, interrupt_s)
        err.seek(0)
        text = err.read()
    assert not SANITIZER.search(text), text.decode("utf-8", "replace")
    code = None if process.returncode == -signal.SIGKILL else process.returncode
    return Outcome(code, text.split(b"\n")[:-1], time.monotonic() - begun, peak)
