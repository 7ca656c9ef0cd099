#!/usr/bin/python3
"""The house rules that a machine can check. Python's standard library, clang, gcc and pmccabe only.

usage: lint.py [--root DIR] CHECK...   one check or several; without any: all
       lint.py --list                  the names of the checks
       lint.py --prune                 drop the exceptions that are no longer needed
       lint.py report                  sizes and ratios; never fails

A finding is "path:line: text [check key]". A line "check key" in tools/lint-exceptions.txt accepts
it. An exception that accepts nothing is itself a finding, so that the list only shrinks.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
from collections import defaultdict, namedtuple

FUNCTION_LINES_MAX = 100
FUNCTION_LINES_MEDIAN = 15
FUNCTION_LINES_P95 = 60
COMPLEXITY_MAX = 15
FILE_LINES_SOFT = 600
FILE_LINES_MAX = 1200
EXCEPTIONS_MAX = 0  # may only be lowered

EXCEPTIONS = "tools/lint-exceptions.txt"
SKIPPED_NAMES = {".git", ".cache", "__pycache__", ".pytest_cache", "node_modules"}

# Which rooms a room may include. "culvert" is include/culvert, the public interface.
ARROWS = {
    "base": {"base"},
    "proto": {"base", "proto"},
    "media": {"base", "proto", "media"},
    "io": {"base", "io"},
    "client": {"base", "proto", "media", "io", "client", "culvert"},
    "server": {"base", "proto", "media", "io", "client", "server", "culvert"},
    "cli": {"base", "proto", "media", "io", "client", "server", "cli", "culvert"},
}
PURE_ROOMS = ("src/base/", "src/proto/", "src/media/")
IMPURE_HEADER = re.compile(
    r"^(sys/(socket|un|time|select|epoll|poll|eventfd|timerfd|stat|wait|sendfile)\.h|net/.*|"
    r"netinet/.*|arpa/.*|linux/.*|netdb\.h|poll\.h|unistd\.h|fcntl\.h|dirent\.h|signal\.h|time\.h|"
    r"pthread\.h|threads\.h|semaphore\.h|uv\.h|uv/.*|openssl/.*|sqlite3\.h|jansson\.h|syslog\.h)$")

# (functions, folders in which they are banned, files that may, reason)
SRC, TESTS, BENCH = ("src/", "include/"), ("test/",), ("bench/",)
BANNED = (
    ("strcpy strcat sprintf vsprintf gets strtok atoi atol alloca", SRC + TESTS + BENCH, (),
     "has no bounds or no errors"),
    ("system popen", SRC + TESTS + BENCH, (), "runs a shell"),
    ("rand srand random", SRC + TESTS + BENCH, (), "is predictable"),
    ("signal", SRC + TESTS + BENCH, (), "is unsafe with threads: use the loop or sigaction"),
    ("malloc calloc realloc reallocarray free strdup strndup asprintf", SRC, ("src/base/mem.c",),
     "memory comes from base/mem.h"),
    ("sleep usleep nanosleep clock_nanosleep uv_sleep", SRC + TESTS, (),
     "wait for the event, not for a time"),
    ("time clock clock_gettime gettimeofday", PURE_ROOMS, (), "time is a parameter here"),
)

Finding = namedtuple("Finding", "path line text key")


# ---- the tree --------------------------------------------------------------------------------

class Tree:
    """The files below a root, by path from the root; build folders and caches left out."""

    def __init__(self, root):
        self.root = root
        self.paths = sorted(self._walk())
        self._texts = {}

    def _walk(self):
        for folder, names, files in os.walk(self.root):
            top = folder == self.root
            names[:] = [n for n in names if n not in SKIPPED_NAMES
                        and not (top and (n == "build" or n.startswith("build-")))]
            for name in files:
                if name not in SKIPPED_NAMES:
                    yield os.path.relpath(os.path.join(folder, name), self.root)

    def under(self, folders, endings):
        return [p for p in self.paths if p.startswith(tuple(folders)) and p.endswith(endings)]

    def c_files(self):
        return self.under(("src/", "include/", "examples/", "test/", "bench/"), (".c", ".h"))

    def text(self, path):
        if path not in self._texts:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
                self._texts[path] = file.read()
        return self._texts[path]

    def lines(self, path):
        return self.text(path).count("\n")

    def run(self, command):
        return subprocess.run(command, cwd=self.root, text=True, capture_output=True, check=False)


C_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """C without comments, strings and characters; lines stay where they are."""
    return C_TOKEN.sub(lambda token: re.sub(r"[^\n]", " ", token.group()), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


# ---- checks: each takes a tree and yields findings ---------------------------------------------

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def include_fault(tree, path, quote, name):
    """What is wrong with an include, in words; None when it is right."""
    room = path.split("/")[1]
    target = name.split("/")[0]
    if quote == "<":
        pure = path.startswith(PURE_ROOMS)
        return f"{room} must not include <{name}>" if pure and IMPURE_HEADER.match(name) else None
    base = "include/" if target == "culvert" else "src/"
    if "/" not in name or base + name not in tree.paths:
        return f'"{name}" is not a header, written from src'
    if target not in ARROWS.get(room, {"culvert"}):
        return f"{room} must not include {target}"
    return None


def check_arrows(tree):
    """Rooms include only the rooms below them; base, proto and media stay pure."""
    for path in tree.under(("src/", "include/"), (".c", ".h")):
        room = path.split("/")[1]
        if path.startswith("src/") and room not in ARROWS:
            yield Finding(path, 1, "no such room", path)
        for match in INCLUDE.finditer(tree.text(path)):
            fault = include_fault(tree, path, *match.groups())
            if fault:
                yield Finding(path, line_of(tree.text(path), match.start()), fault,
                              f"{path}:{match.group(2)}")


def check_basenames(tree):
    """A file's name says which file it is: no two alike. What is for users (include, examples) is
    named by its folder."""
    places = defaultdict(list)
    ours = [path for path in tree.c_files() if not path.startswith(("include/", "examples/"))]
    for path in ours + tree.under(("test/", "tools/", "bench/"), (".py", ".sh")):
        places[os.path.basename(path)].append(path)
    for name, paths in sorted(places.items()):
        for path in paths[1:]:
            yield Finding(path, 1, f"same name as {paths[0]}", path)


Function = namedtuple("Function", "path line name lines complexity")
PMCCABE = re.compile(r"^\d+\t(\d+)\t\d+\t(\d+)\t(\d+)\t([^(]+)\(\d+\): (\S+)")


def functions(tree, folders):
    paths = tree.under(folders, (".c",))
    if not paths:
        return []
    found = (PMCCABE.match(line) for line in tree.run(["pmccabe"] + paths).stdout.splitlines())
    return [Function(m[4], int(m[2]), m[5], int(m[3]), int(m[1])) for m in found if m]


def check_functions(tree):
    """Functions are short."""
    for f in functions(tree, ("src/", "test/", "bench/")):
        if f.lines > FUNCTION_LINES_MAX:
            yield Finding(f.path, f.line, f"{f.name} has {f.lines} lines", f"{f.path}:{f.name}")
    sizes = sorted(f.lines for f in functions(tree, ("src/",)))
    if not sizes:
        return
    for what, size, most in (("median", statistics.median(sizes), FUNCTION_LINES_MEDIAN),
                             ("p95", percentile(sizes, 95), FUNCTION_LINES_P95)):
        if size > most:
            yield Finding("src", 1, f"{what} of function lines is {size}, not {most}", what)


def percentile(ordered, percent):
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def check_complexity(tree):
    """Functions are simple: cyclomatic complexity, each case of a switch counted."""
    for f in functions(tree, ("src/", "test/", "bench/")):
        if f.complexity > COMPLEXITY_MAX:
            yield Finding(f.path, f.line, f"{f.name} has complexity {f.complexity}",
                          f"{f.path}:{f.name}")


def sized_files(tree):
    return tree.c_files() + tree.under(("test/", "tools/", "bench/"), (".py", ".sh"))


def check_files(tree):
    """Files are short."""
    for path in sized_files(tree):
        if tree.lines(path) > FILE_LINES_MAX:
            yield Finding(path, 1, f"{tree.lines(path)} lines", path)


def check_banned(tree):
    """No calls that cannot be made safe; memory through one door."""
    for words, folders, allowed, reason in BANNED:
        # not a longer name, not a member, not a declaration of a function type
        call = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(words.split()))
        for path in tree.under(folders, (".c", ".h")):
            text = code_only(tree.text(path))
            for match in () if path in allowed else call.finditer(text):
                yield Finding(path, line_of(text, match.start()), f"{match[1]}() {reason}",
                              f"{path}:{match[1]}")


def check_sleeps(tree):
    """Tests wait for events, not for times. Only wait_until() may sleep, between two looks."""
    for path in tree.under(("test/",), (".py",)):
        text = tree.text(path)
        for match in re.finditer(r"^[^#\n\"']*\bsleep\s*\(", text, re.M):
            inside = re.findall(r"^\s*(?:async )?def (\w+)", text[:match.start()], re.M)[-1:]
            if inside != ["wait_until"]:
                yield Finding(path, line_of(text, match.end()), "sleep() in a test", f"{path}:sleep")


def check_headers(tree):
    """Each header compiles alone; the public ones in C++ too. A *_table.h is included in pieces."""
    flags = ["-fsyntax-only", "-D_GNU_SOURCE", "-Isrc", "-Iinclude", "-Wall", "-Wextra", "-Werror"]
    jobs = [(path, ["gcc", "-std=gnu17", "-x", "c"])
            for path in tree.under(("src/", "include/"), (".h",)) if not path.endswith("_table.h")]
    jobs += [(path, ["clang++", "-std=c++17", "-x", "c++", "-Wno-pragma-once-outside-header"])
             for path in tree.under(("include/",), (".h",))]
    for path, compiler in jobs:
        result = tree.run(compiler + flags + [path])
        if result.returncode != 0:
            first = (re.findall(r"error: .*", result.stderr) or [result.stderr.strip()])[0]
            yield Finding(path, 1, f"does not compile alone ({compiler[0]}): {first}", path)


def check_format(tree):
    """Layout is clang-format's business."""
    paths = tree.c_files()
    if not paths:
        return
    result = tree.run(["clang-format", "--dry-run", "--ferror-limit=1"] + paths)
    wrong = re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error): code should", result.stderr, re.M)
    for path, line in sorted(dict(wrong).items()):
        yield Finding(path, int(line), "is not laid out by .clang-format: run `make format`", path)
    if result.returncode != 0 and not wrong:
        yield Finding(".clang-format", 1, result.stderr.strip(), "run")


MACHINE_PATH = re.compile(r"/work[/]|/tmp/w[t]\b")


def check_paths(tree):
    """Nothing in the tree knows one particular machine."""
    for path in tree.paths:
        for match in MACHINE_PATH.finditer(tree.text(path)):
            yield Finding(path, line_of(tree.text(path), match.start()),
                          f"path of one machine: {match[0]}", path)


def check_errors(tree):
    """Each code of base/err_table.h is used: the table tells what can happen."""
    table = "src/base/err_table.h"
    if table not in tree.paths:
        return
    used = set()
    for path in tree.under(("src/",), (".c", ".h")):
        used.update(re.findall(r"\bCV_E_(\w+)", code_only(tree.text(path))))
    for match in re.finditer(r"^CV_ERR\((\w+)", tree.text(table), re.M):
        if match[1] not in used:
            yield Finding(table, line_of(tree.text(table), match.start()),
                          f"CV_E_{match[1]} is never used", match[1])


COVERAGE = "doc/spec-coverage.md"
BUG_TEST = re.compile(r"\b(?:test_)?(bug_\d\d_\w+)")


def check_coverage(tree):
    """doc/spec-coverage.md names the tests of each bug class, and only tests that exist."""
    if COVERAGE not in tree.paths:
        return
    named = set(BUG_TEST.findall(tree.text(COVERAGE)))
    there = {}
    for path in tree.under(("test/",), (".c", ".py")):
        for match in BUG_TEST.finditer(tree.text(path)):
            if not path.startswith("test/lint/"):
                there.setdefault(match[1], path)
    for name in sorted(named - set(there)):
        yield Finding(COVERAGE, 1, f"there is no test {name}", name)
    for name in sorted(set(there) - named):
        yield Finding(there[name], 1, f"{COVERAGE} does not name {name}", name)


CHECKS = {name[len("check_"):]: check for name, check in list(globals().items())
          if name.startswith("check_")}


# ---- exceptions --------------------------------------------------------------------------------

def exceptions(tree):
    """The accepted findings: (check, key) -> line number."""
    accepted = {}
    if EXCEPTIONS in tree.paths:
        for number, line in enumerate(tree.text(EXCEPTIONS).splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                check, _, key = line.partition(" ")
                accepted[check, key.strip()] = number
    return accepted


def judge(tree, name):
    """The findings of one check after the exceptions, and the exceptions that accept nothing."""
    mine = {key: line for (check, key), line in exceptions(tree).items() if check == name}
    found = list(CHECKS[name](tree))
    stale = {key: line for key, line in mine.items() if key not in {f.key for f in found}}
    return [f for f in found if f.key not in mine], stale


def findings(tree, name):
    found, stale = judge(tree, name)
    found += [Finding(EXCEPTIONS, line, f"no longer needed: {name} {key} (lint.py --prune)", key)
              for key, line in stale.items()]
    return found


def check_exceptions(tree):
    """The list of exceptions only shrinks."""
    accepted = exceptions(tree)
    for (check, key), line in accepted.items():
        if check not in CHECKS or not key:
            yield Finding(EXCEPTIONS, line, f"not an exception: {check} {key}", key)
    if len(accepted) > EXCEPTIONS_MAX:
        yield Finding(EXCEPTIONS, 1, f"{len(accepted)} exceptions, not {EXCEPTIONS_MAX}", "count")


CHECKS["exceptions"] = check_exceptions


def prune(tree):
    stale = {line for name in CHECKS for line in judge(tree, name)[1].values()}
    kept = [text for number, text in enumerate(tree.text(EXCEPTIONS).splitlines(True), 1)
            if number not in stale]
    with open(os.path.join(tree.root, EXCEPTIONS), "w", encoding="utf-8") as file:
        file.writelines(kept)
    print(f"{len(stale)} exceptions dropped")


# ---- report ------------------------------------------------------------------------------------

def report(tree):
    source = tree.under(("src/", "include/"), (".c", ".h"))
    tests = tree.under(("test/",), (".c", ".h", ".py"))
    source_lines, test_lines = (sum(map(tree.lines, paths)) for paths in (source, tests))
    asserts = sum(len(re.findall(r"\bCV_(?:D?ASSERT|UNREACHABLE)\(", code_only(tree.text(p))))
                  for p in source if not p.endswith("/check.h"))
    print(f"source {source_lines} lines in {len(source)} files, tests {test_lines}: "
          f"ratio {test_lines / max(source_lines, 1):.2f} (aim: 1.0)")
    print(f"assertions: {1000 * asserts / max(source_lines, 1):.1f} per 1000 lines (aim: 10-25)")
    all_functions = functions(tree, ("src/",))
    sizes = sorted(f.lines for f in all_functions)
    if sizes:
        print(f"functions: {len(sizes)}, lines median {statistics.median(sizes):.0f}, p95 "
              f"{percentile(sizes, 95)}, max {sizes[-1]} (at most {FUNCTION_LINES_MEDIAN}, "
              f"{FUNCTION_LINES_P95}, {FUNCTION_LINES_MAX}); complexity max "
              f"{max(f.complexity for f in all_functions)} (at most {COMPLEXITY_MAX})")
    for path in sized_files(tree):
        if tree.lines(path) > FILE_LINES_SOFT:
            print(f"long file: {path} has {tree.lines(path)} lines (better {FILE_LINES_SOFT})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--prune", action="store_true")
    parser.add_argument("checks", nargs="*", metavar="CHECK", choices=[[], "report", *CHECKS])
    arguments = parser.parse_args()
    tree = Tree(os.path.abspath(arguments.root))
    if arguments.list:
        print("\n".join(CHECKS))
        return 0
    if arguments.prune:
        prune(tree)
        return 0
    failed = False
    for name in arguments.checks or CHECKS:
        if name == "report":
            report(tree)
            continue
        found = findings(tree, name)
        for f in found:
            print(f"{f.path}:{f.line}: {f.text} [{name} {f.key}]")
        failed = failed or bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
