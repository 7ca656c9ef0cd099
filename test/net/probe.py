"""One connection of the client of a netns.Net, by plain sockets: what comes of a first word, and when."""
import base64
import errno
import socket
import ssl
import time

from firewalls import PASSWORD, USER
from netns import NAME, SERVER
from rtmpt_raw import request

SILENCE_S = 0.5
ANSWER = 1 + 2 * 1536
CREDENTIALS = "Proxy-Authorization: Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode() + "\r\n"
FAILURES = {  # the first that fits
    ConnectionRefusedError: "refused",
    ConnectionResetError: "reset",
    ssl.SSLCertVerificationError: "untrusted",
    ssl.SSLEOFError: "closed",
    ssl.SSLError: "not TLS",
}


class Probe:
    """A connection of the client: how it went, and when. `connect`: what a proxy is asked first; `tls`: the context and
    the name of a server to which the data goes in TLS."""

    def __init__(self, net, port, data, address=SERVER, connect=b"", tls=None):
        self.begin, self.connected_s, self.answered_s, self.received = time.monotonic(), None, None, b""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = net.client.run(socket.socket, family)
        self.sock.settimeout(SILENCE_S)
        self.outcome = self._outcome(address, port, data, connect, tls)

    def _now(self):
        return time.monotonic() - self.begin

    def _outcome(self, *how):
        try:
            return self._try(*how)
        except socket.timeout:
            return "silence" if self.connected_s else "no answer"
        except OSError as err:
            self.answered_s = self._now()
            found = next((text for kind, text in FAILURES.items() if isinstance(err, kind)), None)
            if not found and err.errno not in (errno.EHOSTUNREACH, errno.ENETUNREACH):
                raise
            return found or "unreachable"

    def _try(self, address, port, data, connect, tls):
        self.sock.connect((address, port))
        self.connected_s = self._now()
        if connect:
            self.sock.sendall(connect)
            granted = self._answer()
            if granted != "200":
                return granted
            self.received = b""
        if tls:
            context, name = tls
            self.sock = context.wrap_socket(self.sock, server_hostname=name)
        self.sock.sendall(data)
        return self._answer()

    def _answer(self):
        while not self.is_answered():
            piece = self.sock.recv(65536)
            if not piece:
                break
            self.answered_s = self.answered_s or self._now()
            self.received += piece
        if self.received.startswith(b"HTTP/1."):
            return self.received[9:12].decode()
        return "rtmp" if self.received[:1] == b"\3" and len(self.received) == ANSWER else "closed"

    def is_answered(self):
        if self.received.startswith(b"HTTP"):
            return b"\r\n\r\n" in self.received
        return len(self.received) >= ANSWER

    def read(self, count, timeout_s=SILENCE_S):
        self.sock.settimeout(timeout_s)
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            if not piece:
                return data
            data += piece
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def tunnel(head="", target=""):
    data = request(f"{target}/open/1", headers={"Host": NAME, "Content-Type": "application/x-fcs"})
    return data.replace(b"\r\n\r\n", f"\r\n{head}\r\n".encode(), 1) if head else data


def connect_head(name, port, more=""):
    return f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n{more}\r\n".encode()
