"""The installed library: what `meson install` puts down, and programs built against it by pkg-config."""
import os
import pathlib
import subprocess

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
