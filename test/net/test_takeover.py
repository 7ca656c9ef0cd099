"""A publisher that is cut off and comes back while its old connection still holds the name."""
import re
import signal
import subprocess
import threading
import time

import pytest

import frames
import server as server_module
from clients import Playing
from rtmp_raw import VIDEO, Refused, delta_ms
from synth import Publisher, check_run, collect, number_of

AT_ONCE_S = 2.5  # a second of silence, and what a slow machine adds


def add_key(server):
    done = subprocess.run([server.binary, "key", "add", "--state", server.folder / "state"], check=True,
                          capture_output=True, text=True)
    return re.search(r"[0-9a-f]{32}", done.stdout).group(0)


@pytest.fixture
def guarded(start_server):
    """A server, and two keys of its app."""
    server = start_server(open_publish=False, config={"apps": [server_module.app(publish="key", grace_s=10)]})
    server.keys = [server.publish_key(), add_key(server)]
    server.process.send_signal(signal.SIGHUP)
    server_module.wait_until(lambda: "server.reload" in server.log(), 5, "the keys are read again")
    yield server
    assert not any(key in server.log() for key in server.keys), "a key is in the log"


@pytest.mark.threads
@pytest.mark.parametrize("scheme", ["rtmp", "rtmpt"])
def test_frozen_ffmpeg_is_replaced(guarded, clients, clip, raw, scheme):
    """Stopped in the middle: the connection stands, or the tunnel's requests stop."""
    key = guarded.keys[0]
    viewer = raw(guarded)
    viewer.play("a")
    url = guarded.url(f"live/a?key={key}").replace("rtmp://", scheme + "://")
    frozen = clients.ffmpeg_publish(url, clip("h264_aac"))
    seen = [viewer.media(20) for _ in range(30)]
    frozen.process.send_signal(signal.SIGSTOP)
    seen += [msg for msg in viewer.drain(0.2) if msg.is_media]
    asked = time.monotonic()
    pub = Publisher(guarded.port, name=f"a?key={key}")
    raw.keep(pub.client)
    assert time.monotonic() - asked < AT_ONCE_S
    got = collect(viewer, pub.send(40))
    check_run(got, first=0)
    stamps = [msg.timestamp for msg in seen + got if msg.type == VIDEO]
    assert all(delta_ms(b, a) >= 0 for a, b in zip(stamps, stamps[1:]))
    assert "publish.taken_over" in guarded.log() and "same publisher" in guarded.log()
    frozen.process.send_signal(signal.SIGCONT)
    frozen.wait(20, codes=None)
    check_run(got + collect(viewer, pub.send(5)), first=0)


def test_player_goes_on(guarded, clients, clip, raw, tmp_path):
    """FFmpeg records across the take-over: the second publisher's frames are all there."""
    key = guarded.keys[0]
    playing = Playing(clients, "ffmpeg", guarded.url(), tmp_path / "out.flv")
    pub = Publisher(guarded.port, name=f"a?key={key}")
    raw.keep(pub.client)
    pub.send(50)
    clients.ffmpeg_publish(guarded.url(f"live/a?key={key}"), clip("h264_aac")).wait(30)
    playing.child.wait(30)
    wanted = [frame.hash for frame in frames.packets(clip("h264_aac"), "v")]
    assert [frame.hash for frame in frames.packets(playing.out, "v")][-len(wanted):] == wanted


def test_another_key_is_refused_at_once(guarded, raw):
    pub = Publisher(guarded.port, name=f"a?key={guarded.keys[0]}")
    raw.keep(pub.client)
    pub.send(5)
    time_of_silence = time.monotonic() + 1.2
    while time.monotonic() < time_of_silence:  # silent for longer than a ghost must be
        asked = time.monotonic()
        with pytest.raises(Refused) as refused:
            Publisher(guarded.port, name=f"a?key={guarded.keys[1]}")
        assert refused.value.args[0]["code"] == "NetStream.Publish.BadName"
        assert time.monotonic() - asked < 1
    pub.sync()


@pytest.mark.threads
def test_a_living_publisher_stays(guarded, raw):
    """Two encoders with one key: the first goes on, whatever the other one tries."""
    viewer = raw(guarded)
    viewer.play("a")
    pub = Publisher(guarded.port, name=f"a?key={guarded.keys[0]}")
    raw.keep(pub.client)
    over = threading.Event()

    def go_on():
        while not over.wait(0.04):
            pub.send()
    living = threading.Thread(target=go_on)
    living.start()
    try:
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                Publisher(guarded.port, name=f"a?key={guarded.keys[0]}")
            assert refused.value.args[0]["code"] == "NetStream.Publish.BadName"
    finally:
        over.set()
        living.join()
    check_run(collect(viewer, pub.send(5)), first=0)
    assert "taken_over" not in guarded.log()


@pytest.mark.parametrize("source, same", [("127.0.0.1", True), ("127.0.0.2", False)])
def test_open_publish_goes_by_the_address(start_server, raw, source, same):
    server = start_server(config={"apps": [server_module.app(grace_s=10)]})
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port)
    raw.keep(pub.client)
    collect(viewer, pub.send(10))
    client = raw(server, source=source)
    if same:
        again = Publisher(server.port, client=client)
        check_run(collect(viewer, again.send(10)), first=0)
    else:
        with pytest.raises(Refused):
            Publisher(server.port, client=client)


def test_return_again_and_again(guarded, raw):
    """Every return finds the ghost of the one before; the viewer's numbers start again each time."""
    viewer = raw(guarded)
    viewer.play("a")
    for _ in range(3):
        pub = Publisher(guarded.port, name=f"a?key={guarded.keys[0]}")
        raw.keep(pub.client)
        got = collect(viewer, pub.send(10))
        check_run(got, first=0)
        assert number_of([msg for msg in got if msg.type == VIDEO][-1]) == 9
    assert guarded.log().count("publish.taken_over") == 2
