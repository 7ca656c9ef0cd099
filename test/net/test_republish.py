"""A publisher that goes and returns, and two publishers of one name."""
import pytest

import frames
import server as server_module
import synth
from clients import Playing
from rtmp_raw import AUDIO, STREAM_EOF, VIDEO, Refused, delta_ms
from synth import Publisher, check_run, collect, number_of


def live_server(start_server, **settings):
    return start_server(config={"apps": [server_module.app(**settings)]})


def check_rising(messages):
    for kind in (AUDIO, VIDEO):
        stamps = [msg.timestamp for msg in messages if msg.type == kind]
        assert all(delta_ms(b, a) >= 0 for a, b in zip(stamps, stamps[1:])), "time went back"


@pytest.mark.parametrize("end", ["reset", "close"])
@pytest.mark.parametrize("first_ms", [0, 1_000_000])
def test_return_within_grace_time(start_server, raw, end, first_ms):
    """Lost without a word, back with a new timeline: viewers stay and their time goes on."""
    server = live_server(start_server, grace_s=15)
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port, first_ms=500_000)
    got = collect(viewer, pub.send(40))
    getattr(pub.client, end)()
    again = Publisher.when_free(server.port, first_ms=first_ms)
    raw.keep(again.client)
    later = collect(viewer, again.send(40))
    check_rising(got + later)
    video = check_run([msg for msg in later if msg.type == VIDEO], first=0)
    last = [msg for msg in got if msg.type == VIDEO][-1]
    assert 0 < delta_ms(video[0].timestamp, last.timestamp) < 20_000, "a hole in the time line"
    steps = {delta_ms(b.timestamp, a.timestamp) for a, b in zip(video, video[1:])}
    assert steps == {synth.FRAME_MS}


def test_killed_ffmpeg_returns(start_server, clients, clip, raw, tmp_path):
    """kill -9 in the middle of a stream; the players keep their connection and see all of the second run."""
    server = live_server(start_server, grace_s=4)
    source = clip("h264_aac")
    viewer = raw(server)
    viewer.play("a")
    playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
    first = clients.ffmpeg_publish(server.url(), source)
    seen = [viewer.media(20)]
    while delta_ms(seen[-1].timestamp, seen[0].timestamp) < 2000:
        seen.append(viewer.media())
    first.kill()
    clients.ffmpeg_publish(server.url(), source).wait(30)
    playing.child.wait(30)
    played = frames.packets(playing.out, "v")
    source_hashes = [frame.hash for frame in frames.packets(source, "v")]
    assert [frame.hash for frame in played[-len(source_hashes):]] == source_hashes
    assert len(played) > len(source_hashes) + 25
    assert all(b.dts >= a.dts for a, b in zip(played, played[1:]))
    check_rising(seen + [msg for msg in viewer.drain(0.5) if msg.is_media])


def test_no_return_ends_the_viewers(start_server, raw):
    server = live_server(start_server, grace_s=1)
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port)
    collect(viewer, pub.send(10))
    pub.client.reset()
    viewer.expect_status("NetStream.Play.UnpublishNotify", timeout_s=5)
    viewer.expect_user_control(STREAM_EOF, 5)


def test_second_publisher_is_refused(server, raw):
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port)
    raw.keep(pub.client)
    collect(viewer, pub.send(5))
    with pytest.raises(Refused) as refused:
        Publisher(server.port, client=raw(server, source="127.0.0.2"))
    assert refused.value.args[0]["code"] == "NetStream.Publish.BadName"
    got = collect(viewer, pub.send(20))
    check_run([msg for msg in got if msg.type == AUDIO], kind=AUDIO)


def test_second_ffmpeg_is_refused_and_says_why(server, clients, clip, raw):
    pub = Publisher(server.port, client=raw(server, source="127.0.0.2"))
    pub.sync()
    second = clients.ffmpeg_publish(server.url(), clip("h264_aac"))
    assert second.wait(10, codes=None) != 0
    assert "Server error" in second.log()
    pub.send(5)
    pub.sync()


def test_name_is_free_after_unpublish(server, raw):
    pub = Publisher(server.port)
    raw.keep(pub.client)
    pub.send(5)
    pub.unpublish()
    pub.sync()
    again = Publisher.when_free(server.port)
    raw.keep(again.client)
    again.sync()


def test_takeover(start_server, raw):
    server = live_server(start_server, takeover=True, grace_s=10)
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port)
    raw.keep(pub.client)
    got = collect(viewer, pub.send(30))
    again = Publisher(server.port)
    raw.keep(again.client)
    assert pub.client.closed_within(5) is not None, "the first publisher was not closed"
    later = collect(viewer, again.send(30))
    check_run(later, first=0)
    check_rising(got + later)
    assert number_of([msg for msg in got if msg.type == VIDEO][-1]) == 29


def test_return_under_another_connection_of_the_same_client(start_server, raw):
    """closeStream, then publish again on the same message stream: OBS plug-ins do that."""
    server = live_server(start_server, grace_s=10)
    viewer = raw(server)
    viewer.play("a")
    pub = Publisher(server.port)
    raw.keep(pub.client)
    collect(viewer, pub.send(10))
    pub.client.command("closeStream", call_id=0, msid=pub.msid)
    pub.client.command("publish", "a", "live", msid=pub.msid)
    pub.client.expect_status("NetStream.Publish.Start")
    other = raw(server)
    other.play("a")
    pub._headers()
    pub.number = 0
    check_run(collect(other, pub.send(10)), first=0)
