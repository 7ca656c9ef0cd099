"""The replay driver fails where it must. usage: test_replay.py PROGRAM"""
import os
import subprocess
import sys
import tempfile

program = sys.argv[1]


def replay(files):
    """Exit code and output of the driver over a corpus of these files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        result = subprocess.run([program, folder], capture_output=True, check=False)
        return result.returncode, result.stdout.decode()


def good_corpus_passes_file_by_file():
    code, output = replay({"a": b"", "b": b"Y", "c": b"x" * 4096})
    return code == 0 and output.count("\nok ") == 3


def empty_corpus_fails():
    code, output = replay({})
    return code == 1 and "not ok 1 - empty or missing corpus" in output


def hidden_file_is_no_corpus():
    return replay({".gitkeep": b""})[0] == 1


def missing_corpus_fails():
    return subprocess.run([program, "/nonexistent"], capture_output=True, check=False).returncode == 1


def read_behind_the_end_crashes_and_names_the_file():
    code, output = replay({"1-good": b"Y", "2-bad": b"X", "3-never": b"Y"})
    return code != 0 and "ok 1 - 1-good" in output and output.endswith("# 2-bad\n")


tests = [good_corpus_passes_file_by_file, empty_corpus_fails, hidden_file_is_no_corpus,
         missing_corpus_fails, read_behind_the_end_crashes_and_names_the_file]
print(f"1..{len(tests)}")
results = [test() for test in tests]
for number, (test, passed) in enumerate(zip(tests, results), 1):
    print(f"{'ok' if passed else 'not ok'} {number} - {test.__name__}")
sys.exit(not all(results))
