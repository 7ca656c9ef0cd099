"""The counting of tests sees every kind of failure."""
import json
import os
import subprocess
import sys
import tempfile

COUNT = os.path.join(os.path.dirname(__file__), "../../tools/count_tests.py")

# (what, file name, content, expected "passed failed skipped")
CASES = (
    ("each_tap_line_is_a_test", "log.json",
     {"result": "OK", "stdout": "1..2\nok 1 - a\nok 2 - b\n"}, "2 0 0"),
    ("not_ok_is_a_failure", "log.json",
     {"result": "FAIL", "stdout": "1..2\nok 1 - a\nnot ok 2 - b\n"}, "1 1 0"),
    ("crash_after_good_tests_is_a_failure", "log.json",
     {"result": "ERROR", "stdout": "1..3\nok 1 - a\nok 2 - b\n"}, "2 1 0"),
    ("time_out_is_a_failure", "log.json", {"result": "TIMEOUT", "stdout": ""}, "0 1 0"),
    ("cmocka_skip_is_no_failure", "log.json",
     {"result": "OK", "stdout": "1..2\nok 1 - a\nnot ok 2 # SKIP b\n"}, "1 0 1"),
    ("only_skipped_is_not_passed", "log.json",
     {"result": "SKIP", "stdout": "1..1\nok 1 # SKIP b\n"}, "0 0 1"),
    ("plain_program_is_one_test", "log.json", {"result": "OK", "stdout": "fine"}, "1 0 0"),
    ("plain_failure_is_one_failure", "log.json", {"result": "FAIL", "stdout": "bad"}, "0 1 0"),
    ("unknown_result_is_a_failure", "log.json", {"result": "INTERRUPT", "stdout": ""}, "0 1 0"),
    ("words_that_begin_with_ok_are_no_tests", "log.json",
     {"result": "OK", "stdout": "1..1\nokay then\n ok 7\nok 1 - a\n"}, "1 0 0"),
    ("broken_log_is_a_failure", "log.json", "{", "0 1 0"),
    ("missing_log_is_a_failure", None, None, "0 1 0"),
    ("empty_log_is_nothing", "log.json", "", "0 0 0"),
    ("pytest_kinds_are_told_apart", "net.xml",
     "<testsuites><testsuite><testcase name='a'/><testcase name='b'><failure/></testcase>"
     "<testcase name='c'><error/></testcase><testcase name='d'><skipped/></testcase>"
     "</testsuite></testsuites>", "1 2 1"),
    ("broken_xml_is_a_failure", "net.xml", "<testsuites>", "0 1 0"),
)


def count(name, content):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name or "missing.json")
        if name:
            with open(path, "w", encoding="utf-8") as file:
                file.write(content if isinstance(content, str) else json.dumps(content) + "\n")
        result = subprocess.run([sys.executable, COUNT, path], capture_output=True, text=True,
                                check=False)
        return result.stdout.strip()


failed = 0
print(f"1..{len(CASES)}")
for number, (what, name, content, expected) in enumerate(CASES, 1):
    got = count(name, content)
    failed += got != expected
    print(f"{'ok' if got == expected else 'not ok'} {number} - {what}")
    if got != expected:
        print(f"# expected {expected}, got {got}")
sys.exit(failed > 0)
