"""FLV files: tags in, tags out."""
import collections
import struct

Tag = collections.namedtuple("Tag", "type timestamp data")


def read_tags(path):
    """All complete tags; time stamps in ms, unsigned."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:3] != b"FLV":
        raise ValueError(f"{path} is no FLV file")
    tags, pos = [], struct.unpack_from(">I", data, 5)[0] + 4
    while pos + 11 <= len(data):
        size = int.from_bytes(data[pos + 1:pos + 4], "big")
        if pos + 11 + size > len(data):
            break  # a file that is still being written, or whose player was killed
        stamp = int.from_bytes(data[pos + 4:pos + 7], "big") | data[pos + 7] << 24
        tags.append(Tag(data[pos] & 31, stamp, data[pos + 11:pos + 11 + size]))
        pos += 11 + size + 4
    return tags


def write_tags(path, tags):
    """Used to put back together what the raw client received."""
    with open(path, "wb") as file:
        file.write(b"FLV\x01\x05\0\0\0\x09\0\0\0\0")
        for tag in tags:
            stamp = tag.timestamp & 0xFFFFFFFF
            file.write(bytes([tag.type]) + len(tag.data).to_bytes(3, "big")
                       + (stamp & 0xFFFFFF).to_bytes(3, "big") + bytes([stamp >> 24]) + b"\0\0\0")
            file.write(tag.data + struct.pack(">I", 11 + len(tag.data)))
