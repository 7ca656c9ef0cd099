"""Clients of ours that go on after a cut, over every carrier: nothing lost, nothing twice, nobody disturbed."""
import re
import time

import pytest

import server as server_module
from rtmp_raw import AUDIO, COMMAND, DATA, VIDEO, Closed, RtmpClient, delta_ms
from rtmpt_raw import Tunnel, Upgraded
from synth import AAC_HEADER, AVC_HEADER, check_run, number_of, picture
from ws_raw import WsRtmpClient

WAYS = ("rtmp", "101", "rtmpt", "ws")
START = "NetStream.Publish.Start"


def connect(server, way):
    """A connection of this way, connected to the app."""
    if way == "101":
        client = Upgraded(server.port)
    else:
        client = {"rtmp": RtmpClient, "rtmpt": Tunnel, "ws": WsRtmpClient}[way](server.port)
        client.handshake()
    client.connect()
    client.set_chunk_size(4096)
    return client


class Publishing:
    """Messages numbered from 1 over all connections: two codec headers, then a picture each."""

    def __init__(self, server, raw, name="a"):
        self.server, self.raw, self.name = server, raw, name
        self.token, self.client, self.sent = "", None, 0

    def go_on(self, way):
        """Publishes on a new connection. Returns what the server says that it has taken."""
        client = connect(self.server, way)
        self.raw.keep(client)
        msid = client.create_stream()
        client.command("publish", self.name, "live", {"resume": self.token}, msid=msid)
        info, _ = client.expect_status(START, msid=msid)
        same = info["resume"] == self.token
        assert re.fullmatch("[0-9a-f]{32}", info["resume"])
        assert same or info["taken"] == 0
        self.client, self.token, self.sent = client, info["resume"], int(info["taken"])
        return self.sent

    def send_up_to(self, last):
        for number in range(self.sent + 1, last + 1):
            if number <= 2:
                self.client.send_message(*((AUDIO, AAC_HEADER), (VIDEO, AVC_HEADER))[number - 1], msid=1, csid=4)
            else:
                self.client.send_message(VIDEO, picture(number, number % 50 == 3), number * 40, 1, 6)
        self.sent = last
        if isinstance(self.client, Tunnel):
            self.client.flush()

    def told(self, last):
        """Waits until the server says that it has all up to this one. Returns all numbers that it said."""
        said = []
        while last not in said:
            said.append(int(self.client.expect_command("onTaken")[0][3]))
        return said


def up_to(viewer, last):
    out = []
    while not out or number_of(out[-1]) != last:
        out.append(viewer.media())
    return out


@pytest.fixture
def lasting(start_server):
    return start_server(config={"apps": [server_module.app(grace_s=20)]})


@pytest.mark.threads
@pytest.mark.parametrize("there", WAYS)
@pytest.mark.parametrize("back", WAYS)
def test_publisher_goes_on(lasting, raw, there, back):
    """The old connection stands, unread or read, or is reset; the viewer sees one stream."""
    viewer = raw(lasting)
    viewer.play("a")
    viewer.create_stream()
    publishing = Publishing(lasting, raw)
    assert publishing.go_on(there) == 0
    publishing.send_up_to(80)
    last = 80
    for cut in ("read", "unread", "reset"):
        if cut == "read":
            publishing.told(last)
        old, before = publishing.client, last
        if cut == "reset":
            getattr(old, "http", old).sock.close()
        taken = publishing.go_on(back)
        assert taken <= before and (cut != "read" or taken == before)
        last += 30
        publishing.send_up_to(last)
    media = up_to(viewer, last)
    assert [msg.payload for msg in media if msg.is_header] == [AAC_HEADER, AVC_HEADER]
    run = check_run(media, first=3)
    assert all(delta_ms(b.timestamp, a.timestamp) == 40 for a, b in zip(run, run[1:]))
    assert not [msg for msg in viewer.inbox if msg.type == COMMAND and msg.values()[0] == "onStatus"
                and "Publish" in msg.values()[3]["code"]]


def test_old_connection_is_thrown_out(lasting, raw):
    publishing = Publishing(lasting, raw)
    publishing.go_on("rtmp")
    publishing.send_up_to(20)
    old = publishing.client
    publishing.go_on("rtmp")
    old.expect_status("NetStream.Publish.BadName")
    assert old.closed_within(5) is not None
    publishing.send_up_to(40)
    assert publishing.told(40)


def test_told_four_times_a_second_at_most(lasting, raw):
    publishing = Publishing(lasting, raw)
    publishing.go_on("rtmp")
    begun, number, said = time.monotonic(), 0, []
    while time.monotonic() < begun + 1:
        number += 1
        publishing.send_up_to(number)
        said += [int(msg.values()[3]) for msg in publishing.client.drain(0.01) if msg.type == COMMAND]
    publishing.send_up_to(number + 1)
    said += publishing.told(number + 1)
    assert said == sorted(set(said)) and 2 <= len(said) <= 4 * (time.monotonic() - begun)


def test_others_are_told_nothing(lasting, raw):
    client = raw(lasting)
    msid = client.create_stream()
    client.command("publish", "a", "live", msid=msid)
    info, _ = client.expect_status(START, msid=msid)
    assert set(info) == {"level", "code", "description"}
    for number in range(20):
        client.send_message(VIDEO, picture(number, number == 0), number * 40, msid, 6)
    assert not [msg for msg in client.drain(0.6) if msg.type == COMMAND]


def test_after_the_grace_time_it_begins_anew(start_server, raw):
    server = start_server(config={"apps": [server_module.app(grace_s=0)]})
    publishing = Publishing(server, raw)
    publishing.go_on("rtmp")
    publishing.send_up_to(20)
    publishing.told(20)
    publishing.client.reset()
    token = publishing.token
    server_module.wait_until(lambda: "publish.end" in server.log(), 5, "its end is seen")
    assert publishing.go_on("rtmp") == 0 and publishing.token != token
    assert token not in server.log() and publishing.token not in server.log()


def test_foreign_key_with_the_right_token(start_server, raw):
    server = start_server(open_publish=False, config={"apps": [server_module.app(publish="key", grace_s=10)]})
    key = server.publish_key()
    publishing = Publishing(server, raw, name=f"a?key={key}")
    publishing.go_on("rtmp")
    publishing.send_up_to(20)
    thief = raw(server)
    msid = thief.create_stream()
    thief.command("publish", "a?key=00000000000000000000000000000000", "live", {"resume": publishing.token}, msid=msid)
    info, _ = thief.expect_status(msid=msid)
    assert info["level"] == "error"
    with pytest.raises(Closed):
        thief.drain(5)
    publishing.send_up_to(40)
    assert publishing.told(40)


# ---- players

class Playing:
    """One player over all its connections: what it got, and the position that it would go on with."""

    def __init__(self, server, raw, name="a"):
        self.server, self.raw, self.name = server, raw, name
        self.position, self.numbers = "", []
        self.client, self.counts, self.others = None, False, []

    def go_on(self, way):
        self.client, self.counts, self.others = connect(self.server, way), False, []
        self.raw.keep(self.client)
        msid = self.client.create_stream()
        self.client.command("play", self.name, -2000, -1, True, {"position": self.position}, msid=msid)
        self.client.expect_status("NetStream.Play.Start", msid=msid)

    def _take(self, msg):
        if msg.type == COMMAND and msg.values()[0] == "onPosition":
            self.position = f"{msg.values()[3]}:{int(msg.values()[4])}"
            self.counts = True
            self.others.append("position")
        if msg.type not in (AUDIO, VIDEO, DATA):
            return
        if self.counts:
            epoch, number = self.position.split(":")
            self.position = f"{epoch}:{int(number) + 1}"
        if msg.type == VIDEO and not msg.is_header:
            self.numbers.append(number_of(msg))
        else:
            self.others.append("header" if msg.is_header else "data")

    def up_to(self, last):
        """Reads up to this picture."""
        while not self.numbers or self.numbers[-1] < last:
            self._take(self.client.recv(10))


@pytest.mark.threads
@pytest.mark.parametrize("there", WAYS)
@pytest.mark.parametrize("back", WAYS)
def test_player_goes_on(lasting, raw, there, back):
    """Its old connection stands unread, or is closed; while it is away the stream goes on."""
    publishing, playing = Publishing(lasting, raw), Playing(lasting, raw)
    publishing.go_on("rtmp")
    publishing.send_up_to(20)
    publishing.told(20)
    playing.go_on(there)
    playing.up_to(10)
    assert playing.others == ["data", "header", "header", "position"]
    last = 20
    for cut in ("unread", "closed", "unread"):
        last += 45
        publishing.send_up_to(last)
        playing.up_to(last - 20)
        if cut == "closed":
            playing.client.close()
        playing.go_on(back)
        playing.up_to(last)
        assert playing.others == ["data", "position"]  # sample access, then the next message
    assert playing.numbers == list(range(3, last + 1))


def test_player_that_was_away_too_long_joins(start_server, raw):
    server = start_server(config={"apps": [server_module.app(grace_s=20, log_s_max=1)]})
    publishing, playing = Publishing(server, raw), Playing(server, raw)
    publishing.go_on("rtmp")
    publishing.send_up_to(20)
    publishing.told(20)
    playing.go_on("rtmp")
    playing.up_to(20)
    playing.client.close()
    publishing.send_up_to(210)
    publishing.told(210)
    playing.go_on("rtmp")
    playing.up_to(210)
    assert playing.numbers == [*range(3, 21), *range(203, 211)]
    assert playing.others == ["data", "header", "header", "position"]
    assert playing.position.endswith(":210")


def test_players_of_others_are_told_nothing(lasting, raw):
    publishing = Publishing(lasting, raw)
    publishing.go_on("rtmp")
    publishing.send_up_to(20)
    client = raw(lasting)
    client.play("a")
    up_to(client, 20)
    assert not [msg for msg in client.inbox if msg.type == COMMAND and msg.values()[0] == "onPosition"]


def said_and_shown(client):
    """Commands and media up to a silence, without Play.Reset."""
    return [msg for msg in client.drain(0.3) if msg.is_media or msg.type == COMMAND and msg.values()[0] != "onStatus"]


def test_play_positions_wire(lasting, raw):
    """To the letter: right behind the headers, once, and with the next number after each message."""
    publishing = Publishing(lasting, raw)
    publishing.go_on("rtmp")
    publishing.send_up_to(60)
    publishing.told(60)
    client = raw(lasting)
    msid = client.create_stream()
    client.command("play", "a", -2000, -1, True, {"position": ""}, msid=msid)
    client.expect_status("NetStream.Play.Start", msid=msid)
    got = said_and_shown(client)
    kinds = [msg.values()[0] if msg.type == COMMAND else "header" if msg.is_header else msg.type for msg in got]
    assert kinds == ["header", "header", "onPosition"] + [VIDEO] * 8  # from the key frame that is message 53
    values, said = next((msg.values(), msg) for msg in got if msg.type == COMMAND)
    assert values[1:3] == [0, None] and said.msid == msid
    assert re.fullmatch("[0-9a-f]{16}", values[3]) and values[4] == 52  # two headers were 0 and 1
    again = raw(lasting)
    msid = again.create_stream()
    again.command("play", "a", -2000, -1, True, {"position": f"{values[3]}:57"}, msid=msid)
    again.expect_status("NetStream.Play.Start", msid=msid)
    got = said_and_shown(again)
    assert got[0].values()[3:] == [values[3], 57]
    assert [number_of(msg) for msg in got[1:]] == [58, 59, 60]
