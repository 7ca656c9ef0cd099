#!/usr/bin/python3
"""The names that a program sees of the public library: culvert_*, each in a public header and in the man page, no
others.

usage: exports.py LIBRARY MAN_PAGE HEADER...
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


def described(page):
    """Functions in the synopsis of a man page."""
    with open(page, encoding="utf-8") as file:
        return set(re.findall(r"^\.Fn (\w+)", file.read().partition(".Sh DESCRIPTION")[0], re.M))


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    there, wanted, told = seen(sys.argv[1]), promised(sys.argv[3:]), described(sys.argv[2])
    faults = [f"{name} is seen, and in no public header" for name in sorted(there - wanted)]
    faults += [f"{name} is in a public header, and not there" for name in sorted(wanted - there)]
    faults += [f"{name} is only in one of headers and man page" for name in sorted(wanted ^ told)]
    faults += [f"{name} does not begin with culvert_" for name in sorted(wanted) if not name.startswith("culvert_")]
    if faults or not wanted:
        sys.exit("\n".join(faults) or "no names at all")


if __name__ == "__main__":
    main()
