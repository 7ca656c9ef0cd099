"""Everything that the client of a netns.Net sends, as the gateway sees it."""
import collections
import os
import select
import socket
import struct
import threading

from netns import rtt

Connection = collections.namedtuple("Connection", "client_port server server_port")


class Wiretap:
    """`sent`: bytes of TCP by connection, from the time it was made to stop(), in the order of their coming. `largest`:
    bytes in one packet."""

    def __init__(self, net):
        self.sent, self.largest = collections.defaultdict(bytearray), 0
        self.until, self.stop_write = os.pipe()
        self.sock = net.gateway.run(socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(rtt.ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, rtt.SO_RCVBUFFORCE, 64 << 20)
        self.sock.bind(("lan", rtt.ETH_P_ALL))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            readable, _, _ = select.select([self.sock, self.until], [], [])
            if self.sock not in readable:
                return
            packet, where = self.sock.recvfrom(1 << 17)
            if where[2] != rtt.PACKET_OUTGOING:
                self._note(packet, where[1])

    def _note(self, packet, kind):
        is_6 = kind == 0x86DD
        protocol, at = (packet[6], 40) if is_6 else (packet[9], (packet[0] & 15) * 4)
        if protocol != socket.IPPROTO_TCP or kind not in (rtt.ETH_P_IP, 0x86DD):
            return
        source, target, server = struct.unpack_from(">HH", packet, at) + (packet[24:40] if is_6 else packet[16:20],)
        end = 40 + struct.unpack_from(">H", packet, 4)[0] if is_6 else struct.unpack_from(">H", packet, 2)[0]
        data = packet[at + (packet[at + 12] >> 4) * 4:end or len(packet)]
        self.largest = max(self.largest, len(data))
        if data:
            self.sent[Connection(source, socket.inet_ntop(socket.AF_INET6 if is_6 else socket.AF_INET, server),
                                 target)] += data

    def stop(self):
        """Takes what has come already, and returns `sent`."""
        if self.thread.is_alive():
            os.write(self.stop_write, b"x")
            self.thread.join()
            self.sock.close()
            os.close(self.until)
            os.close(self.stop_write)
        return self.sent


def plain_text(data):
    """Of what a connection carried to the server or a proxy: all but TLS, and CONNECT before it. A record of TLS begins
    with its type, its version and its length (RFC 8446, 5.1)."""
    while data.startswith(b"CONNECT "):
        data = data.partition(b"\r\n\r\n")[2]
    return b"" if data[:1] == b"\x16" and data[1:2] == b"\x03" else bytes(data)
