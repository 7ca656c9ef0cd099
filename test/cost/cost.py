#!/usr/bin/python3
"""How many of our own instructions the fan-out takes, beside what it took: a change of more than 5 %
fails, whichever way. Instructions of libraries are not counted, so that it is the same everywhere.

usage: cost.py check --for COMPILER PROGRAM    as TAP, each line of the table a test
       cost.py renew --for COMPILER PROGRAM    writes the table anew
       cost.py show PROGRAM CARRIER MESSAGES   the functions of one line, the dearest first

PROGRAM is test/cost/fanout of a build folder; COMPILER what made it, "gcc-12-x86_64": a table holds
for one.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fanout.table")
MARGIN = 0.05
TIME_MAX_S = 120
SKIPPED = 77  # as an exit code of the program: this machine cannot do it
SHOWN = 12
HEAD = """\
# Instructions of our own code per message and viewer: carrier, messages in one turn, instructions.
# Written by test/cost/cost.py renew; what is counted: test/cost/fanout.c.
"""

NAME = re.compile(r"\((\d+)\)(?: (.*))?$")


class Profile:
    """A callgrind profile (valgrind manual, "Callgrind Format Specification"): self cost by object
    and function."""

    def __init__(self, text):
        self.cost = Counter()
        self._names = {}
        self._at = {"ob": "", "fn": ""}
        self._callee = False  # the next line of cost is what a call took
        self._total = None
        for line in text.splitlines():
            self._take(line)
        if self._total is None or self._total != sum(self.cost.values()):
            raise ValueError("this is no whole profile of callgrind")

    def _take(self, line):
        key, _, value = line.partition("=")
        if key in ("ob", "fn", "cob", "cfn"):
            self._name(key, value)
        elif key == "calls":
            self._callee = True
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            self._add(int(line.split()[1]))
        elif line.startswith("totals:"):
            self._total = int(line.split()[1])

    def _name(self, key, value):
        """A name is written once, and then stands for its number; objects and functions of callees
        share their numbers with the others."""
        number, name = NAME.match(value).groups()
        kind = key[-2:]
        if name is not None:
            self._names[kind, number] = name
        if key == kind:
            self._at[kind] = self._names[kind, number]

    def _add(self, cost):
        if not self._callee:
            self.cost[self._at["ob"], self._at["fn"]] += cost
        self._callee = False

    def of(self, program):
        """The functions of one object."""
        path = os.path.realpath(program)
        return Counter({fn: cost for (ob, fn), cost in self.cost.items() if os.path.realpath(ob) == path})


class Skipped(Exception):
    """With the reason."""


def measure(program, carrier, messages):
    """Functions of `program`, each with its instructions per message and viewer."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "profile")
        done = subprocess.run(
            ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
             f"--callgrind-out-file={out}", program, carrier, str(messages)],
            capture_output=True, text=True, timeout=TIME_MAX_S, check=False)
        if done.returncode == SKIPPED:
            raise Skipped(done.stdout.strip())
        if done.returncode:
            raise ValueError(f"fanout {carrier} {messages}: {(done.stdout + done.stderr).strip()}")
        with open(out, encoding="utf-8") as file:
            functions = Profile(file.read()).of(program)
    viewers, sent = map(int, re.match(r"viewers (\d+) messages (\d+)", done.stdout).groups())
    return Counter({fn: cost / (viewers * sent) for fn, cost in functions.items()})


def read_table(text):
    """The compiler, and the lines as (carrier, messages, instructions)."""
    lines = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    return lines[0][1], [(carrier, int(messages), float(cost)) for carrier, messages, cost in lines[1:]]


def write_table(compiler, rows):
    return (HEAD + f"for {compiler}\n" +
            "".join(f"{carrier:<6} {messages} {cost:8.1f}\n" for carrier, messages, cost in rows))


def verdict(cost, wanted):
    """What is wrong; None when nothing is."""
    change = cost / wanted - 1
    if change > MARGIN:
        return f"{change:+.1%}: the fan-out has become dearer"
    if change < -MARGIN:
        return f"{change:+.1%}: the fan-out has become cheaper; keep that, in the table"
    return None


def print_functions(functions, file):
    for name, cost in functions.most_common(SHOWN):
        print(f"{cost:10.1f}  {name}", file=file)


def complain(args, row, wrong, functions):
    """Where meson shows it."""
    again = f"{os.path.abspath(sys.argv[0])} renew --for {args.compiler} {os.path.abspath(args.program)}"
    print(f"{row}: {wrong}. The dearest functions:", file=sys.stderr)
    print_functions(functions, sys.stderr)
    print(f"If it must be so, renew the table: {again}\n", file=sys.stderr)


def check_row(number, args, row):
    carrier, messages, wanted = row
    try:
        functions = measure(args.program, carrier, messages)
    except Skipped as reason:
        print(f"ok {number} # SKIP {carrier} {messages}: {reason}")
        return True
    except (ValueError, OSError, subprocess.TimeoutExpired) as error:
        print(f"not ok {number} - {carrier} {messages}")
        print(error, file=sys.stderr)
        return False
    wrong = verdict(functions.total(), wanted)
    print(f"{'not ok' if wrong else 'ok'} {number} - {carrier} {messages}: "
          f"{functions.total():.1f} instructions, table {wanted:.1f}")
    if wrong:
        complain(args, f"{carrier} {messages}", wrong, functions)
    return not wrong


def check(args, compiler, rows):
    print(f"1..{len(rows)}")
    if compiler == args.compiler:
        return all([check_row(number, args, row) for number, row in enumerate(rows, 1)])
    for number in range(1, len(rows) + 1):
        print(f"ok {number} # SKIP the table is for {compiler}, this is {args.compiler}")
    return True


def renew(args, _, rows):
    new = [(carrier, messages, measure(args.program, carrier, messages).total())
           for carrier, messages, _ in rows]
    with open(TABLE, "w", encoding="utf-8") as file:
        file.write(write_table(args.compiler, new))
    return True


def show(args, _, rows):
    functions = measure(args.program, args.carrier, args.messages)
    print(f"{functions.total():10.1f}  in all, per message and viewer")
    print_functions(functions, sys.stdout)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parts = parser.add_subparsers(required=True)
    for run in (check, renew):
        part = parts.add_parser(run.__name__)
        part.set_defaults(run=run)
        part.add_argument("--for", dest="compiler", required=True)
        part.add_argument("program")
    part = parts.add_parser("show")
    part.set_defaults(run=show)
    for name, kind in (("program", str), ("carrier", str), ("messages", int)):
        part.add_argument(name, type=kind)
    args = parser.parse_args()
    with open(TABLE, encoding="utf-8") as file:
        return 0 if args.run(args, *read_table(file.read())) else 1


if __name__ == "__main__":
    sys.exit(main())
