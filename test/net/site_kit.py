"""Servers behind the proxy: one that does exactly what a test says, and a real nginx."""
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import threading

from server import free_port, wait_until


class Ended(Exception):
    """The other side closed the connection."""


class Wire:
    """A socket that is read line by line and byte by byte, and remembers all that it has read."""

    def __init__(self, sock):
        self.sock, self.seen, self.unread = sock, b"", b""

    def more(self):
        piece = self.sock.recv(1 << 20)
        if not piece:
            raise Ended
        self.seen += piece if len(self.seen) < 1 << 20 else b""
        self.unread += piece

    def take(self, count):
        while len(self.unread) < count:
            self.more()
        data, self.unread = self.unread[:count], self.unread[count:]
        return data

    def until(self, mark):
        while mark not in self.unread:
            self.more()
        return self.take(self.unread.index(mark) + len(mark))

    def rest(self):
        """All that comes until the other side closes."""
        try:
            while True:
                self.more()
        except Ended:
            data, self.unread = self.unread, b""
            return data

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Head:
    """The head of a request or response: its first line, and fields in lower case."""

    def __init__(self, data):
        self.raw = data
        lines = data.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.list = [tuple(line.split(": ", 1)) for line in lines[1:] if line]
        self.fields = {name.lower(): value for name, value in self.list}


def read_body(wire, head, until_close=False):
    if head.fields.get("transfer-encoding") == "chunked":
        return b"".join(read_chunks(wire))
    if "content-length" in head.fields:
        return wire.take(int(head.fields["content-length"]))
    return wire.rest() if until_close else b""


def read_chunks(wire):
    """The chunks of a body, each as it was cut."""
    while True:
        size = int(wire.until(b"\r\n"), 16)
        data = wire.take(size + 2)
        assert data[-2:] == b"\r\n"
        if size == 0:
            return
        yield data[:-2]


class Site:
    """An upstream. `answer(wire, head)` is called in a thread of its own for each request whose head
    has come; it reads the body, if it wants it, and may do whatever it likes to the connection."""

    def __init__(self, answer, port=0):
        self.answer, self.wires, self.heads, self.failures = answer, [], [], []
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(30)
            wire = Wire(sock)
            self.wires.append(wire)
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire):
        try:
            while True:
                head = Head(wire.until(b"\r\n\r\n")[:-4])
                self.heads.append(head)
                self.answer(wire, head)
        except (Ended, OSError):
            pass
        except Exception as err:  # pylint: disable=broad-except
            self.failures.append(err)
        wire.close()

    @property
    def seen(self):
        """All bytes that ever came."""
        return b"".join(wire.seen for wire in self.wires)

    def close(self):
        self.listener.close()
        for wire in self.wires:
            wire.close()
        assert not self.failures, self.failures


def reply(body=b"", status="200 OK", fields=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


def echo(wire, head):
    """The request's body, or its head when it has none."""
    wire.send(reply(read_body(wire, head) or head.raw))


NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {user}
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port}; root {folder}/www;
    location / {{ dav_methods PUT DELETE; }}
    location /back {{ return 200 "$request_method $request_uri $http_host"; }}
    {more}
  }}
}}
"""


class Nginx:
    """A real web server of this user on a loopback port, with a folder that can be written to."""

    def __init__(self, folder, more=""):
        self.folder, self.port = pathlib.Path(folder), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.www = self.folder / "www"
        self.www.mkdir(parents=True)
        user = "user root;" if os.getuid() == 0 else ""
        config = NGINX.format(folder=self.folder, port=self.port, user=user, more=more)
        (self.folder / "nginx.conf").write_text(config, encoding="utf-8")
        binary = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([binary, "-p", self.folder, "-c", self.folder / "nginx.conf"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._accepts, 10, "nginx accepts")

    def _accepts(self):
        assert self.process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self):
        self.process.terminate()
        self.process.wait(10)
