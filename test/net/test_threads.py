"""Publishers and viewers on different loops of one server. Run these under the thread sanitizer as well.

Which loop gets a connection is the kernel's choice; with a dozen connections all combinations occur.
"""
import select
import threading

import pytest

import server as server_module
import synth
from rtmp_raw import STREAM_EOF, VIDEO, Closed, RtmpClient, TimedOut, delta_ms
from synth import Publisher, check_run, collect, number_of

pytestmark = [pytest.mark.threads, pytest.mark.limit_s(120)]
LOOPS = ("--threads", "4")


@pytest.fixture
def wide(start_server):
    """A server with four loops."""
    return start_server(*LOOPS, config={"apps": [server_module.app(grace_s=3)]})


def viewers_of(server, raw, count, name="a"):
    """Players that wait for the stream. The answer to the command behind play says that play has been seen."""
    clients = [raw(server) for _ in range(count)]
    for client in clients:
        client.play(name)
        client.create_stream()
    return clients


def test_many_viewers_of_one_stream(wide, raw):
    viewers = viewers_of(wide, raw, 12)
    pub = Publisher(wide.port)
    raw.keep(pub.client)
    last = 0
    for _ in range(10):
        last = pub.send(25)
    for viewer in viewers:
        check_run(collect(viewer, last))  # from which key frame on depends on which loop was faster


def test_many_streams(wide, raw):
    names = [f"s{number}" for number in range(8)]
    viewers = {name: viewers_of(wide, raw, 3, name) for name in names}
    pubs = [Publisher(wide.port, name=name) for name in names]
    for pub in pubs:
        raw.keep(pub.client)
    for _ in range(20):
        for pub in pubs:
            pub.send(5)
    for name in names:
        for viewer in viewers[name]:
            check_run(collect(viewer, 99), first=0)


def test_viewers_come_and_go(wide, raw):
    """Joins and abrupt ends while media flows; one faithful viewer sees everything."""
    faithful = viewers_of(wide, raw, 1)[0]
    pub = Publisher(wide.port)
    raw.keep(pub.client)
    seen, passing = [], []
    for turn in range(60):
        guest = RtmpClient.open(wide.port)
        guest.play("a")
        passing.append(guest)
        seen += collect(faithful, pub.send(5))
        if turn % 3 == 2:
            check_run(collect(passing[0], pub.number - 1))
            for client, end in zip(passing, (RtmpClient.reset, RtmpClient.close, RtmpClient.reset)):
                end(client)
            passing.clear()
    check_run(seen, first=0)


def test_publishers_come_and_go(wide, raw):
    """A stream that changes its publisher, each from another connection and loop."""
    viewers = viewers_of(wide, raw, 6)
    for turn in range(12):
        pub = Publisher.when_free(wide.port, first_ms=turn * 77_000)
        last = pub.send(30)
        for viewer in viewers:
            got = collect(viewer, last)
            # Where the first run begins depends on which loop was faster; later ones miss nothing.
            check_run([msg for msg in got if msg.type == VIDEO], first=0 if turn else None)
            viewer.last_ms = getattr(viewer, "last_ms", got[0].timestamp)
            assert delta_ms(got[-2].timestamp, viewer.last_ms) >= 0
            viewer.last_ms = got[-2].timestamp
        if turn % 2:
            pub.client.reset()
        else:
            pub.close()


def test_takeover_between_loops(start_server, raw):
    server = start_server(*LOOPS, config={"apps": [server_module.app(takeover=True, grace_s=5)]})
    viewers = viewers_of(server, raw, 4)
    for _ in range(10):
        pub = Publisher(server.port)
        raw.keep(pub.client)
        last = pub.send(10)
        for viewer in viewers:
            got = collect(viewer, last)
            assert all(synth.is_intact(msg) for msg in got)


def test_stopped_viewer_on_some_loop(wide, raw):
    """As in test_slow_viewer, smaller: batches to another loop must not pile up either."""
    fast = viewers_of(wide, raw, 4)
    stopped = [raw(wide, receive_buffer=65536) for _ in range(4)]
    for client in stopped:
        client.play("a")
    pub = Publisher(wide.port, size=100_000, chunk_size=65536, audio=False)
    raw.keep(pub.client)
    pub.send(1)
    for client in stopped:
        client.media()
    before = wide.rss_bytes()
    for _ in range(50):
        last = pub.send(20)
        for viewer in fast:
            collect(viewer, last, timeout_s=30)
    assert wide.rss_bytes() - before < 400 << 20
    last = pub.send(30)
    for client in stopped:
        video = [msg for msg in collect(client, last, timeout_s=30) if msg.type == VIDEO and not msg.is_header]
        jumps = [(a, b) for a, b in zip(video, video[1:]) if number_of(b) != number_of(a) + 1]
        assert jumps and all(b.is_key for _, b in jumps)


def test_sigterm_under_load(wide, raw):
    """Publishers send from threads of their own while the server ends."""
    viewers = viewers_of(wide, raw, 8)
    pubs = [Publisher(wide.port, name=name) for name in ("a", "b", "c")]
    stop = threading.Event()

    def work(pub):
        try:
            while not stop.is_set():
                pub.send(5)
                select.select([pub.client.sock], [], [], 0.01)
        except (Closed, OSError):
            pass
    workers = [threading.Thread(target=work, args=(pub,)) for pub in pubs]
    for worker in workers:
        worker.start()
    try:
        for viewer in viewers:
            viewer.media()
        wide.terminate()
        for viewer in viewers:
            viewer.expect_user_control(STREAM_EOF, 10)
            assert viewer.closed_within(5) is not None
        assert wide.wait(15) == 0
    finally:
        stop.set()
        for worker in workers:
            worker.join()
        for pub in pubs:
            pub.close()


def test_play_wait_and_refusal_on_all_loops(start_server, raw):
    server = start_server(*LOOPS, config={"apps": [server_module.app(play_wait_s=1)]})
    for viewer in viewers_of(server, raw, 12, "nothing"):
        viewer.expect_status("NetStream.Play.StreamNotFound", timeout_s=5)


def test_one_name_many_publishers_at_once(wide):
    """Of ten that ask at the same time exactly one gets the name."""
    clients = [RtmpClient.open(wide.port, source=f"127.0.0.{2 + n}") for n in range(10)]
    streams = [client.create_stream() for client in clients]
    for client, msid in zip(clients, streams):
        client.command("publish", "prize", "live", msid=msid)
    codes = [client.expect_status()[0]["code"] for client in clients]
    for client in clients:
        client.close()
    assert sorted(codes) == ["NetStream.Publish.BadName"] * 9 + ["NetStream.Publish.Start"]


def test_reset_storm(wide, raw):
    """Connections that break in every phase, from several threads at once."""
    def storm():
        for turn in range(25):
            client = RtmpClient(wide.port)
            try:
                client.handshake()
                client.connect()
                if turn % 2:
                    client.play("a")
                else:
                    client.command("publish", f"x{turn}", "live", msid=client.create_stream())
            except (Closed, TimedOut, OSError):
                pass
            client.reset()
    viewer = viewers_of(wide, raw, 1)[0]
    pub = Publisher(wide.port)
    raw.keep(pub.client)
    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    got = []
    while any(thread.is_alive() for thread in threads):
        got += collect(viewer, pub.send(2))
    check_run(got + collect(viewer, pub.send(2)), first=0)
