"""Real HTTP and TCP proxies between clients and the server: each with a configuration of its own, on
loopback, in the foreground, as whoever runs the tests."""
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess

from server import ROOT, free_port, wait_until

USER = pwd.getpwuid(os.geteuid()).pw_name
IS_ROOT = os.geteuid() == 0


def documented(kind):
    """The block of this kind in doc/behind-a-proxy.md: what users are told to write."""
    text = (ROOT / "doc/behind-a-proxy.md").read_text(encoding="utf-8")
    return re.search(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE).group(1)


def _squid(proxy, _server_port):
    """Started by root it becomes another user, who can open no file here."""
    proxy.write("squid.conf", f"""
http_port 127.0.0.1:{proxy.port}
http_access allow all
cache deny all
cache_mem 8 MB
max_filedescriptors 1024
pid_filename none
access_log none
cache_log /dev/null
debug_options ALL,1 11,2
cache_store_log none
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname squid.test
coredump_dir none
""")
    return ["squid", "-N", "-n", f"culvert{proxy.port}", "-d", "2", "-f", proxy.folder / "squid.conf"]


def _privoxy(proxy, _server_port):
    proxy.write("config", f"""
confdir /etc/privoxy
logdir {proxy.folder}
listen-address 127.0.0.1:{proxy.port}
toggle 0
debug 1
keep-alive-timeout 300
socket-timeout 300
""")
    return ["privoxy", "--no-daemon", proxy.folder / "config"]


def _nginx(proxy, server_port):
    sites = documented("nginx").replace("listen 80;", f"listen 127.0.0.1:{proxy.port};")
    sites = sites.replace("127.0.0.1:8080", f"127.0.0.1:{server_port}")
    temporary = "\n".join(f"    {kind}_temp_path {proxy.folder}/{kind};" for kind in (
        "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    proxy.write("nginx.conf", f"""
daemon off;
worker_processes 1;
error_log stderr warn;
pid {proxy.folder}/pid;
{f"user {USER};" if IS_ROOT else ""}
events {{ worker_connections 256; }}
http {{
    access_log off;
{temporary}
{sites}
}}
""")
    return ["nginx", "-e", "stderr", "-p", proxy.folder, "-c", proxy.folder / "nginx.conf"]


def _haproxy_with(kind, public_port):
    def make(proxy, server_port):
        text = documented(kind).replace(f"bind :{public_port}", f"bind 127.0.0.1:{proxy.port}")
        proxy.write("haproxy.cfg", text.replace("127.0.0.1:8080", f"127.0.0.1:{server_port}"))
        return ["haproxy", "-db", "-f", proxy.folder / "haproxy.cfg"]
    return make


KINDS = {
    "squid": _squid,
    "privoxy": _privoxy,
    "nginx": _nginx,
    "haproxy": _haproxy_with("haproxy", 80),
    "haproxy-tcp": _haproxy_with("haproxy-tcp", 1935),
}


class Proxy:
    """One proxy in front of a server (forward proxies: beside it). Dead after stop()."""

    def __init__(self, kind, folder, server_port):
        self.kind, self.folder, self.port = kind, pathlib.Path(folder), free_port()
        self.folder.mkdir(parents=True)
        cmd = [str(part) for part in KINDS[kind](self, server_port)]
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
        program = shutil.which(cmd[0], path=path)
        if not program:
            raise FileNotFoundError(f"{cmd[0]} is not installed: tools/install-deps.sh test")
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([program, *cmd[1:]], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        try:
            wait_until(self._accepts, 20, f"{kind} accepts")
        except AssertionError:
            self.stop()
            raise

    def _accepts(self):
        assert self.process.poll() is None, f"{self.kind} ended: {self.log()[-2000:]}"
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def write(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")

    def log(self):
        """What it has said; Squid, Privoxy: with each request."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def environment(self):
        """For clients of a forward proxy, whatever the machine's own settings are."""
        return {**os.environ, "http_proxy": f"http://127.0.0.1:{self.port}", "no_proxy": "", "NO_PROXY": ""}

    def stop(self):
        """Asks first, because Squid has shared memory to remove; then its whole process group: nginx has a child."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
