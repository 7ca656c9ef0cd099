"""TLS for tests of the server: settings, sockets, bytes made by hand, openssl s_client."""
import hashlib
import pathlib
import socket
import ssl
import subprocess

HERE = ("localhost", "127.0.0.1")
WEAK = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"  # ciphers of a client that takes anything


def settings(*issued, **more):
    """tls: of a configuration, with these certificates (of certificates.py)."""
    return {"certificates": [{"cert": str(one.cert), "key": str(one.key)} for one in issued], **more}


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


def fingerprint(issued):
    """As shown gives it."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pathlib.Path(issued.cert).read_text(encoding="ascii"))).hexdigest()


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
