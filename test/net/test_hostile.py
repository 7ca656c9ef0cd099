"""culvert play and culvert publish against a server that means harm.

Whatever it does: the client ends by itself, in time, in bounded memory, with one clear sentence that
holds no byte that a terminal could take for an order, and with an exit code that says what it was.
"""
import concurrent.futures
import random

import pytest

import synth
from hostile import Hostile, command, handshake, run_client, status, talk, user_control
from rtmp_raw import COMMAND, DATA, PING, VIDEO, amf_encode, chunks

PEAK_KB = 128 * 1024  # with the address sanitizer 60 MB are seen
NO_WAY, REFUSED, NO_STREAM, LOST = 7, 8, 9, 12
NOISE = random.Random(4).randbytes(1 << 16)
OK_ID = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nID\n"
ESCAPES = "\x1b]0;owned\x07\x1b[31m\r\n"


def answer(*pieces):
    """Says these to whatever comes first, and goes."""
    def behave(peer):
        peer.listen()
        for piece in pieces:
            peer.send(piece)
    return behave


def answer_and_pour(head, piece):
    def behave(peer):
        peer.listen()
        peer.send(head)
        peer.pour(piece)
    return behave


def answer_and_hold(head):
    def behave(peer):
        peer.listen()
        peer.send(head)
        peer.hold()
    return behave


def drip(data):
    def behave(peer):
        peer.listen()
        peer.drip(data)
    return behave


def after_id(*pieces, endless=b""):
    """A tunnel is opened; the requests that follow get this."""
    def behave(peer):
        if peer.listen().startswith(b"POST /open"):
            peer.send(OK_ID)
            peer.listen()
        for piece in pieces:
            peer.send(piece)
        if endless:
            peer.pour(endless)
        peer.hold()
    return behave


def after(until, *pieces, endless=b""):
    """RTMP as it should be up to this answer; then these."""
    def behave(peer):
        talk(peer, until)
        for piece in pieces:
            peer.send(piece)
        if endless:
            peer.pour(endless)
        peer.hold()
    return behave


def after_handshake(*pieces, endless=b""):
    def behave(peer):
        handshake(peer)
        for piece in pieces:
            peer.send(piece)
        if endless:
            peer.pour(endless)
        peer.hold()
    return behave


# Any way is tried, and each meets the same.
HTTP = {
    "closes at once": lambda peer: None,
    "closes": answer(),
    "noise": answer_and_pour(b"", NOISE),
    "zeros": answer_and_pour(b"", bytes(1024)),
    "another protocol": answer(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "a TLS alert": answer(b"\x15\x03\x01\x00\x02\x02\x16"),
    "silence": lambda peer: peer.hold(),
    "deafness": lambda peer: peer.deaf(),
    "headers without an end": answer_and_pour(b"HTTP/1.1 200 OK\r\n", b"X-Filler: abcdefgh\r\n"),
    "a header without an end": answer_and_pour(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 1024),
    "a status line without an end": answer_and_pour(b"HTTP/1.1 200 ", b"O" * 1024),
    "blank lines": answer_and_pour(b"", b"\r\n"),
    "interim answers without an end": answer_and_pour(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "hints without an end": answer_and_pour(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "drips": drip(b"HTTP/1.1 200 OK\r\nX-Filler: abcdefgh\r\n" + b"X: y\r\n" * 1000),
    "drips a handshake": drip(b"\x03" + bytes(5000)),
    "a length of 2^64": answer_and_pour(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n", b"a"),
    "a length of 2^62": answer_and_pour(b"HTTP/1.1 200 OK\r\nContent-Length: 4611686018427387904\r\n\r\n", b"a"),
    "a negative length": answer(b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nID\n"),
    "two lengths": answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nID\n"),
    "a length too long for its body": answer(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nID\n"),
    "an id without an end": answer_and_pour(b"HTTP/1.1 200 OK\r\n\r\n", b"abcdefgh"),
    "an id with a line in it": answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nID\r\nX: y\n"),
    "a page without an end": answer_and_pour(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", b"<p>"),
    "chunks without an end": answer_and_pour(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                                             b"8\r\nabcdefgh\r\n"),
    "a chunk of 2^63": answer_and_pour(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\n",
                                       b"a"),
    "a portal with orders for a terminal": answer(b"HTTP/1.1 302 Found\r\nLocation: http://x/\x1b[31m\xff\xfe\r\n"
                                                  b"Content-Length: 0\r\n\r\n"),
    "a long way to a portal": answer(b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/" + b"a" * 7000 +
                                     b"\r\nContent-Length: 0\r\n\r\n"),
    "an upgrade to something else": answer(b"HTTP/1.1 101 Sure\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
    "an upgrade to noise": answer_and_pour(b"HTTP/1.1 101 Sure\r\nUpgrade: rtmp\r\nConnection: Upgrade\r\n\r\n", NOISE),
    "an upgrade to silence": answer_and_hold(b"HTTP/1.1 101 Sure\r\nUpgrade: rtmp\r\nConnection: Upgrade\r\n\r\n"),
    "an upgrade to a handshake without an end": answer_and_pour(
        b"HTTP/1.1 101 Sure\r\nUpgrade: rtmp\r\nConnection: Upgrade\r\n\r\n", b"\x03" + bytes(1536)),
}
# A tunnel that opens as it should.
TUNNEL = {
    "replies without an end": after_id(b"HTTP/1.1 200 OK\r\n\r\n\x01", endless=NOISE),
    "a reply of 2^62 bytes": after_id(b"HTTP/1.1 200 OK\r\nContent-Length: 4611686018427387904\r\n\r\n\x01",
                                      endless=b"a"),
    "replies that nobody has asked for": after_id(endless=b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\x01"),
    "empty replies": after_id(endless=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "interim answers without an end": after_id(endless=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "refusals": after_id(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
    "the end of the session": after_id(b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n"),
    "silence": after_id(),
    "noise in it": after_id(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n\x01" + NOISE[:3999]),
}
# Plain RTMP, cheated on before anything was promised.
RTMP = {
    "a handshake without an end": lambda peer: (peer.listen(), peer.pour(b"\x03" + bytes(1536))),
    "half a handshake": answer_and_hold(b"\x03" + bytes(1600)),
    "another version": answer_and_pour(b"\x06", bytes(1536)),
    "noise behind the handshake": after_handshake(endless=NOISE),
    "silence behind the handshake": after_handshake(),
    "chunk headers without an end": after_handshake(endless=b"\xc3"),
    "a command of 16 MB": after_handshake(b"\x03\0\0\0\xff\xff\xff\x14\0\0\0\0",
                                          endless=b"\x02\x00\x01a" * 32 + b"\xc3"),
    "values in values": after_handshake(chunks(COMMAND, amf_encode("_result", 1) + b"\x0a\0\0\0\x01" * 2000)),
    "an array of 2^32": after_handshake(chunks(COMMAND, amf_encode("_result", 1) + b"\x0a\xff\xff\xff\xff")),
    "pings without an end": after_handshake(endless=user_control(PING, 7)),
    "half messages on all chunk streams": after_handshake(b"".join(
        b"\x00" + bytes([n]) + b"\0\0\0\xff\xff\xff\x09\1\0\0\0" + bytes(128) for n in range(256))),
    "a length that changes in mid message": after_handshake(
        b"\x06\0\0\0\0\x13\x88\x09\1\0\0\0" + bytes(128) + b"\x06\0\0\0\xff\xff\xff\x09\1\0\0\0", endless=bytes(128)),
    "chunks of one byte": after_handshake(chunks(1, b"\0\0\0\1", csid=2), endless=b"\xc3\x02"),
}


def check(outcome, codes, limit_s):
    assert outcome.code is not None, f"still runs after {limit_s} s: {outcome.lines}"
    assert outcome.code in codes, outcome
    assert 1 <= len(outcome.lines) <= 2, outcome.lines  # what it was, and perhaps what to do
    for line in outcome.lines:
        assert len(line) < 400 and all(0x20 <= byte < 0x7f for byte in line), line
    assert outcome.lines[0].startswith(b"culvert: "), outcome.lines
    assert b"no route" not in outcome.lines[0]  # it was there, after all
    assert outcome.peak_kb < PEAK_KB, outcome


def client_words(folder, hostile, mode):
    url = f"rtmp://127.0.0.1:{hostile.port}/live/a?key=secret"
    if mode == "play":
        return ["play", url, "-o", folder / "out.flv"]
    synth.write_file(folder / "in.flv", 500)
    return ["publish", folder / "in.flv", url]


def meet(tmp_path, behave, codes, mode="play", via="auto", limit_s=30):
    with Hostile(behave) as hostile:
        words = client_words(tmp_path, hostile, mode)
        outcome = run_client(tmp_path, [*words, "--via", via, "-q"], limit_s)
    check(outcome, codes, limit_s)
    assert b"secret" not in b"".join(outcome.lines)
    return outcome


@pytest.mark.parametrize("what", HTTP)
def test_bug_14_answers_to_anything(tmp_path, what):
    meet(tmp_path, HTTP[what], {NO_WAY})


@pytest.mark.parametrize("via", ["rtmp", "rtmpt", "ws"])
@pytest.mark.parametrize("what", ["noise", "headers without an end", "interim answers without an end", "drips",
                                  "a length of 2^62", "closes", "silence"])
def test_bug_14_answers_to_one_way(tmp_path, what, via):
    meet(tmp_path, HTTP[what], {NO_WAY}, mode="publish", via=via)


@pytest.mark.parametrize("what", TUNNEL)
def test_bug_14_replies_in_a_tunnel(tmp_path, what):
    meet(tmp_path, TUNNEL[what], {NO_WAY}, via="rtmpt")


@pytest.mark.parametrize("what", RTMP)
def test_bug_04_cheating_in_rtmp(tmp_path, what):
    meet(tmp_path, RTMP[what], {NO_WAY}, via="rtmp")


@pytest.mark.parametrize("mode", ["play", "publish"])
def test_words_of_the_server_are_shown_without_their_orders(tmp_path, mode):
    code = "NetStream.Play.StreamNotFound" if mode == "play" else "NetStream.Publish.BadName"
    behave = after(b"createStream", status(code, ESCAPES + "in use" + "!" * 5000, level="error"))
    outcome = meet(tmp_path, behave, {NO_STREAM} if mode == "play" else {REFUSED}, mode=mode, via="rtmp")
    assert b"in use" in outcome.lines[0]


def test_connect_is_refused_in_strange_words(tmp_path):
    info = {"level": "error", "code": "NetConnection.Connect.Rejected", "description": ESCAPES}

    def behave(peer):
        handshake(peer)
        peer.send(command("_error", 1, None, info))
        peer.hold()
    meet(tmp_path, behave, {REFUSED}, via="rtmp")


# It was through, so it tries to come back, for a minute: the slow ones.
CUT = {
    "noise": after(b"start", endless=NOISE),
    "half messages": after(b"start", b"".join(
        b"\x00" + bytes([n]) + b"\0\0\0\xff\xff\xff\x09\1\0\0\0" + bytes(128) for n in range(60)), endless=b"\xc6"),
    "a length that changes": after(b"start", b"\x06\0\0\0\0\x13\x88\x09\1\0\0\0" + bytes(128) +
                                   b"\x06\0\0\0\xff\xff\xff\x09\1\0\0\0", endless=bytes(128)),
    "the end of the connection": lambda peer: talk(peer),
    "the end of the connection, and of all others": lambda peer: talk(peer) if peer.number == 1 else None,
}


@pytest.mark.slow
@pytest.mark.limit_s(150)
@pytest.mark.parametrize("mode", ["play", "publish"])
def test_ways_that_are_cut_as_soon_as_they_stand(tmp_path, mode):
    """It tries to come back, later and later, and gives up after a minute. All at once, to save time."""
    def run(number, behave):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Hostile(behave) as hostile:
            words = client_words(folder, hostile, mode) + ["--via", "rtmp", "-q"]
            return run_client(folder, words + ["--loop"] * (mode == "publish"), 120), hostile.connections
    with concurrent.futures.ThreadPoolExecutor(len(CUT)) as pool:
        runs = {what: pool.submit(run, number, behave) for number, (what, behave) in enumerate(CUT.items())}
        for what, future in runs.items():
            outcome, connections = future.result()
            check(outcome, {LOST}, 120)
            assert 50 < outcome.seconds < 110, (what, outcome)
            assert connections < 100, (what, connections)


# What goes on for as long as the user likes.
ENDLESS = {
    "statuses": after(b"start", endless=status("NetStream.Play.Odd", ESCAPES * 1000)),
    "counts that nobody has asked for": after(b"start", endless=command("onTaken", 0, None, 1e300, msid=1)),
    "results that nobody has asked for": after(b"start", endless=command("_result", 4, None, 7)),
    "metadata": after(b"start", endless=chunks(DATA, amf_encode("onMetaData", {"a": "b" * 5000}), msid=1)),
    "chunk sizes": after(b"start", endless=chunks(1, b"\0\0\x10\0", csid=2)),
    "silence": after(b"start"),
    "deafness": lambda peer: (talk(peer), peer.deaf()),
}


@pytest.mark.parametrize("mode", ["play", "publish"])
@pytest.mark.parametrize("what", ENDLESS)
def test_what_has_no_end_is_stopped_by_the_user(tmp_path, what, mode):
    with Hostile(ENDLESS[what]) as hostile:
        words = client_words(tmp_path, hostile, mode)
        outcome = run_client(tmp_path, [*words, "--via", "rtmp", "-q"], 30, interrupt_s=2)
    assert outcome.code == 130 and len(outcome.lines) <= 1, outcome
    assert outcome.peak_kb < PEAK_KB, outcome


def test_media_without_an_end_is_written_as_it_comes(tmp_path):
    """A player of a server that never stops: what it holds does not grow."""
    frame = b"\x17\x01\0\0\0" + bytes(60000)
    with Hostile(after(b"start", endless=chunks(VIDEO, frame, msid=1, csid=6))) as hostile:
        outcome = run_client(tmp_path, ["play", f"rtmp://127.0.0.1:{hostile.port}/live/a", "-o", "/dev/null",
                                        "--via", "rtmp", "--duration", "3", "-q"], 30)
    assert outcome.code == 0 and not outcome.lines, outcome
    assert outcome.peak_kb < PEAK_KB, outcome
