"""libculvert as others use it: installed, found by pkg-config, and the examples at work."""
import re
import subprocess

import pytest

import frames
import server as server_module
from clients import Playing
from library import EXAMPLES, STRICT, Cutter, Library, run
from server import wait_until


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return Library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def examples(library):
    return {name: library.build(EXAMPLES / f"{name}.c") for name in ("publish", "play", "call")}


@pytest.fixture
def example(library, examples, clients):
    """example("publish", ...) starts it."""
    def start(name, *args):
        clients.env = library.env()
        child = clients.start(name, [examples[name], *args])
        clients.env = None
        return child
    return start


class ExamplePlayer:
    """play, with its output in a file."""

    def __init__(self, library, program, url, out):
        self.out, self.log = out, out.with_suffix(".log")
        with open(out, "wb") as file, open(self.log, "wb") as log:
            self.process = subprocess.Popen([program, url], stdin=subprocess.DEVNULL, stdout=file, stderr=log,
                                            env=library.env())

    def finish(self, source):
        assert self.process.wait(20) == 0, self.log.read_text()
        frames.check_file(source, self.out, "va")


@pytest.fixture
def player(library, examples, tmp_path):
    started = []

    def start(url):
        started.append(ExamplePlayer(library, examples["play"], url, tmp_path / f"played{len(started)}.flv"))
        return started[-1]
    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


# ---- what is installed

def test_what_is_installed(library):
    files = library.files()
    for ending in ("include/culvert/culvert.h", "include/culvert/amf.h", "/libculvert.so", "/libculvert.so.0",
                   "/libculvert.a", "pkgconfig/culvert.pc", "man3/culvert.3", "bin/culvert",
                   "examples/publish.c"):
        assert any(name.endswith(ending) for name in files), ending
    assert not any("sqlite" in flag or "yaml" in flag for flag in library.flags("--static", "--libs"))
    assert library.flags("--modversion") == [run([library.root / "usr/local/bin/culvert", "version"]).split()[1]]


@pytest.mark.parametrize("header", ["culvert/culvert.h", "culvert/amf.h"])
@pytest.mark.parametrize("compiler", [["cc", "-std=c11", "-x", "c"], ["cc", "-std=c17", "-x", "c"],
                                      ["clang", "-std=c11", "-x", "c"],
                                      ["clang++", "-std=c++17", "-x", "c++"], ["clang++", "-std=c++20", "-x", "c++"]],
                         ids=" ".join)
def test_headers_compile_alone(library, tmp_path, header, compiler):
    source = tmp_path / "alone"
    source.write_text(f"#include <{header}>\nint main(void) {{ return culvert_version() == 0; }}\n")
    run([*compiler, *STRICT, "-fsyntax-only", *library.flags("--cflags"), source])


def test_what_the_library_needs(library):
    needed = run(["readelf", "-d", library.lib / "libculvert.so"])
    assert "Library soname: [libculvert.so.0]" in needed
    assert not re.search(r"NEEDED.*(sqlite|yaml|jansson)", needed)


def test_names_of_the_static_library(library):
    """One object; what it does not share with its users is its own."""
    names = {line.split()[-1] for line in run(["nm", "-g", "--defined-only", library.lib / "libculvert.a"]).splitlines()
             if len(line.split()) == 3}
    assert "culvert_connect" in names
    assert [name for name in names if not name.startswith(("culvert_", "__", "."))] == []


# ---- the examples

def test_publish_to_ffmpeg(server, clients, example, clip, tmp_path):
    playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
    child = example("publish", clip("h264_aac_bframes"), server.url())
    child.wait(30)
    playing.finish(clip("h264_aac_bframes"))
    assert "through by RTMP" in child.log()


def test_play_from_ffmpeg(server, clients, player, clip):
    one = player(server.url())
    clients.ffmpeg_publish(server.url(), clip("h264_aac"))
    one.finish(clip("h264_aac"))


@pytest.mark.parametrize("scheme", ["rtmp", "rtmpt", "ws"])
def test_one_example_to_the_other(server, example, player, clip, scheme):
    url = server.url().replace("rtmp:", scheme + ":")
    one = player(url)
    example("publish", clip("h264_mp3"), url).wait(30)
    one.finish(clip("h264_mp3"))
    ways = {"rtmp": "RTMP", "rtmpt": "RTMPT", "ws": "WebSocket"}
    assert ways[scheme] in one.log.read_text()


def test_calls_inside_an_event_loop(server, library, examples):
    done = subprocess.run([examples["call"], server.url("live")], input="sum 1 2\n\nnow\n", text=True,
                          capture_output=True, timeout=30, check=False, env=library.env())
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all("failed NetConnection.Call" in line for line in lines)


def test_static_library(server, library, clip, tmp_path):
    program = library.build_static(EXAMPLES / "play.c", "play-static")
    assert "libculvert" not in run(["ldd", program])
    one = ExamplePlayer(library, program, server.url(), tmp_path / "static.flv")
    publisher = library.build_static(EXAMPLES / "publish.c", "publish-static")
    run([publisher, clip("h264_aac"), server.url()], env=library.env())
    one.finish(clip("h264_aac"))


# ---- what goes wrong

@pytest.mark.parametrize("url, words", [
    ("nonsense", "URL|scheme"),
    ("rtmp://127.0.0.1/live", "names no stream"),
    ("rtmp://no-such-host.invalid/live/a", "no such host"),
    (None, "refused|closed|nobody"),
])
def test_mistakes_are_told_in_a_sentence(library, examples, time_limit, url, words):
    url = url or f"rtmp://127.0.0.1:{server_module.free_port()}/live/a"
    done = subprocess.run([examples["play"], url], capture_output=True, timeout=30, check=False, text=True,
                          env=library.env())
    assert done.returncode == 1 and re.search(words, done.stderr, re.I), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_key_is_asked_for(start_server, example, clip):
    server = start_server(open_publish=False)
    child = example("publish", clip("h264_aac"), server.url())
    child.wait(30, codes=(1,))
    assert "key" in child.log()
    example("publish", clip("h264_aac"), server.url(f"live/a?key={server.publish_key()}")).wait(30)


def test_a_cut_is_survived(server, clients, example, clip, tmp_path):
    """The way breaks in mid-stream: the library makes another one, and FFmpeg's picture is complete."""
    with Cutter(server.port) as cutter:
        playing = Playing(clients, "ffmpeg", server.url(), tmp_path / "out.flv")
        child = example("publish", clip("h264_aac"), f"rtmp://127.0.0.1:{cutter.port}/live/a")
        wait_until(lambda: cutter.bytes_in > 100000, 20, "in mid-stream")
        cutter.cut()
        child.wait(30)
        playing.finish(clip("h264_aac"))
        assert cutter.connections >= 2
