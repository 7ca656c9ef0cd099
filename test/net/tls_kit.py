"""TLS for tests of the server: settings, sockets, bytes made by hand, openssl s_client."""
import hashlib
import pathlib
import socket
import ssl
import subprocess

HERE = ("localhost", "127.0.0.1")
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
ONLY_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
EOF = ssl.SSLError  # what becomes of an end without close_notify
WEAK = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"  # ciphers of a client that takes anything


def settings(*issued, **more):
    """tls: of a configuration, with these certificates (of certificates.py)."""
    return {"certificates": [{"cert": str(one.cert), "key": str(one.key)} for one in issued], **more}


def careless(ciphers=None, versions=None, alpn=None):
    """A context for a client that believes anybody. versions: the oldest and the newest."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if ciphers:
        made.set_ciphers(ciphers)
    if versions:
        made.minimum_version, made.maximum_version = versions
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


def connect(port, context=None, name=None, source="127.0.0.1"):
    """A socket behind the handshake; an end without close_notify is EOF, the exception."""
    context = context or careless()
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    sock = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return context.wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
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


def ask(sock):
    """A request, and its whole answer; what comes with it, too, as tickets do."""
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def session(port, context):
    """With the ticket of a first connection."""
    with connect(port, context) as sock:
        ask(sock)
        return sock.session


def reused(port, context, ticket):
    """A second connection, which begins with that."""
    sock = socket.create_connection(("127.0.0.1", port), 10)
    with context.wrap_socket(sock, session=ticket) as secure:
        ask(secure)
        return secure.session_reused


class Talk:
    """A client's TLS in memory: what it would send is there to be cut, changed and sent by hand."""

    def __init__(self, context=None, name=None, session=None):  # pylint: disable=redefined-outer-name
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or careless()).wrap_bio(self.incoming, self.outgoing, server_hostname=name,
                                                    session=session)

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


class Wire:
    """A TCP connection, for bytes made by hand."""

    def __init__(self, port, source="127.0.0.1", timeout_s=10, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout_s)
        self.sock.bind((source, 0))
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_slowly(self, data, step):
        for at in range(0, len(data), step):
            self.send(data[at:at + step])

    def receive(self):
        """Bytes of the server; b"" at its end, also when that is a reset."""
        try:
            return self.sock.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def rest(self):
        """All that comes until the server has closed."""
        return b"".join(iter(self.receive, b""))


def ended(sock):
    """The server closes, in whichever way, and says nothing before."""
    try:
        return sock.recv(1) == b""
    except (ConnectionResetError, EOF):
        return True
