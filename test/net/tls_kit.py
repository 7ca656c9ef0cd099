"""TLS of the tests: an authority with certificates, contexts for sockets, hand-made bytes, openssl s_client."""
import collections
import hashlib
import pathlib
import socket
import ssl
import subprocess

HERE = ("localhost", "127.0.0.1")
KEYS = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}
WEAK = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"  # ciphers of a client that takes anything

Pair = collections.namedtuple("Pair", "cert key")


def _openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    """A certificate authority in a folder, made with openssl."""

    def __init__(self, folder):
        self.folder, self.count = pathlib.Path(folder), 0
        self.config = self.folder / "openssl.cnf"
        self.config.write_text("[req]\ndistinguished_name = name\n[name]\n", encoding="ascii")
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        self._make(Pair(self.cert, self.key), "ec", 30, "Authority of the tests", "basicConstraints=critical,CA:TRUE")

    def _make(self, pair, kind, days, name, extension, *more):
        _openssl("req", "-x509", "-config", self.config, *KEYS[kind], "-nodes", "-days", days, "-subj", f"/CN={name}",
                 "-addext", extension, "-keyout", pair.key, "-out", pair.cert, *more)

    def issue(self, *hosts, kind="ec", days=30):
        """A certificate for these hosts (none: this machine), each time another one."""
        self.count += 1
        pair = Pair(self.folder / f"{self.count}.pem", self.folder / f"{self.count}.key")
        kinds = ("IP" if host[0].isdigit() else "DNS" for host in hosts or HERE)
        names = ",".join(f"{kind}:{host}" for kind, host in zip(kinds, hosts or HERE))
        self._make(pair, kind, days, (hosts or HERE)[0], f"subjectAltName={names}", "-CA", self.cert,
                   "-CAkey", self.key)
        return pair

    def context(self, versions=None, alpn=None):
        """For a client that checks. versions: the oldest and newest that it speaks."""
        made = ssl.create_default_context(cafile=self.cert)
        if versions:
            made.minimum_version, made.maximum_version = versions
        if alpn:
            made.set_alpn_protocols(alpn)
        return made


def settings(*pairs, **more):
    """tls: of a configuration, with these certificates."""
    return {"certificates": [{"cert": str(pair.cert), "key": str(pair.key)} for pair in pairs], **more}


def careless(ciphers=None, versions=None):
    """A context for a client that believes anybody."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if ciphers:
        made.set_ciphers(ciphers)
    if versions:
        made.minimum_version, made.maximum_version = versions
    return made


def connect(port, context=None, name=None, source="127.0.0.1"):
    """A socket behind the handshake; an end without close_notify is ssl.SSLEOFError."""
    sock = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return (context or careless()).wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
    except BaseException:
        sock.close()
        raise


def fingerprint(pair):
    """As shown gives it."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pathlib.Path(pair.cert).read_text(encoding="ascii"))).hexdigest()


def shown(port, name=None, ciphers=None, versions=None):
    """Which certificate a new connection is shown."""
    with connect(port, careless(ciphers, versions), name) as sock:
        return hashlib.sha256(sock.getpeercert(True)).hexdigest()


class Talk:
    """A client's TLS in memory: what it would send is there to be cut, changed and sent by hand."""

    def __init__(self, context=None, name=None):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or careless()).wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def step(self):
        """Goes on with the handshake. The bytes to send, and whether it is done."""
        try:
            self.tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        return self.outgoing.read(), done

    def shake(self, send, receive):
        """The whole handshake."""
        while True:
            data, done = self.step()
            if data:
                send(data)
            if done:
                return
            self.incoming.write(receive())

    def seal(self, data):
        self.tls.write(data)
        return self.outgoing.read()

    def read(self, receive):
        while True:
            try:
                return self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                self.incoming.write(receive())


def client_hello(context=None, name=None):
    """The first bytes of a real client."""
    return Talk(context, name).step()[0]


def record(kind, body, version=0x0301):
    return bytes([kind]) + version.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def records(data):
    """(type, body) of each record in these bytes."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 3:at + 5], "big")
        yield data[at], data[at + 5:at + 5 + size]
        at += 5 + size


def s_client(port, *args, text="GET / HTTP/1.0\r\n\r\n", timeout_s=20):
    """All that openssl s_client says until the server has closed."""
    cmd = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", *map(str, args)]
    done = subprocess.run(cmd, input=text, capture_output=True, text=True, errors="replace", timeout=timeout_s,
                          check=False)
    return done.stdout + done.stderr
