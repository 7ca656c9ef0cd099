"""Commands of players and publishers, as Flash, FFmpeg, librtmp and OBS use them."""
import pytest

import synth
from rtmp_raw import AUDIO, COMMAND, DATA, PING, PONG, STREAM_BEGIN, STREAM_EOF, USER_CONTROL, VIDEO, RtmpClient, TimedOut
from synth import Publisher, check_run, collect, number_of


@pytest.fixture
def pub(server, raw):
    publisher = Publisher(server.port)
    raw.keep(publisher.client)
    publisher.send(30)
    publisher.sync()
    return publisher


@pytest.fixture
def viewer(server, raw, pub):
    """A viewer that is up to date, and its message stream id."""
    client = raw(server)
    client.msid = client.play("a")
    collect(client, pub.send(1))
    client.expect_status("NetStream.Play.Start")
    client.inbox.clear()
    return client


def test_receive_video_false_and_true(viewer, pub):
    viewer.command("receiveVideo", False, call_id=0, msid=viewer.msid)
    viewer.expect_reply(viewer.command("getStreamLength", "a"))
    viewer.inbox.clear()
    got = collect(viewer, pub.send(10), kind=AUDIO)
    assert not [msg for msg in got if msg.type == VIDEO]
    check_run(got, kind=AUDIO)
    viewer.command("receiveVideo", True, call_id=0, msid=viewer.msid)
    viewer.expect_reply(viewer.command("getStreamLength", "a"))
    pub.send_until_key()
    got = collect(viewer, pub.send(5))
    video = [msg for msg in got if msg.type == VIDEO and not msg.is_header]
    assert video[0].is_key
    check_run(got)


def test_receive_audio_false_and_true(viewer, pub):
    viewer.command("receiveAudio", False, call_id=0, msid=viewer.msid)
    viewer.expect_reply(viewer.command("getStreamLength", "a"))
    viewer.inbox.clear()
    got = collect(viewer, pub.send(10))
    assert not [msg for msg in got if msg.type == AUDIO and not msg.is_header]
    viewer.command("receiveAudio", True, call_id=0, msid=viewer.msid)
    viewer.expect_reply(viewer.command("getStreamLength", "a"))
    collect(viewer, pub.send(10), kind=AUDIO)


@pytest.mark.parametrize("name", ["pause", "pauseRaw"])
def test_pause_and_resume(viewer, pub, name):
    viewer.command(name, True, 1000, call_id=0, msid=viewer.msid)
    viewer.expect_status("NetStream.Pause.Notify")
    viewer.expect_user_control(STREAM_EOF)
    viewer.inbox.clear()
    pub.send(20)
    pub.sync()
    assert not [msg for msg in viewer.drain(0.3) if msg.is_media]
    viewer.command(name, False, 1000, call_id=0, msid=viewer.msid)
    viewer.expect_status("NetStream.Unpause.Notify")
    viewer.expect_user_control(STREAM_BEGIN)
    pub.send_until_key()
    check_run(collect(viewer, pub.send(5)))


@pytest.mark.parametrize("name", ["closeStream", "deleteStream"])
def test_end_of_play_without_end_of_connection(viewer, pub, name):
    if name == "closeStream":
        viewer.command(name, call_id=0, msid=viewer.msid)
    else:
        viewer.command(name, viewer.msid, call_id=0)
    viewer.expect_reply(viewer.command("getStreamLength", "a"))
    viewer.inbox.clear()
    pub.send(20)
    pub.sync()
    assert not [msg for msg in viewer.drain(0.3) if msg.is_media]
    viewer.play("a")
    check_run(collect(viewer, pub.send(5)))


def test_play_again_on_the_same_stream(viewer, pub, server, raw):
    """A second play on one message stream replaces the first."""
    other = Publisher(server.port, name="b")
    raw.keep(other.client)
    other.send(3)
    other.sync()
    viewer.command("play", "b", -2000, call_id=0, msid=viewer.msid)
    viewer.expect_status("NetStream.Play.Start")
    viewer.inbox.clear()
    pub.send(40)
    pub.sync()
    got = [msg for msg in collect(viewer, other.send(5)) if msg.type == VIDEO and not msg.is_header]
    assert number_of(got[-1]) == 7


def test_get_stream_length(viewer):
    name, values = viewer.expect_reply(viewer.command("getStreamLength", "a"))
    assert name == "_error" or values[1] == 0


@pytest.mark.parametrize("name", ["FCSubscribe", "_checkbw", "checkBandwidth", "releaseStream", "FCPublish",
                                  "FCUnpublish", "noSuchCommand"])
def test_calls_get_an_answer_that_ends_no_client(viewer, pub, name):
    """An answer, if any, has the call's id; FFmpeg ends on an _error unless it has a description it knows."""
    call = viewer.command(name, "a")
    collect(viewer, pub.send(5))
    try:
        kind, values = viewer.expect_reply(call, timeout_s=1)
    except TimedOut:
        assert name not in ("noSuchCommand",), "an unknown call with an id must be answered"
        return
    assert kind == "_error" or name != "noSuchCommand"
    if kind == "_error":
        assert values[-1]["code"] == "NetConnection.Call.Failed" and values[-1]["description"]


def test_calls_with_id_zero_are_never_answered(viewer, pub):
    viewer.inbox.clear()
    for name in ("releaseStream", "FCPublish", "noSuchCommand", "_checkbw"):
        viewer.command(name, "zero", call_id=0)
    viewer.expect_reply(viewer.command("getStreamLength", "a"))
    replies = [msg.values() for msg in viewer.inbox if msg.type == COMMAND]
    assert not [v for v in replies if v[0] in ("_result", "_error")]


@pytest.mark.parametrize("start", [-2000, -1000, -2, -1, 0])
def test_play_start_variants_mean_live(server, raw, pub, start):
    client = raw(server)
    client.play("a", start)
    check_run(collect(client, pub.send(5)))


def test_fc_publish_is_answered(server, raw):
    """Some hardware encoders wait for onFCPublish."""
    client = raw(server)
    call = client.command("FCPublish", "hw")
    assert client.expect_reply(call)[0] == "_result"
    client.expect_command("onFCPublish")


def test_publish_answer_has_stream_begin_and_the_right_stream(server, raw):
    client = raw(server)
    msid = client.create_stream()
    client.command("publish", "a", "live", msid=msid)
    _, msg = client.expect_status("NetStream.Publish.Start")
    assert msg.msid == msid
    assert msid >= 1


def test_ping_is_answered(server, raw):
    client = raw(server)
    client.send_message(USER_CONTROL, PING.to_bytes(2, "big") + b"\1\2\3\4", csid=2)
    pong = client.expect_user_control(PONG)
    assert pong.user_control()[1] == 0x01020304


def test_publish_and_play_on_one_connection(server, raw):
    """Two message streams of one connection, as a conference client uses them."""
    client = raw(server)
    client.play("loop")
    publisher = Publisher(server.port, name="loop", client=client)
    check_run(collect(client, publisher.send(10)), first=0)


def test_set_data_frame_on_stream_zero(server, raw):
    """Some encoders send their metadata on message stream 0: not a reason to close."""
    client = raw(server)
    client.send_message(DATA, synth.amf_encode("@setDataFrame", "onMetaData", synth.METADATA))
    publisher = Publisher(server.port, client=client)
    publisher.send(3)
    publisher.sync()


def test_connect_answer_properties(server):
    with RtmpClient(server.port) as client:
        client.handshake()
        values = client.connect()
    assert values[0]["fmsVer"] and values[0]["capabilities"]
    assert values[1]["level"] == "status" and values[1]["objectEncoding"] == 0
