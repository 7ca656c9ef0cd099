"""An authority of RFC 8555 on this machine: pebble, Let's Encrypt's test server, with a DNS of its own in which
every name is 127.0.0.1. And clients of it that are none."""
import json
import os
import pathlib
import shutil
import socket
import ssl
import stat
import subprocess
import urllib.request

from server import free_port, wait_until


def missing():
    """Which program a test needs and cannot have; None when all are there."""
    for program in ("pebble", "pebble-challtestsrv", "lego"):
        if not shutil.which(program):
            return f"{program} is not installed (tools/install-deps.sh test)"
    return None


def _free_udp_port():
    """Free for TCP, too."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


class Pebble:
    """Strict, and refuses one good nonce in twenty, so that its clients learn. http_port: where challenges go."""

    def __init__(self, folder, http_port, valid_s=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.ca_file = self.folder / "directory.pem"
        self.port, self.management = free_port(), free_port()
        self.directory = f"https://127.0.0.1:{self.port}/dir"
        self.children = []
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.folder / "key.pem", "-out", self.ca_file, "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        config = {"listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
                  "certificate": str(self.ca_file), "privateKey": str(self.folder / "key.pem"),
                  "httpPort": http_port, "tlsPort": free_port()}
        if valid_s:
            config["certificateValidityPeriod"] = valid_s
        (self.folder / "config.json").write_text(json.dumps({"pebble": config}), encoding="utf-8")
        try:
            dns = _free_udp_port()
            self._start("pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-http01", "", "-https01", "",
                        "-tlsalpn01", "", "-management", f"127.0.0.1:{free_port()}", "-defaultIPv6", "")
            self._start("pebble", "-strict", "-config", self.folder / "config.json", "-dnsserver", f"127.0.0.1:{dns}")
            for port in (dns, self.port, self.management):
                wait_until(lambda port=port: self._accepts(port), 20, f"port {port} of pebble")
        except BaseException:
            self.close()
            raise

    def _start(self, *cmd):
        assert all(child.poll() is None for child in self.children), self.log()
        with open(self.folder / "log", "ab") as log:
            self.children.append(subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                  env={**os.environ, "PEBBLE_VA_NOSLEEP": "1"}))

    @staticmethod
    def _accepts(port):
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    def log(self):
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def root(self):
        """A file with the certificate of the authority that it is."""
        context = ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(f"https://127.0.0.1:{self.management}/roots/0", timeout=10,
                                    context=context) as answer:
            (self.folder / "root.pem").write_bytes(answer.read())
        return self.folder / "root.pem"

    def settings(self, *domains):
        """tls.acme of a server's configuration."""
        return {"directory": self.directory, "email": "admin@a.test", "domains": list(domains),
                "ca_file": str(self.ca_file)}

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()


def shown(port, name, root=None):
    """The certificate that clients of TLS are shown, in DER; checked against this authority, if any."""
    context = ssl.create_default_context(cafile=root)
    if not root:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        with context.wrap_socket(sock, server_hostname=name) as tls:
            return tls.getpeercert(binary_form=True)


def fake_lego(folder, script):
    """A folder for PATH with a program of this name that does what the lines of shell say."""
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    path = folder / "lego"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder
