"""A second run is for missed deadlines alone: never for what a sanitizer said, nor for many at once."""
import os
import subprocess
import sys
import tempfile

AGAIN = os.path.join(os.path.dirname(__file__), "../../tools/again.py")


def failed(name, said="not within 5 s", kind="failure"):
    return f"<testcase classname='test_x' name='{name}'><{kind} message='m'>{said}</{kind}></testcase>"


GOOD = "<testcase classname='test_x' name='good'/>"
ONE = "test/net/test_x.py::{}"
CASES = (
    ("nothing_failed", GOOD, []),
    ("one_failed", GOOD + failed("a[1-b]"), [ONE.format("a[1-b]")]),
    ("an_error_counts", failed("a", kind="error"), [ONE.format("a")]),
    ("three_failed", "".join(failed(name) for name in "abc"), [ONE.format(name) for name in "abc"]),
    ("many_failed", "".join(failed(name) for name in "abcd"), []),
    ("a_sanitizer_spoke", failed("a") + failed("b", "ERROR: AddressSanitizer: heap-use-after-free"), []),
    ("undefined_behaviour", failed("a", "x.c:1: runtime error: overflow"), []),
    ("a_crash", failed("a", "exit code -11: "), []),
    ("no_xml", "<", []),
)


def main():
    print(f"1..{len(CASES)}")
    wrong = 0
    for number, (name, content, wanted) in enumerate(CASES, 1):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(f"<testsuites><testsuite>{content}</testsuite></testsuites>")
            file.flush()
            done = subprocess.run([sys.executable, AGAIN, file.name], capture_output=True, text=True, check=True)
        right = done.stdout.split() == wanted
        wrong += not right
        print("ok" if right else "not ok", number, "-", name)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
