"""The site as a folder: types, ranges, conditions, redirects, what is never served, and clients
that are slow, many, or leave."""

import email.utils
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from server import app, find_binary, wait_until

MB = 1 << 20


class Site:
    def __init__(self, server, folder):
        self.server, self.folder, self.port = server, folder, server.port

    def put(self, name, data=b""):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def dial(self, receive_bytes=None):
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", self.port))
        return sock

    def ask(self, target, fields="", method="GET"):
        with self.dial() as sock:
            sock.sendall(request(target, fields + "Connection: close\r\n", method))
            return read_answer(sock, method)


def request(target, fields="", method="GET"):
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode("latin-1")


class Answer:
    def __init__(self, head):
        line, *fields = head.decode().split("\r\n")
        self.status = int(line.split()[1])
        self.fields = {}
        for field in fields:
            name, value = field.split(": ", 1)
            assert name.lower() not in self.fields, f"twice: {name}"
            self.fields[name.lower()] = value
        self.body = b""

    def __getitem__(self, name):
        return self.fields.get(name.lower())


def read_head(sock, unread=b""):
    while b"\r\n\r\n" not in unread:
        data = sock.recv(4096)
        assert data, f"closed in the head: {unread!r}"
        unread += data
    head, _, rest = unread.partition(b"\r\n\r\n")
    return Answer(head), rest


def read_answer(sock, method="GET", unread=b""):
    """One whole answer; what was read behind it is in .unread"""
    answer, rest = read_head(sock, unread)
    length = 0 if method == "HEAD" or answer.status == 304 else int(answer["content-length"])
    parts = [rest]
    have = len(rest)
    while have < length:
        data = sock.recv(65536)
        if not data:
            break
        parts.append(data)
        have += len(data)
    whole = b"".join(parts)
    answer.body, answer.unread = whole[:length], whole[length:]
    return answer


def noise(size, seed=1):
    """Bytes in which every place is different, the same each time."""
    block = b"".join(hashlib.sha256(b"%d %d" % (seed, i)).digest() for i in range(2048))
    return b"".join(block[i % 97:] for i in range(size // 65000 + 1))[:size]


@pytest.fixture
def site(start_server, tmp_path):
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "index.html").write_text("<h1>home</h1>")
    config = {"apps": [app()], "site": str(folder)}
    return Site(start_server(config=config), folder)


# ---- one file --------------------------------------------------------------------------------

def test_a_file(site):
    site.put("a.txt", b"0123456789")
    answer = site.ask("/a.txt")
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert answer["content-type"] == "text/plain; charset=utf-8"
    assert answer["x-content-type-options"] == "nosniff"
    assert answer["accept-ranges"] == "bytes"
    assert answer["cache-control"] == "no-cache"
    modified = email.utils.parsedate_to_datetime(answer["last-modified"]).timestamp()
    assert modified == int((site.folder / "a.txt").stat().st_mtime)
    assert abs(email.utils.parsedate_to_datetime(answer["date"]).timestamp() - time.time()) < 60
    assert answer["etag"].startswith('"') and answer["etag"].endswith('"')


@pytest.mark.parametrize("name,kind", [
    ("a.html", "text/html; charset=utf-8"), ("a.css", "text/css; charset=utf-8"),
    ("a.js", "text/javascript; charset=utf-8"), ("a.json", "application/json"),
    ("a.svg", "image/svg+xml; charset=utf-8"), ("a.PNG", "image/png"), ("a.mp4", "video/mp4"),
    ("a.m3u8", "application/vnd.apple.mpegurl"), ("a.ts", "video/mp2t"), ("a.wasm", "application/wasm"),
    ("a", "application/octet-stream"), ("a.unknown", "application/octet-stream"),
])
def test_types(site, name, kind):
    site.put(name, b"x")
    assert site.ask("/" + name)["content-type"] == kind


def test_names(site):
    site.put("with blank & ä.txt", b"x")
    site.put("100%.txt", b"y")
    assert site.ask("/with%20blank%20%26%20%C3%A4.txt").body == b"x"
    assert site.ask("/100%25.txt").body == b"y"
    assert site.ask("/100%25.txt?version=3&x=/../").body == b"y"
    assert site.ask("http://elsewhere.example/100%25.txt").status in (200, 400)  # Host differs


def test_head(site):
    site.put("a.bin", noise(300000))
    whole, head = site.ask("/a.bin"), site.ask("/a.bin", method="HEAD")
    for name in ("content-length", "etag", "last-modified", "content-type", "accept-ranges"):
        assert head[name] == whole[name]
    assert head.status == 200 and head.body == b"" and head.unread == b""
    assert site.ask("/a.bin", "Range: bytes=0-1\r\n", "HEAD").status == 200  # Range is for GET
    missing = site.ask("/b.bin", method="HEAD")
    assert missing.status == 404 and missing.unread == b""


def test_empty_file(site):
    site.put("empty.txt")
    answer = site.ask("/empty.txt")
    assert (answer.status, answer["content-length"], answer.body) == (200, "0", b"")
    assert site.ask("/empty.txt", "Range: bytes=0-\r\n").status == 416
    assert site.ask("/empty.txt", "Range: bytes=-5\r\n").status == 200


def test_other_methods(site):
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        answer = site.ask("/index.html", "Content-Length: 0\r\n", method)
        assert answer.status == 405 and answer["allow"] == "GET, HEAD", method
    waits = site.ask("/index.html", "Content-Length: 5\r\nExpect: 100-continue\r\n", "PUT")
    assert waits.status == 405


def test_sizes_around_a_block(site):
    for size in (1, 131071, 131072, 131073, 262143, 262144, 262145, 3 * 131072):
        data = noise(size, size)
        site.put("a.bin", data)
        assert site.ask("/a.bin").body == data


# ---- ranges ------------------------------------------------------------------------------------

@pytest.mark.parametrize("wanted,first,last", [
    ("0-0", 0, 0), ("0-499", 0, 499), ("500-999", 500, 999), ("299999-299999", 299999, 299999),
    ("299999-", 299999, 299999), ("0-", 0, 299999), ("-1", 299999, 299999), ("-300000", 0, 299999),
    ("-999999", 0, 299999), ("299990-999999999999999999999999", 299990, 299999),
    ("131071-131072", 131071, 131072), ("1000-270000", 1000, 270000),
])
def test_ranges(site, wanted, first, last):
    data = noise(300000)
    site.put("a.bin", data)
    answer = site.ask("/a.bin", f"Range: bytes={wanted}\r\n")
    assert answer.status == 206
    assert answer["content-range"] == f"bytes {first}-{last}/300000"
    assert answer["content-length"] == str(last - first + 1)
    assert answer.body == data[first:last + 1]


@pytest.mark.parametrize("wanted", ["300000-", "300000-300001", "-0", "99999999999999999999999-"])
def test_ranges_outside(site, wanted):
    site.put("a.bin", noise(300000))
    answer = site.ask("/a.bin", f"Range: bytes={wanted}\r\n")
    assert answer.status == 416 and answer["content-range"] == "bytes */300000"


@pytest.mark.parametrize("value", [
    "bytes=0-1,5-6", "bytes=5-3", "bytes=a-b", "bytes", "lines=0-1", "bytes=1", "bytes=-", ""])
def test_ranges_that_are_ignored(site, value):
    site.put("a.bin", noise(1000))
    answer = site.ask("/a.bin", f"Range: {value}\r\n")
    assert answer.status == 200 and len(answer.body) == 1000
    assert site.ask("/a.bin", "Range: bytes=0-1\r\nRange: bytes=0-1\r\n").status == 200


def test_if_range(site):
    site.put("a.bin", noise(1000))
    now = site.ask("/a.bin")
    part = "Range: bytes=0-9\r\nIf-Range: "
    assert site.ask("/a.bin", part + now["etag"] + "\r\n").status == 206
    assert site.ask("/a.bin", part + now["last-modified"] + "\r\n").status == 206
    assert site.ask("/a.bin", part + "W/" + now["etag"] + "\r\n").status == 200
    assert site.ask("/a.bin", part + '"old"\r\n').status == 200
    assert site.ask("/a.bin", part + "Sun, 06 Nov 1994 08:49:37 GMT\r\n").status == 200


# ---- conditions --------------------------------------------------------------------------------

def test_conditions(site):
    path = site.put("a.txt", b"one")
    one = site.ask("/a.txt")
    same = site.ask("/a.txt", f"If-None-Match: {one['etag']}\r\n")
    assert same.status == 304 and same.unread == b"" and same["etag"] == one["etag"]
    assert same["content-length"] is None and same["content-type"] is None
    assert site.ask("/a.txt", f"If-None-Match: \"x\", W/{one['etag']}\r\n").status == 304
    assert site.ask("/a.txt", f"If-None-Match: {one['etag']}\r\n", "HEAD").status == 304
    assert site.ask("/a.txt", f"If-Modified-Since: {one['last-modified']}\r\n").status == 304
    assert site.ask("/a.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n").status == 200
    assert site.ask("/a.txt", 'If-Match: "x"\r\n').status == 412
    assert site.ask("/a.txt", "If-Unmodified-Since: Sun Nov  6 08:49:37 1994\r\n").status == 412
    path.write_bytes(b"two")
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    two = site.ask("/a.txt", f"If-None-Match: {one['etag']}\r\n")
    assert two.status == 200 and two.body == b"two" and two["etag"] != one["etag"]


def test_strange_times(site):
    path = site.put("a.txt", b"one")
    for seconds in (-86400 * 365 * 30, 0, 2**33):
        os.utime(path, (seconds, seconds))
        answer = site.ask("/a.txt")
        told = email.utils.parsedate_to_datetime(answer["last-modified"]).timestamp()
        assert 0 <= told <= time.time() + 1
        assert site.ask("/a.txt", f"If-None-Match: {answer['etag']}\r\n").status == 304


# ---- folders -----------------------------------------------------------------------------------

def test_index(site):
    site.put("a/index.html", b"a")
    home = site.ask("/")
    assert home.status == 200 and home.body == b"<h1>home</h1>"
    assert home["content-type"] == "text/html; charset=utf-8"
    assert site.ask("/a/").body == b"a"
    assert site.ask("/index.html/").status == 404


def test_no_list(site):
    site.put("a/b.txt", b"b")
    answer = site.ask("/a/")
    assert answer.status == 404 and b"b.txt" not in answer.body
    (site.folder / "a/index.html").mkdir()
    assert site.ask("/a/").status in (301, 404)


def test_folder_without_slash(site):
    site.put("a b/c/index.html", b"c")
    answer = site.ask("/a%20b/c")
    assert answer.status == 301 and answer["location"] == "/a%20b/c/"
    answer = site.ask("/a%20b/c?x=//1&y")
    assert answer.status == 301 and answer["location"] == "/a%20b/c/?x=//1&y"
    assert site.ask("/a%20b/c?")["location"] == "/a%20b/c/?"
    site.put("evil.example/index.html", b"c")
    for target in ("//evil.example", "/\\evil.example", "/%2fevil.example", "/%5cevil.example",
                   "///evil.example", "/.//evil.example"):
        answer = site.ask(target)
        assert answer.status in (400, 404) and answer["location"] is None, target
    assert site.ask("http://a/evil.example")["location"] == "/evil.example/"


# ---- what is never served ----------------------------------------------------------------------

@pytest.mark.parametrize("target", [
    "/../secret", "/../../../../../../etc/passwd", "/%2e%2e/secret", "/.%2e/secret", "/..%2fsecret",
    "/%2e%2e%2fsecret", "/..%5csecret", "/..\\secret", "/a/../../secret", "/a/%2e%2e/%2e%2e/secret",
    "/%252e%252e/secret", "/%c0%ae%c0%ae/secret", "/%00", "/index.html%00", "//secret", "//etc/passwd",
    "/out", "/out_folder/secret", "/absolute", "/.hidden", "/.git/config", "/%2ehidden", "/proc/self/environ",
    "/a/up/secret", "/%", "/%zz", "/" + "x" * 300, "/" + "y/" * 3000,
])
def test_bug_17_nothing_outside_is_served(site, target):
    (site.folder.parent / "secret").write_bytes(b"the secret")
    site.put(".hidden", b"the secret")
    site.put(".git/config", b"the secret")
    site.put("a/index.html", b"a")
    (site.folder / "out").symlink_to("../secret")
    (site.folder / "out_folder").symlink_to("..")
    (site.folder / "absolute").symlink_to(site.folder.parent / "secret")
    (site.folder / "proc").symlink_to("/proc")
    (site.folder / "a/up").symlink_to("../..")
    answer = site.ask(target)
    assert answer.status in (400, 404), target
    assert b"secret" not in answer.body


def test_links_that_stay_inside(site):
    site.put("a/b.txt", b"b")
    (site.folder / "in").symlink_to("a/b.txt")
    (site.folder / "folder").symlink_to("a")
    assert site.ask("/in").body == b"b"
    assert site.ask("/folder/b.txt").body == b"b"
    assert site.ask("/folder")["location"] == "/folder/"


def test_well_known(site):
    site.put(".well-known/acme-challenge/token", b"proof")
    assert site.ask("/.well-known/acme-challenge/token").body == b"proof"


def test_what_is_no_file(site):
    os.mkfifo(site.folder / "fifo")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(site.folder / "socket"))
    (site.folder / "null").symlink_to("/dev/null")
    (site.folder / "loop").symlink_to("loop")
    for _ in range(6):  # more than there are helper threads
        assert site.ask("/fifo").status == 403
    assert site.ask("/socket").status == 403
    assert site.ask("/null").status == 404
    assert site.ask("/loop").status == 404
    assert site.ask("/").status == 200


def test_the_folder_goes_and_comes(site):
    other = site.folder.parent / "away"
    site.folder.rename(other)
    assert site.ask("/").status == 404
    other.rename(site.folder)
    assert site.ask("/").status == 200


# ---- connections -------------------------------------------------------------------------------

def test_requests_of_one_connection(site):
    data = noise(400000)
    site.put("a.bin", data)
    with site.dial() as sock:
        for target, method in (("/", "GET"), ("/a.bin", "GET"), ("/a.bin", "HEAD"), ("/nothing", "GET"),
                               ("/a.bin", "GET")):
            sock.sendall(request(target, method=method))
            answer = read_answer(sock, method)
            assert answer["connection"] is None
            if target == "/a.bin" and method == "GET":
                assert answer.body == data


def test_pipelined_requests(site):
    data = noise(400000)
    site.put("a.bin", data)
    targets = ["/", "/a.bin", "/nothing", "/a.bin", "/../x", "/"] * 3
    with site.dial() as sock:
        sock.sendall(b"".join(request(target) for target in targets))
        unread = b""
        for target in targets:
            answer = read_answer(sock, unread=unread)
            unread = answer.unread
            assert answer.status == {"/": 200, "/a.bin": 200, "/nothing": 404, "/../x": 400}[target]
            assert target != "/a.bin" or answer.body == data
        assert unread == b""


def test_http_1_0_and_close(site):
    with site.dial() as sock:
        sock.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        answer = read_answer(sock)
        assert answer["connection"] == "close" and answer.body == b"<h1>home</h1>"
        assert sock.recv(1) == b""


def test_a_tunnel_and_files_on_one_connection(site):
    with site.dial() as sock:
        sock.sendall(request("/") + b"POST /open/1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-fcs\r\n"
                     b"Content-Length: 1\r\n\r\n\0" + request("/index.html"))
        first = read_answer(sock)
        second = read_answer(sock, unread=first.unread)
        third = read_answer(sock, unread=second.unread)
        assert (first.body, third.body) == (b"<h1>home</h1>",) * 2
        assert second.status == 200 and len(second.body) == 32


# ---- large, slow, many -------------------------------------------------------------------------

def test_300_mb_with_little_memory(site):
    path = site.folder / "large.bin"
    with open(path, "wb") as file:
        file.truncate(300 * MB)
        for i in range(0, 300, 7):
            file.seek(i * MB + i)
            file.write(b"%d" % i)
    expected = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(MB):
            expected.update(block)
    before = site.server.rss_bytes()
    got, size, most = hashlib.sha256(), 0, 0
    with site.dial() as sock:
        sock.sendall(request("/large.bin"))
        answer, rest = read_head(sock)
        assert answer["content-length"] == str(300 * MB)
        while True:
            got.update(rest)
            size += len(rest)
            if size == 300 * MB:
                break
            rest = sock.recv(MB)
            assert rest, f"ended after {size}"
            if size % (16 * MB) < len(rest):
                most = max(most, site.server.rss_bytes())
    assert got.digest() == expected.digest()
    assert most - before < (60 * MB if site.server.sanitized() else 8 * MB)


def test_past_4_gb(site):
    size = 5 << 30
    path = site.folder / "huge.bin"
    with open(path, "wb") as file:
        file.truncate(size)
        file.seek(size - 4)
        file.write(b"last")
    answer = site.ask("/huge.bin", "Range: bytes=-6\r\n")
    assert answer["content-range"] == f"bytes {size - 6}-{size - 1}/{size}"
    assert answer.body == b"\0\0last"
    assert site.ask("/huge.bin", method="HEAD")["content-length"] == str(size)


def test_slow_clients_hold_up_nobody(site):
    data = noise(4 * MB)
    site.put("large.bin", data)
    slow = [site.dial(receive_bytes=4096) for _ in range(20)]
    for sock in slow:
        sock.sendall(request("/large.bin"))
    heads = [read_head(sock) for sock in slow]
    for _ in range(50):
        assert site.ask("/").status == 200
    for sock, (answer, rest) in zip(slow, heads):
        body = [rest]
        have = len(rest)
        while have < len(data):
            got = sock.recv(65536)
            assert got
            body.append(got)
            have += len(got)
        assert b"".join(body) == data
        sock.close()


def test_who_takes_nothing_is_closed(start_server, tmp_path):
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "large.bin").write_bytes(bytes(32 * MB))
    site = Site(start_server(config={"apps": [app()], "site": str(folder), "limits": {"write_stall_s": 1}}),
                folder)
    with site.dial(receive_bytes=4096) as sock:
        sock.sendall(request("/large.bin"))
        read_head(sock)
        port = sock.getsockname()[1]
        wait_until(lambda: any("http.close" in line and "not taken" in line
                               for line in site.server.lines_about(port)), 15, "closed")


def open_files(server):
    folder = f"/proc/{server.process.pid}/fd"
    found = []
    for name in os.listdir(folder):
        try:
            found.append(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:
            pass
    return found


def test_bug_24_clients_that_leave(site):
    path = site.put("large.bin", bytes(16 * MB))
    for i in range(40):
        with site.dial(receive_bytes=4096) as sock:
            sock.sendall(request("/large.bin"))
            if i % 2:
                read_head(sock)
            if i % 4 == 3:  # RST
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until(lambda: str(path) not in open_files(site.server), 10, "files closed")
    assert site.ask("/").status == 200


def test_many_at_once(site):
    data = noise(700000)
    site.put("a.bin", data)
    wrong = []

    def load(i):
        try:
            if site.ask("/a.bin").body != data:
                wrong.append(i)
        except (AssertionError, OSError) as err:
            wrong.append(err)
    threads = [threading.Thread(target=load, args=(i,)) for i in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    wait_until(lambda: not any("a.bin" in name for name in open_files(site.server)), 10, "files closed")


def test_stop_in_the_middle(site):
    site.put("large.bin", bytes(16 * MB))
    socks = [site.dial(receive_bytes=4096) for _ in range(10)]
    for sock in socks:
        sock.sendall(request("/large.bin"))
    read_head(socks[0])
    site.server.stop()
    for sock in socks:
        sock.close()


# ---- files that change -------------------------------------------------------------------------

def test_a_file_that_becomes_shorter_is_cut(site):
    path = site.put("a.bin", bytes(64 * MB))
    with site.dial(receive_bytes=4096) as sock:
        sock.sendall(request("/a.bin"))
        answer, rest = read_head(sock)
        os.truncate(path, MB)
        size = len(rest)
        while data := sock.recv(65536):
            size += len(data)
        assert answer["content-length"] == str(64 * MB) and size < 64 * MB
        port = sock.getsockname()[1]
    wait_until(lambda: any("site.file" in line and "err=TRUNCATED" in line
                           for line in site.server.lines_about(port)), 5, "logged")
    assert site.ask("/").status == 200


def test_a_file_that_grows_is_sent_as_it_was(site):
    path = site.put("a.bin", bytes(8 * MB))
    with site.dial(receive_bytes=4096) as sock:
        sock.sendall(request("/a.bin"))
        answer, rest = read_head(sock)
        with open(path, "ab") as file:
            file.write(b"more")
        while len(rest) < 8 * MB:
            rest += sock.recv(MB)
        assert rest == bytes(8 * MB) and answer["content-length"] == str(8 * MB)
        sock.sendall(request("/a.bin", "Range: bytes=-4\r\n"))
        assert read_answer(sock).body == b"more"


def test_a_file_that_is_deleted_or_replaced_is_sent_to_its_end(site):
    path = site.put("a.bin", bytes(8 * MB))
    with site.dial(receive_bytes=4096) as sock:
        sock.sendall(request("/a.bin"))
        _, rest = read_head(sock)
        path.unlink()
        site.put("a.bin", b"new")
        while len(rest) < 8 * MB:
            rest += sock.recv(MB)
        assert rest == bytes(8 * MB)
        sock.sendall(request("/a.bin"))
        assert read_answer(sock).body == b"new"


# ---- configuration -----------------------------------------------------------------------------

def test_a_folder_that_is_not_there(tmp_path):
    config = tmp_path / "culvert.yaml"
    config.write_text(f"site: {tmp_path}/missing\n")
    for args in (["--check"], []):
        done = subprocess.run([find_binary(), "serve", "-c", config, "--state", tmp_path / "state", *args],
                              capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 3
        assert "there is no such folder" in done.stderr and "make it" in done.stderr


def test_reload(site):
    other = site.folder.parent / "other"
    other.mkdir()
    (other / "index.html").write_text("other")
    path = site.server.folder / "culvert.yaml"
    text = path.read_text()

    def reload_with(folder, told):
        before = site.server.log().count(told)
        path.write_text(text.replace(str(site.folder), str(folder)))
        site.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: site.server.log().count(told) > before, 10, told)
    reload_with(site.folder.parent / "missing", "server.reload_failed")
    assert site.ask("/").body == b"<h1>home</h1>"
    reload_with(other, "server.reload\n")
    wait_until(lambda: site.ask("/").body == b"other", 10, "the other folder")


# ---- a real client -----------------------------------------------------------------------------

@pytest.fixture
def curl(site):
    binary = shutil.which("curl") or pytest.skip("no curl")

    def run(path, *args):
        done = subprocess.run([binary, "-sS", "--max-time", "30", *args, f"http://127.0.0.1:{site.port}{path}"],
                              capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
    return run


def test_curl(site, curl, tmp_path):
    data = noise(3 * MB)
    site.put("a b/a.bin", data)
    site.put("a b/index.html", b"folder")
    assert curl("/a%20b/a.bin") == data
    assert curl("/a%20b", "-L") == b"folder"
    assert curl("/a%20b/a.bin", "-r", "1000-1999") == data[1000:2000]
    part = tmp_path / "part"
    part.write_bytes(data[:MB])
    curl("/a%20b/a.bin", "-C", "-", "-o", part)  # resumes
    assert part.read_bytes() == data
    tag = tmp_path / "tag"
    assert curl("/a%20b/a.bin", "--etag-save", tag) == data
    assert curl("/a%20b/a.bin", "--etag-compare", tag, "-w", "%{http_code}") == b"304"
    assert curl("/a%20b/a.bin", "-z", tmp_path / "part", "-w", "%{http_code}") == b"304"
    assert curl("/../../../../etc/passwd", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}") == b"400"


def test_a_client_that_closes_its_side_still_gets_the_file(site):
    """As `nc -N` and old scripts do: the request, then FIN; here with more than sockets hold."""
    data = noise(20 * MB)
    site.put("large", data)
    with site.dial(receive_bytes=20000) as sock:
        sock.sendall(request("/large"))
        sock.shutdown(socket.SHUT_WR)
        answer = read_answer(sock)
        assert answer.status == 200 and hashlib.md5(answer.body).digest() == hashlib.md5(data).digest()
        assert sock.recv(1) == b""
