#!/usr/bin/python3
"""Which failed network tests deserve a second run, alone: on a machine that is busy, a deadline may pass.

usage: again.py NET.XML     prints one pytest id per line, or nothing
Nothing when more than a few failed, or when one failed by what a sanitizer or an assertion of the server
said: such a thing that happens once in a while is a defect like any other.
"""
import sys
import xml.etree.ElementTree as ET

AGAIN_MAX = 3
DEFECTS = ("Sanitizer", "runtime error:", "assertion failed", "server ended", "exit code -6", "exit code -11", "exit code 99")


def failures(path):
    for case in ET.parse(path).getroot().iter("testcase"):
        said = [(child.text or "") + (child.get("message") or "") for child in case
                if child.tag in ("failure", "error")]
        if said:
            yield case, "".join(said)


def main(path):
    try:
        failed = list(failures(path))
    except (OSError, ET.ParseError):
        return
    if len(failed) > AGAIN_MAX or any(word in said for _, said in failed for word in DEFECTS):
        return
    for case, _ in failed:
        module = case.get("classname").rsplit(".", 1)[-1]
        print(f"test/net/{module}.py::{case.get('name')}")


if __name__ == "__main__":
    main(sys.argv[1])
