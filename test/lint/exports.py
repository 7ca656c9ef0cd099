#!/usr/bin/python3
"""The names that a program sees of the public library: culvert_*, each in a public header, no others.

usage: exports.py LIBRARY HEADER...
"""
import re
import subprocess
import sys


def seen(library):
    """Names that the dynamic linker finds in it."""
    listing = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True)
    return {line.split()[-1] for line in listing.stdout.splitlines()}


def promised(headers):
    """Functions that the headers declare."""
    names = set()
    for path in headers:
        with open(path, encoding="utf-8") as file:
            names.update(re.findall(r"^CULVERT_API\b[^;(]*?(\w+)\(", file.read(), re.M))
    return names


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    there, wanted = seen(sys.argv[1]), promised(sys.argv[2:])
    faults = [f"{name} is seen, and in no public header" for name in sorted(there - wanted)]
    faults += [f"{name} is in a public header, and not there" for name in sorted(wanted - there)]
    faults += [f"{name} does not begin with culvert_" for name in sorted(wanted) if not name.startswith("culvert_")]
    if faults or not wanted:
        sys.exit("\n".join(faults) or "no names at all")


if __name__ == "__main__":
    main()
