"""The installed library: what `meson install` puts down, and programs built against it by pkg-config."""
import os
import pathlib
import socket
import struct
import subprocess
import threading

from server import ROOT, SANITIZER_ENV, find_binary

EXAMPLES = ROOT / "examples"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(cmd, **kwargs):
    done = subprocess.run([str(part) for part in cmd], check=False, capture_output=True, text=True, timeout=120,
                          **kwargs)
    assert done.returncode == 0, f"{cmd}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
    return done.stdout


def sanitizers():
    """What the library was built with, its user is built with, too."""
    data = find_binary().read_bytes()
    names = {"address": b"__asan_init", "undefined": b"__ubsan_handle", "thread": b"__tsan_init"}
    found = [name for name, symbol in names.items() if symbol in data]
    return ["-fsanitize=" + ",".join(found)] if found else []


class Library:
    """Installed below a folder of its own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "root"
        run(["meson", "install", "-C", find_binary().parent, "--no-rebuild", "--destdir", self.root])
        self.pc = next(self.root.rglob("culvert.pc"))
        self.lib = self.pc.parents[1]

    def files(self):
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}

    def flags(self, *what):
        """Words of pkg-config."""
        env = dict(os.environ, PKG_CONFIG_PATH=str(self.pc.parent), PKG_CONFIG_SYSROOT_DIR=str(self.root))
        return run(["pkg-config", *what, "culvert"], env=env).split()

    def build(self, source, *more, name=None):
        """A program against the shared library."""
        out = self.folder / (name or pathlib.Path(source).stem)
        run(["cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", *STRICT, "-g", *sanitizers(), source, *more,
             *self.flags("--cflags", "--libs"), "-o", out])
        return out

    def build_static(self, source, name):
        """The same against the static one."""
        out = self.folder / name
        libs = [flag for flag in self.flags("--static", "--libs") if flag != "-lculvert"]
        run(["cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", *STRICT, *sanitizers(), source, *self.flags("--cflags"),
             self.lib / "libculvert.a", *libs, "-o", out])
        return out

    def env(self):
        return dict(os.environ, **SANITIZER_ENV, LD_LIBRARY_PATH=str(self.lib),
                    XDG_STATE_HOME=str(self.folder / "state"))


class Cutter:
    """A TCP relay to `port` that can break what goes through it."""

    def __init__(self, port):
        self.server_port, self.connections, self.bytes_in, self.open = port, 0, 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        self.thread.join(10)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            self.connections += 1
            self.open += [client, server]
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source, to):
        try:
            while piece := source.recv(65536):
                self.bytes_in += len(piece)
                to.sendall(piece)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        """Resets all connections."""
        while self.open:
            end = self.open.pop()
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
