"""Each check of tools/lint.py fails where it must, and only there.

usage: test_lint.py CHECK...    the checks that meson runs: all of them must be there

A case is a check, some files laid over a small good tree, and the words that the check must say;
no words: it must stay silent.
"""
import os
import subprocess
import sys
import tempfile

LINT = os.path.join(os.path.dirname(__file__), "../../tools/lint.py")
HOUSE_FORMAT = os.path.join(os.path.dirname(__file__), "../../.clang-format")

with open(HOUSE_FORMAT, encoding="utf-8") as house_format:
    FORMAT = house_format.read()

GOOD = {
    ".clang-format": FORMAT,
    "tools/lint-exceptions.txt": "# none\n",
    "src/base/err_table.h": 'CV_ERR(NOMEM, -1, NOMEM, "no memory")\n',
    "src/base/mem.h": "void *cv_mem_alloc(int size);\n",
    "src/base/mem.c": '#include "base/mem.h"\n\n#include <stdlib.h>\n\n'
                      "void *cv_mem_alloc(int size)\n{\n    return malloc(size);\n}\n",
    "src/proto/chunk.c": '#include "base/mem.h"\n\nint cv_chunk(void)\n{\n'
                         "    return CV_E_NOMEM;\n}\n",
    "include/culvert/culvert.h": "int culvert_version(void);\n",
    "test/unit/test_chunk.c": "int main(void)\n{\n    return 0;\n}\n",
}

EXCEPTION = "tools/lint-exceptions.txt"
LONG_FUNCTION = "int f(int a)\n{\n" + "    a++;\n" * 98 + "    return a;\n}\n"
BRANCHES = "int f(int a)\n{\n" + "    if (a == 1)\n        a++;\n" * 15 + "    return a;\n}\n"
CASES_16 = ("int f(int a)\n{\n    switch (a) {\n"
            + "".join(f"    case {n}:\n        return {n};\n" for n in range(15))
            + "    }\n    return a;\n}\n")


def include(header):
    return f"#include {header}\n"


def call(code):
    return f"void f(void)\n{{\n    {code};\n}}\n"


def many(lines):
    """Functions with this many lines each, of which there are more than of all others."""
    body = "".join(f"    a += {n};\n" for n in range(lines - 4))
    return "".join(f"int f{n}(int a)\n{{\n{body}    return a;\n}}\n\n" for n in range(30))


CASES = [
    # coverage
    ("coverage", "a_test_that_is_named_must_exist",
     {"doc/spec-coverage.md": "`bug_01_gone`", "test/unit/test_a.c": ""}, "no test bug_01_gone"),
    ("coverage", "a_test_that_exists_must_be_named",
     {"doc/spec-coverage.md": "", "test/unit/test_a.c": "static void bug_02_new(void **state)\n{\n}\n"},
     "does not name bug_02_new"),
    ("coverage", "named_and_there",
     {"doc/spec-coverage.md": "`bug_03_fine`", "test/net/test_a.py": "def test_bug_03_fine():\n    pass\n"},
     None),
    # arrows
    ("arrows", "io_may_not_include_proto", {"src/proto/a.h": "", "src/io/b.c": include('"proto/a.h"')},
     "io must not include proto"),
    ("arrows", "base_may_not_include_proto",
     {"src/proto/a.h": "", "src/base/b.c": include('"proto/a.h"')}, "base must not include proto"),
    ("arrows", "proto_may_not_include_media",
     {"src/media/a.h": "", "src/proto/b.c": include('"media/a.h"')}, "proto must not include media"),
    ("arrows", "client_may_not_include_server",
     {"src/server/a.h": "", "src/client/b.c": include('"server/a.h"')},
     "client must not include server"),
    ("arrows", "server_may_not_include_cli",
     {"src/cli/a.h": "", "src/server/b.c": include('"cli/a.h"')}, "server must not include cli"),
    ("arrows", "proto_may_not_include_the_public_interface",
     {"src/proto/b.c": include('"culvert/culvert.h"')}, "proto must not include culvert"),
    ("arrows", "public_header_may_not_include_rooms",
     {"include/culvert/b.h": include('"base/mem.h"')}, "culvert must not include base"),
    ("arrows", "cli_may_include_all", {"src/io/a.h": "", "src/cli/b.c": include('"io/a.h"')
                                       + include('"culvert/culvert.h"')}, None),
    ("arrows", "server_may_include_client",
     {"src/client/a.h": "", "src/server/b.c": include('"client/a.h"')}, None),
    ("arrows", "includes_are_written_from_src", {"src/base/b.c": include('"mem.h"')},
     "is not a header, written from src"),
    ("arrows", "included_header_exists", {"src/base/b.c": include('"base/gone.h"')},
     "is not a header"),
    ("arrows", "room_is_known", {"src/misc/b.c": ""}, "no such room"),
    ("arrows", "io_may_include_sockets", {"src/io/b.c": include("<sys/socket.h>")}, None),
] + [
    ("arrows", f"{room}_may_not_include_{header.replace('/', '_').replace('.', '_')}",
     {f"src/{room}/b.c": include(f"<{header}>")}, f"{room} must not include <{header}>")
    for room in ("base", "proto", "media")
    for header in ("sys/socket.h", "unistd.h", "time.h", "pthread.h", "openssl/ssl.h", "uv.h")
] + [
    # basenames
    ("basenames", "same_name_in_two_rooms", {"src/io/mem.c": ""}, "same name as src/base/mem.c"),
    ("basenames", "same_name_in_public_is_good", {"include/culvert/mem.h": "", "examples/mem.c": ""}, None),
    ("basenames", "same_name_in_source_and_test", {"test/unit/mem.c": ""}, "same name"),
    # functions, complexity, files
    ("functions", "function_of_102_lines", {"src/base/b.c": LONG_FUNCTION}, "f has 102 lines"),
    ("functions", "long_test_function", {"test/unit/b.c": LONG_FUNCTION}, "f has 102 lines"),
    ("functions", "median_of_20_lines", {"src/base/b.c": many(20)}, "median of function lines"),
    ("functions", "p95_of_70_lines", {"src/base/b.c": many(10), "src/base/c.c": many(70)},
     "p95 of function lines"),
    ("functions", "median_of_15_lines_is_good", {"src/base/b.c": many(15)}, None),
    ("complexity", "fifteen_ifs", {"src/base/b.c": BRANCHES}, "f has complexity 16"),
    ("complexity", "fifteen_cases_count_each", {"src/base/b.c": CASES_16}, "f has complexity 16"),
    ("complexity", "test_with_fifteen_ifs", {"test/unit/b.c": BRANCHES}, "f has complexity 16"),
    ("files", "file_of_1201_lines", {"src/base/b.c": "\n" * 1201}, "1201 lines"),
    ("files", "test_of_1201_lines", {"test/net/b.py": "\n" * 1201}, "1201 lines"),
    ("files", "file_of_1200_lines_is_good", {"src/base/b.c": "\n" * 1200}, None),
] + [
    # banned
    ("banned", f"{name}_in_source", {"src/cli/b.c": call(f"{name}(x)")}, f"{name}()")
    for name in ("strcpy strcat sprintf vsprintf gets strtok atoi alloca system popen malloc calloc "
                 "realloc free strdup rand signal sleep usleep nanosleep").split()
] + [
    ("banned", f"{name}_in_a_test", {"test/unit/b.c": call(f"{name} (x)")}, f"{name}()")
    for name in "strcpy sprintf system rand usleep".split()
] + [
    ("banned", "clock_in_proto", {"src/proto/b.c": call("clock_gettime(0, 0)")}, "clock_gettime()"),
    ("banned", "malloc_in_a_test_is_good", {"test/unit/b.c": call("free(malloc(1))")}, None),
    ("banned", "comments_and_texts_are_good",
     {"src/cli/b.c": '// malloc(1)\n/* free(x)\n */\n' + call('log("system(1)")')}, None),
    ("banned", "members_and_longer_names_are_good",
     {"src/cli/b.c": call("m->free(x), m.free(x), cv_mem_free(x), snprintf(x)")}, None),
    ("banned", "finding_names_file_and_line", {"src/cli/b.c": "\n\n" + call("atoi(x)")},
     "src/cli/b.c:5:"),
    # sleeps
    ("sleeps", "time_sleep", {"test/net/b.py": "import time\n\ntime.sleep(1)\n"}, "b.py:3: sleep()"),
    ("sleeps", "bare_sleep", {"test/net/b.py": "from time import sleep\nsleep(0.1)\n"}, "sleep()"),
    ("sleeps", "wait_until_may_sleep",
     {"test/net/b.py": "def wait_until(f):\n    while not f():\n        time.sleep(1)\n"}, None),
    ("sleeps", "only_wait_until_may_sleep",
     {"test/net/b.py": "def wait_until(f):\n    pass\n\n\ndef other():\n    time.sleep(1)\n"},
     "b.py:6: sleep()"),
    ("sleeps", "comment_is_good", {"test/net/b.py": "# never sleep(1)\n"}, None),
    # headers
    ("headers", "header_that_needs_another", {"src/base/b.h": "void f(uint8_t x);\n"},
     "does not compile alone (gcc)"),
    ("headers", "public_header_that_is_not_cpp",
     {"include/culvert/b.h": "void f(int class);\n"}, "does not compile alone (clang++)"),
    ("headers", "table_is_included_in_pieces", {"src/base/b_table.h": "NO(C, AT, ALL)\n"}, None),
    # format
    ("format", "wrong_layout", {"src/base/b.c": "int  a;\n"}, "is not laid out"),
    ("format", "wrong_layout_in_a_test", {"test/unit/b.c": "int main( void ) { return 0; }\n"},
     "is not laid out"),
    # paths
    ("paths", "machine_path", {"doc/a.md": "see /wor" + "k/notes\n"}, "path of one machine"),
    ("paths", "machine_path_in_hidden_file", {".ci/run": "cd /tmp/w" + "t/x\n"}, ".ci/run:1:"),
    ("paths", "build_folders_are_not_the_tree", {"build-x/a": "/wor" + "k/notes\n"}, None),
    # errors
    ("errors", "code_that_nobody_uses",
     {"src/base/err_table.h": 'CV_ERR(NOMEM, -1, A, "")\nCV_ERR(ODD, -2, A, "")\n'},
     "err_table.h:2: CV_E_ODD is never used"),
    ("errors", "comment_is_no_use",
     {"src/proto/chunk.c": "// CV_E_NOMEM\nint cv_chunk(void);\n"}, "CV_E_NOMEM is never used"),
    # exceptions
    ("files", "exception_accepts_its_finding",
     {"src/base/b.c": "\n" * 1201, EXCEPTION: "files src/base/b.c\n"}, None),
    ("files", "exception_accepts_no_other_finding",
     {"src/base/b.c": "\n" * 1201, "src/base/c.c": "\n" * 1201, EXCEPTION: "files src/base/b.c\n"},
     "src/base/c.c:1: 1201 lines"),
    ("banned", "exception_of_another_check_is_none",
     {"src/cli/b.c": call("atoi(x)"), EXCEPTION: "files src/cli/b.c:atoi\n"}, "atoi()"),
    ("files", "exception_that_is_not_needed", {EXCEPTION: "files src/base/mem.c\n"},
     "no longer needed"),
    ("exceptions", "exception_of_no_check", {EXCEPTION: "fils src/base/mem.c\n"}, "not an exception"),
    ("exceptions", "exception_without_a_key", {EXCEPTION: "files\n"}, "not an exception"),
    ("exceptions", "too_many_exceptions",
     {EXCEPTION: "".join(f"files f{n}\n" for n in range(1000))}, "1000 exceptions"),
]


def lint(folder, *arguments):
    result = subprocess.run([sys.executable, LINT, "--root", folder, *arguments],
                            capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def lay_out(folder, files):
    for path, text in files.items():
        whole = os.path.join(folder, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8") as file:
            file.write(text)


def run_case(check, files, words):
    """None when the case holds, or what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        lay_out(folder, {**GOOD, **files})
        code, output = lint(folder, check)
    if "Traceback" in output:
        return output
    if words is None:
        return None if code == 0 and not output else f"must be silent: {output}"
    return None if code == 1 and words in output else f"must say {words!r}: {output!r}"


def good_tree_passes_all_checks():
    with tempfile.TemporaryDirectory() as folder:
        lay_out(folder, GOOD)
        code, output = lint(folder)
    return None if code == 0 and not output else output


def meson_runs_all_checks():
    listed = sorted(lint(".", "--list")[1].split())
    return None if listed == sorted(sys.argv[1:]) else f"{listed} != {sys.argv[1:]}"


def prune_drops_only_what_is_not_needed():
    with tempfile.TemporaryDirectory() as folder:
        lay_out(folder, {**GOOD, "src/base/b.c": "\n" * 1201,
                         EXCEPTION: "# why\nfiles src/base/b.c\nfiles src/base/mem.c\n"})
        lint(folder, "--prune")
        with open(os.path.join(folder, EXCEPTION), encoding="utf-8") as file:
            left = file.read()
    return None if left == "# why\nfiles src/base/b.c\n" else left


def main():
    tests = [(test.__name__, test) for test in (good_tree_passes_all_checks, meson_runs_all_checks,
                                                prune_drops_only_what_is_not_needed)]
    tests += [(f"{check}: {what}", lambda case=(check, files, words): run_case(*case))
              for check, what, files, words in CASES]
    tested = {check for check, _, _, words in CASES if words}
    tests.append(("each_check_has_a_case_that_fails",
                  lambda: None if tested == set(sys.argv[1:]) else f"tested: {tested}"))
    print(f"1..{len(tests)}")
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        fault = test()
        failed += fault is not None
        print(f"{'ok' if fault is None else 'not ok'} {number} - {name}", flush=True)
        if fault is not None:
            print("# " + fault.strip().replace("\n", "\n# "))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
