"""Servers of other people, to be measured beside ours: nginx-rtmp, and what a command starts."""
import os
import shlex
import shutil
import signal
import subprocess
import tempfile

import kit

LISTENING = "0A"  # proc_net_tcp(5)
CHUNK_BYTES = 60000

NGINX_CONFIG = """
load_module modules/ngx_rtmp_module.so;
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log error;
events {{ worker_connections 60000; }}
rtmp {{ access_log off; server {{ listen 127.0.0.1:{port}; chunk_size {chunk_bytes};
  application live {{ live on; }} }} }}
"""


def has_nginx():
    return bool(shutil.which("nginx")) and any(
        os.path.exists(os.path.join(folder, "ngx_rtmp_module.so"))
        for folder in ("/usr/lib/nginx/modules", "/usr/share/nginx/modules"))


def parse(text):
    """NAME=COMMAND, as --peer has it. ValueError when it is not."""
    name, _, command = text.partition("=")
    if not name or "{port}" not in command:
        raise ValueError(f"{text}: NAME=COMMAND is needed, with {{port}} in the command")
    return name, command


# ---- whose process it is ---------------------------------------------------------------------

def inodes_listening(table, port):
    """The sockets of a /proc/net/tcp that listen on a port."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {row[9] for row in rows
            if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port}


def _listening(port):
    found = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        if os.path.exists(name):
            with open(name, encoding="utf-8") as file:
                found |= inodes_listening(file.read(), port)
    return found


def _holds(pid, inodes):
    folder = f"/proc/{pid}/fd"
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        return any(os.readlink(os.path.join(folder, fd)) in wanted for fd in os.listdir(folder))
    except OSError:  # it or a descriptor has just gone
        return False


def _family(pid):
    """The process and all that it has started, each behind its parent."""
    found = [pid]
    for one in found:
        try:
            found += kit.children(one)
        except OSError:
            pass
    return found


def worker_of(pid, port):
    """The process that serves the port: the youngest that holds it, since masters hold it, too."""
    inodes = _listening(port)
    holders = [one for one in _family(pid) if _holds(one, inodes)] if inodes else []
    return holders[-1] if holders else None


# ---- running ---------------------------------------------------------------------------------

class Peer:
    """A server on the first processor, from `with` to its end. {port} and {folder} of its command
    are filled in; the folder is its own, and goes with it."""

    def __init__(self, command, config=None):
        self.command, self.config = command, config

    def __enter__(self):
        self.folder = tempfile.mkdtemp()
        self.port = kit.free_port()
        os.chmod(self.folder, 0o755)  # its worker may be somebody else
        words = {"port": self.port, "folder": self.folder, "chunk_bytes": CHUNK_BYTES}
        if self.config:
            with open(os.path.join(self.folder, "config"), "w", encoding="utf-8") as file:
                file.write(self.config.format(**words))
        command = self.command
        for name, value in words.items():
            command = command.replace("{" + name + "}", str(value))
        with open(os.path.join(self.folder, "said"), "wb") as said:
            self.process = subprocess.Popen(
                kit.pinned(kit.SERVER_CPU, shlex.split(command)), stdin=subprocess.DEVNULL,
                stdout=said, stderr=said, start_new_session=True)
        try:
            kit.wait_until(lambda: self.process.poll() is not None
                           or worker_of(self.process.pid, self.port), command)
            self.pid = worker_of(self.process.pid, self.port)
            if not self.pid:
                with open(said.name, encoding="utf-8", errors="replace") as file:
                    raise kit.Failed(f"{command}: {file.read().strip() or 'does not start'}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *what):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        kit.end(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)


def nginx():
    return Peer("nginx -c {folder}/config", NGINX_CONFIG)
