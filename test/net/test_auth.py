"""The publish key: needed, checked, and never shown."""
import pytest

import server as server_module
from clients import Playing
from rtmp_raw import DATA, Closed, Refused, RtmpClient
from synth import Publisher, collect


@pytest.fixture
def guarded(start_server):
    return start_server(open_publish=False, config={"apps": [server_module.app(publish="key")]})


def assert_key_is_secret(server, key, messages=()):
    assert key not in server.log(), "the key is in the log"
    for msg in messages:
        assert key.encode() not in msg.payload, "a viewer received the key"


def test_right_key(guarded, clients, clip, raw, tmp_path):
    key = guarded.publish_key()
    viewer = raw(guarded)
    viewer.play("a")
    playing = Playing(clients, "ffmpeg", guarded.url(), tmp_path / "out.flv")
    clients.ffmpeg_publish(guarded.url(f"live/a?key={key}"), clip("h264_aac")).wait(30)
    playing.finish(clip("h264_aac"))
    assert_key_is_secret(guarded, key, viewer.drain(0.5))
    assert key.encode() not in playing.out.read_bytes()


@pytest.mark.parametrize("query", ["", "?key=", "?key=wrong", "?other=1"])
def test_bug_33_missing_or_wrong_key(guarded, query):
    guarded.publish_key()
    with pytest.raises(Refused) as refused:
        Publisher(guarded.port, name="a" + query)
    info = refused.value.args[0]
    assert info["code"].startswith("NetStream.Publish.") and info["code"] != "NetStream.Publish.Start"
    assert info["description"]


@pytest.mark.parametrize("query", ["", "?key=wrong"])
def test_ffmpeg_fails_quickly_and_says_why(guarded, clients, clip, query):
    child = clients.ffmpeg_publish(guarded.url("live/a" + query), clip("h264_aac"))
    assert child.wait(10, codes=None) != 0
    line = next((line for line in child.log().splitlines() if "Server error" in line), "")
    assert "key" in line.lower(), child.log()[-1000:]


def test_almost_right_keys(guarded):
    key = guarded.publish_key()
    for wrong in (key[:-1], key + "x", key.swapcase(), key[:-1] + ("a" if key[-1] != "a" else "b")):
        with pytest.raises(Refused):
            Publisher(guarded.port, name="a?key=" + wrong)
    assert_key_is_secret(guarded, key)


@pytest.mark.parametrize("place", ["name", "app", "tcurl"])
def test_key_in_each_place_of_the_url(guarded, raw, place):
    """OBS and other encoders put the query where they like."""
    key = guarded.publish_key()
    query = f"?key={key}"
    client = RtmpClient.open(guarded.port, "live" + query if place == "app" else "live",
                             tcurl=f"rtmp://127.0.0.1/live{query}" if place == "tcurl" else None)
    raw.keep(client)
    viewer = raw(guarded)
    viewer.play("a")
    pub = Publisher(guarded.port, name="a" + query if place == "name" else "a", client=client)
    got = collect(viewer, pub.send(5))
    assert_key_is_secret(guarded, key, got + list(viewer.inbox) + list(client.inbox))
    assert any(msg.type == DATA for msg in viewer.inbox)


def test_key_survives_a_restart(start_server, guarded):
    """The key is printed once; the second start with the same state knows it still."""
    key = guarded.publish_key()
    guarded.stop()
    again = start_server("--state", str(guarded.folder / "state"), open_publish=False,
                         config={"apps": [server_module.app(publish="key")]})
    Publisher(again.port, name=f"a?key={key}").close()
    assert "key=" not in again.stdout()
    assert_key_is_secret(again, key)


def test_publish_off(start_server):
    server = start_server(open_publish=False, config={"apps": [server_module.app(publish="off")]})
    with pytest.raises(Refused):
        Publisher(server.port)


def test_play_off(start_server, raw):
    server = start_server(config={"apps": [server_module.app(play="off")]})
    Publisher(server.port).client.close()
    viewer = raw(server)
    viewer.play("a")
    info, _ = viewer.expect_status()
    assert info["level"] == "error"


def test_refused_publisher_is_not_heard(guarded, raw):
    """Media that a client sends although it was refused reaches nobody."""
    key = guarded.publish_key()
    viewer = raw(guarded)
    viewer.play("a")
    client = raw(guarded)
    msid = client.create_stream()
    client.command("publish", "a?key=wrong", "live", msid=msid)
    try:
        for _ in range(20):
            client.send_message(9, b"\x17\x01\0\0\0secret", 0, msid, csid=6)
    except (Closed, OSError):
        pass
    pub = Publisher(guarded.port, name=f"a?key={key}")
    raw.keep(pub.client)
    got = collect(viewer, pub.send(3))
    assert not any(b"secret" in msg.payload for msg in got)


def test_unknown_app_is_refused(guarded):
    with pytest.raises(Refused) as refused:
        Publisher(guarded.port, app="nosuchapp")
    assert refused.value.args[0]["level"] == "error"


