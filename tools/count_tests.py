#!/usr/bin/python3
"""Counts tests one by one: meson's testlog.json (each TAP line is a test) or pytest's junit XML.

usage: count_tests.py FILE...     prints: passed failed skipped
A program that fails without a failing TAP line (crash, leak, wrong plan, time-out) is one failure,
and so is a file that is missing or unreadable.
"""
import json
import re
import sys
import xml.etree.ElementTree as ET

TAP = re.compile(r"^(not )?ok\b(.*)$", re.M)
SKIP = re.compile(r"#\s*skip", re.I)


def count_tap(text):
    passed = failed = skipped = 0
    for line in TAP.finditer(text):
        if SKIP.search(line.group(2)):  # cmocka writes "not ok 3 # SKIP name"
            skipped += 1
        elif line.group(1):
            failed += 1
        else:
            passed += 1
    return passed, failed, skipped


def count_program(entry):
    """One line of testlog.json: one test program."""
    passed, failed, skipped = count_tap(entry.get("stdout") or "")
    result = entry["result"]
    if result in ("OK", "EXPECTEDFAIL"):
        return max(passed, 0 if skipped else 1), failed, skipped
    if result == "SKIP":
        return passed, failed, max(skipped, 1)
    return passed, max(failed, 1), skipped


def count_meson(path):
    with open(path, encoding="utf-8", errors="replace") as lines:
        return [count_program(json.loads(line)) for line in lines if line.strip()]


def count_pytest(path):
    counts = []
    for case in ET.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        bad, skip = kinds & {"failure", "error"}, "skipped" in kinds
        counts.append((0, 1, 0) if bad else (0, 0, 1) if skip else (1, 0, 0))
    return counts


def count_file(path):
    try:
        counts = count_pytest(path) if path.endswith(".xml") else count_meson(path)
    except (OSError, ValueError, KeyError, ET.ParseError) as error:
        print(f"count_tests: {path}: {error}", file=sys.stderr)
        return 0, 1, 0
    return tuple(sum(column) for column in zip(*counts)) if counts else (0, 0, 0)


if __name__ == "__main__":
    totals = [count_file(path) for path in sys.argv[1:]]
    print(*(sum(column) for column in zip((0, 0, 0), *totals)))
