"""Runs a project's own unit tests and says what ran: each test, and each line of its code.

`python -I unit_tests.py <folder>`, with `src` and `tests` in it; the answer is JSON, the last line on standard output:
{"cases": [[name, seconds, what failed]], "lines": {file: {line: times}}}. A process of its own, since the code of one
version would stand in the way of the next. Standard library only.
"""

import json
import sys
import time
import unittest
from collections import Counter
from pathlib import Path
from types import CodeType


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.cases, self.began = {}, 0.0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.perf_counter()
        self.cases[test.id()] = [test.id(), 0.0, ""]

    def stopTest(self, test):
        super().stopTest(test)
        self.cases[test.id()][1] = round(time.perf_counter() - self.began, 3)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.cases[test.id()][2] = str(err[1]) or "It is not so."

    def addError(self, test, err):
        super().addError(test, err)
        self.cases.setdefault(test.id(), [test.id(), 0.0, ""])[2] = f"{err[0].__name__}: {err[1]}"


def main(folder):
    source = folder / "src"
    sys.path.insert(0, str(source))
    result, ran = Result(), Counter()

    def follow(frame, event, _argument):
        if not frame.f_code.co_filename.startswith(str(source)):
            return None
        if event == "line":
            ran[frame.f_code.co_filename, frame.f_lineno] += 1
        return follow

    sys.settrace(follow)
    unittest.defaultTestLoader.discover(str(folder / "tests")).run(result)
    sys.settrace(None)
    lines = {
        str(file.relative_to(folder)): {line: ran[str(file), line] for line in sorted(executable(file))}
        for file in sorted(source.rglob("*.py"))
    }
    print(json.dumps({"cases": list(result.cases.values()), "lines": lines}))


def executable(file):
    """The lines that can run, as the compiler numbers them."""
    waiting, lines = [compile(file.read_bytes(), str(file), "exec")], set()
    while waiting:
        code = waiting.pop()
        lines |= {line for _start, _end, line in code.co_lines() if line}
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return lines


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
