#!/usr/bin/python3
"""The counting of instructions is right, and its verdict sees both directions."""
import sys

import cost

# Two objects, compressed names (also first seen as a callee's), calls, relative lines.
PROFILE = """\
# callgrind format
positions: line
events: Ir
summary: 0

ob=(1) /lib/libc.so
fl=(1) memcpy.S
fn=(1) memcpy
10 5
+1 7

ob=(2) /bin/fanout
fl=(2) chunk_out.c
fn=(2) push
20 100
cob=(1)
cfi=(1)
cfn=(1)
calls=2 10
+2 12
* 3
cfi=(3) mem.c
cfn=(3) alloc
calls=1 50
* 40
fi=(3)
-4 10

fl=(3)
fn=(3)
50 30
ob=(1)
fn=(1)
12 1

totals: 156
"""


def refused(text):
    try:
        cost.Profile(text)
    except ValueError:
        return True
    return False


def own_cost():
    return cost.Profile(PROFILE).of("/bin/fanout") == {"push": 113, "alloc": 30}


def other_objects():
    return cost.Profile(PROFILE).of("/lib/libc.so") == {"memcpy": 13}


def an_unknown_object():
    return cost.Profile(PROFILE).of("/bin/other").total() == 0


def a_profile_that_was_cut():
    return refused(PROFILE[:PROFILE.index("totals")]) and refused("")


def a_cost_that_is_missing():
    return refused(PROFILE.replace("+1 7\n", "")) and refused(PROFILE.replace("calls=2 10\n", ""))


def dearer_and_cheaper():
    return ("dearer" in cost.verdict(106, 100) and "cheaper" in cost.verdict(94, 100)
            and not cost.verdict(104.9, 100) and not cost.verdict(95.1, 100))


def table_round_trip():
    rows = [("rtmp", 1, 1200.5), ("rtmpt", 8, 3000.0)]
    return cost.read_table(cost.write_table("gcc-12-x86_64", rows)) == ("gcc-12-x86_64", rows)


def the_table_is_whole():
    with open(cost.TABLE, encoding="utf-8") as file:
        compiler, rows = cost.read_table(file.read())
    return compiler and all(value > 0 for _, _, value in rows) and len(rows) >= 8


TESTS = (own_cost, other_objects, an_unknown_object, a_profile_that_was_cut, a_cost_that_is_missing,
         dearer_and_cheaper, table_round_trip, the_table_is_whole)


def main():
    print(f"1..{len(TESTS)}")
    wrong = 0
    for number, test in enumerate(TESTS, 1):
        right = test()
        wrong += not right
        print("ok" if right else "not ok", number, "-", test.__name__)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
