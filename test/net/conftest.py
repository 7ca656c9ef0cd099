"""Fixtures of the end-to-end tests: real clients, real sockets, one server per test.

Run: CULVERT_BIN=build/culvert python3 -m pytest test/net      (-m "not slow", -m threads)
One loop unless CULVERT_THREADS says otherwise: with one, the answer to a publisher's command means
that all its media before is in the stream's log, and tests can say exactly where a joiner starts.
Nothing here sleeps for a fixed time: everything polls with a deadline.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import certificates  # noqa: E402
import clients as clients_module  # noqa: E402
import crossing  # noqa: E402
import culvert_cli  # noqa: E402
import firewalls  # noqa: E402
import media  # noqa: E402
import netns  # noqa: E402
import server as server_module  # noqa: E402
import synth  # noqa: E402
import tls_kit  # noqa: E402
import tls_networks  # noqa: E402
import tlsbox  # noqa: E402
from rtmp_raw import RtmpClient  # noqa: E402

DEFAULT_LIMIT_S = 60


class TestTimeout(Exception):
    """The test took longer than its limit_s."""


@pytest.fixture(autouse=True)
def time_limit(request):
    """Ends a test that hangs; the fixtures below then kill what it started.

    Not where `pytest -v -n` has put the tests beside the main thread (tools/run-tests.sh tells how that comes)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    marker = request.node.get_closest_marker("limit_s")
    limit_s = marker.args[0] if marker else DEFAULT_LIMIT_S

    def expired(_signal, _frame):
        raise TestTimeout(f"longer than {limit_s} s")
    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(limit_s)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def start_server(time_limit, tmp_path):
    """Factory: start_server(*args, config=None, listen=None). At the end each server must end cleanly."""
    servers = []

    def start(*args, config=None, open_publish=True, listen=None):
        flags = (["--open-publish"] if open_publish else []) + list(args)
        if "--threads" not in flags:
            flags += ["--threads", os.environ.get("CULVERT_THREADS", "1")]
        servers.append(server_module.Server(tmp_path / f"server{len(servers)}", flags, config, listen))
        return servers[-1]
    yield start
    problems = []
    for one in servers:
        try:
            one.stop()
        except AssertionError as err:
            problems.append(str(err))
    assert not problems, "\n".join(problems)


@pytest.fixture
def server(start_server):
    """A server with one open app "live" that forgets publishers after a second."""
    return start_server(config={"apps": [server_module.app()]})


@pytest.fixture(scope="session")
def librtmp_binary(tmp_path_factory):
    """The publisher on librtmp: from the build directory, or compiled here."""
    try:
        built = server_module.find_binary().parent / "test/net/librtmp_publish"
        if built.is_file():
            return built
    except FileNotFoundError:
        pass
    compiler = shutil.which("cc") or pytest.skip("no C compiler for librtmp_publish.c")
    out = tmp_path_factory.mktemp("librtmp") / "librtmp_publish"
    source = pathlib.Path(__file__).parent / "librtmp_publish.c"
    done = subprocess.run([compiler, "-O1", "-D_GNU_SOURCE", "-o", out, source, "-lrtmp"], check=False,
                          capture_output=True, text=True)
    return out if done.returncode == 0 else pytest.skip(f"librtmp_publish.c: {done.stderr[-300:]}")


@pytest.fixture
def clients(time_limit, start_server, tmp_path):
    """FFmpeg, rtmpdump, GStreamer; all dead before the server is stopped."""
    factory = clients_module.Clients(tmp_path)
    yield factory
    factory.close()


@pytest.fixture
def cli(time_limit, start_server, tmp_path):
    """cli("play", url, "-o", path) runs that command of ours; dead before the server is stopped."""
    factory = culvert_cli.CliFactory(tmp_path)
    yield factory
    factory.close()


@pytest.fixture
def raw(time_limit, start_server):
    """Factory of connected raw clients that are closed at the end."""
    opened = []

    def connect(server, app="live", **kwargs):
        opened.append(RtmpClient.open(server.port, app, **kwargs))
        return opened[-1]
    connect.keep = opened.append
    yield connect
    for client in opened:
        client.close()


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def clip(clip_folder):
    """clip("h264_aac") is the path of that clip."""
    return lambda name: media.make_clip(clip_folder, name)


@pytest.fixture(scope="session")
def short_clip(clip_folder):
    """Three seconds, for tests that are not about the stream."""
    return media.make_clip(clip_folder, "h264_aac", 3)


@pytest.fixture(scope="session")
def hevc(clip_folder):
    return media.make_hevc(clip_folder) or pytest.skip("FFmpeg without libx265")


@pytest.fixture(scope="session")
def source(clip_folder):
    """A short file of numbered frames."""
    return synth.write_file(clip_folder / "source.flv", crossing.SOURCE_FRAMES)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """Client, gateway and server in namespaces (netns.py), the network between them open."""
    try:
        made = netns.Net(tmp_path_factory.mktemp("net"))
    except netns.Unavailable as err:
        pytest.skip(str(err))
    yield made
    made.close()


@pytest.fixture(scope="module")
def squid(net):
    """The Squid on net's gateway."""
    made = firewalls.Squid(net)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def trust(tmp_path_factory):
    """Two authorities: who signs for servers, and who for a network that reads along."""
    folder = tmp_path_factory.mktemp("trust")
    return tls_networks.Trust(*(certificates.Authority(folder / name, name) for name in ("ours", "theirs")))


@pytest.fixture(scope="session")
def issued(trust):
    """A certificate and its key for this machine."""
    return trust.ours.issue(*tls_kit.HERE)


@pytest.fixture
def trusting(trust):
    """A context for sockets that trust it."""
    return certificates.tls_client(trust.ours.ca_file)


@pytest.fixture
def start_secure(start_server, clients, trust, issued):
    """Factory as start_server: with that certificate, and clients that trust it.

    settings: of the configuration; tls instead of the one certificate.
    """
    clients.ca_file = trust.ours.ca_file

    def start(*args, listen=None, **settings):
        config = {"apps": [server_module.app()], "tls": tls_kit.settings(issued), **settings}
        return start_server(*args, config=config, listen=listen)
    return start


@pytest.fixture
def secure(start_secure):
    """A server with one open app "live", and TLS on its port."""
    return start_secure()


@pytest.fixture(scope="module")
def serving(net, tmp_path_factory):
    """The server of net, for all tests of a module."""
    made = netns.Serving(net, tmp_path_factory.mktemp("serving"), {"apps": [server_module.app()]})
    yield made
    made.stop()


@pytest.fixture(scope="module")
def tls_serving(net, trust, tmp_path_factory):
    """The same, with TLS on 443."""
    made = tls_networks.TlsServing(net, tmp_path_factory.mktemp("serving"), trust)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def wrong_servers(net, trust):
    """Two more, by TLS of Python's: with an expired certificate; and no TLS at all."""
    context = trust.ours.context(netns.NAME_EXPIRED, begin=certificates.days(-9), end=certificates.days(-1))
    expired = tlsbox.Terminator(net.server, 443, context, to=netns.SIDE_DOOR, address=netns.OTHER_EXPIRED)
    ssh = tlsbox.Banner(net.server, 443, address=netns.OTHER_SSH)
    yield
    expired.stop()
    ssh.stop()


@pytest.fixture
def tell(record_property):
    """tell(line): what was measured, printed at the end of the run, whichever process ran the test."""
    return lambda line: record_property("told", line)


@pytest.fixture
def measured(tell):
    """measured(what, network, seconds, connections): the first media message, from the start of the process."""
    def say(what, name, seconds, connections, floor_ms=None):
        floor_ms = floor_ms or firewalls.floor_ms(name)
        tell(f"{what:8} {name:40} first media {seconds * 1000:5.0f} ms   floor {floor_ms:4.0f} ms   "
             f"connections: {connections}")
    return say


def pytest_terminal_summary(terminalreporter):
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    told = [line for report in reports if report.when == "call"
            for name, line in report.user_properties if name == "told"]
    if told:
        terminalreporter.section("measured")
    for line in told:
        terminalreporter.line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodeready(node):
    """Names of tests, not dots, as with -v, which itself must not be said beside -n: pytest-xdist then asks
    each process for its version first, and if the answer's thread is not quite done, execnet runs all tests
    of that process outside its main thread, where time_limit can set no signal: all of them fail."""
    node.config.option.verbose = 1


def pytest_make_parametrize_id(val, argname):
    """Bytes by their length: random ones would give a test another name in each process that runs tests."""
    return f"{argname}{len(val)}" if isinstance(val, bytes) and len(val) > 40 else None
