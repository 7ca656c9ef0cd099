"""Everything at once on one port: the site with its pages, a gigabyte each way and its WebSocket,
while streams are published and played over RTMP, RTMPT, WebSocket and FLV, frame by frame."""
import threading

import pytest

import server as server_module
from clients import Playing
from site_kit import Nginx, Site
from web_client import UPGRADE, Client, digest, download, pieces, status, upgraded, upload

GIGABYTE = 1024  # in the pieces of web_client


class Doing(threading.Thread):
    """Work beside the test, whose failure is the test's."""

    def __init__(self, work, *args):
        super().__init__(daemon=True)
        self.work, self.args, self.result, self.error = work, args, None, None
        self.start()

    def run(self):
        try:
            self.result = self.work(*self.args)
        except BaseException as err:  # told in finish
            self.error = err

    def finish(self, timeout_s):
        self.join(timeout_s)
        assert not self.is_alive(), f"{self.work.__name__}: not within {timeout_s} s"
        if self.error:
            raise self.error
        return self.result


def carry(server, count=GIGABYTE, tls=None):
    client = Client(server, tls=tls)
    client.sock.settimeout(120)
    assert upload(client, "/big", count) == 201
    return digest(download(client, "/big"))


def browse(server, stop, tls=None):
    """Six connections that are kept, as a browser's; how many pages they got."""
    tabs = [Client(server, tls=tls) for _ in range(6)]
    pages = 0
    while not stop.is_set():
        for tab in tabs:
            tab.ask("GET /index.html HTTP/1.1", "Connection: keep-alive\r\n")
        for tab in tabs:
            head, got = tab.answer()
            assert status(head) == 200 and got == b"<h1>the site</h1>"
            pages += 1
    return pages


def chat(server, stop, tls=None):
    client = Client(server, tls=tls)
    client.ask("GET /chat HTTP/1.1", UPGRADE.format("websocket"))
    assert status(client.head()) == 101 and client.take(5) == b"hello"
    lines = 0
    while not stop.is_set():
        frame = b"\x81\x85\x01\x02\x03\x04" + lines.to_bytes(5, "big")
        client.send(frame)
        assert client.take(len(frame)) == frame
        lines += 1
    return lines


def busy_site(folder, talk):
    """A web server with a page, and with what `talk` answers below /chat."""
    nginx = Nginx(folder, more=f"""location /chat {{
        proxy_pass {talk.url}; proxy_http_version 1.1;
        proxy_set_header Connection Upgrade; proxy_set_header Upgrade $http_upgrade; }}""")
    (nginx.www / "index.html").write_text("<h1>the site</h1>", encoding="utf-8")
    return nginx


@pytest.mark.limit_s(400)
def test_the_site_and_streams_on_one_port(start_server, clients, clip, tmp_path):
    talk = Site(upgraded)
    nginx = busy_site(tmp_path / "nginx", talk)
    server = start_server(config={"apps": [server_module.app()], "site": nginx.url})
    stop = threading.Event()
    try:
        carrying = Doing(carry, server)
        busy = [Doing(browse, server, stop), Doing(chat, server, stop)]
        stream(server, clients, clip("h264_aac"), tmp_path)
        assert carrying.finish(300) == digest(pieces(GIGABYTE))
        stop.set()
        assert all(one.finish(30) > 10 for one in busy)
    finally:
        stop.set()
        nginx.close()
        talk.close()


def stream(server, clients, source, folder):
    """Two publishers, RTMP and RTMPT; each stream is played by both ways and as FLV."""
    ways = {"a": server.url("live/a"), "b": server.url("live/b").replace("rtmp://", "rtmpt://")}
    playing = []
    for name in ways:
        plain = server.url(f"live/{name}")
        for kind, url in (("rtmp", plain), ("rtmpt", plain.replace("rtmp://", "rtmpt://")),
                          ("http", plain.replace("rtmp://", "http://") + ".flv")):
            playing.append(Playing(clients, "ffmpeg", url, folder / f"{name}-{kind}.flv"))
    publishing = [clients.ffmpeg_publish(ways["a"], source),
                  clients.ffmpeg_publish(ways["b"], source, after=["-rtmp_flush_interval", "1"])]
    for one in publishing:
        one.wait(120)
    for one in playing:
        one.finish(source, timeout_s=60)
