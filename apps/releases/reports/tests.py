"""JUnit's XML, as test runners of every language write it."""

import math
from typing import Any

from junitparser import Error, Failure, JUnitXmlError, Skipped, TestCase

from apps.releases.reports import Unreadable, documents

NAMED = 20


def read_junit(report: bytes) -> dict[str, Any]:
    """This function will count test cases. What the attributes of a suite claim is not believed: cases are counted."""
    root = documents.xml(report, root=("testsuites", "testsuite"))
    try:
        # Suites may stand in suites, to any depth.
        cases = [TestCase.fromelem(case) for case in root.iter("testcase")]  # type: ignore[no-untyped-call]
        ends = [{type(result) for result in case.result} for case in cases]
        bad = [case for case, end in zip(cases, ends, strict=True) if end & {Failure, Error}]
        skipped = sum(Skipped in end and not end & {Failure, Error} for end in ends)
        seconds = sum(case.time or 0.0 for case in cases)
    except (JUnitXmlError, ValueError, TypeError, AttributeError) as error:
        raise Unreadable(f"It is not a report of tests: {error}.") from error
    if not math.isfinite(seconds):
        raise Unreadable("A test case has no time that can be counted.")
    if not cases:
        raise Unreadable("It holds no test case.")
    return {
        "total": len(cases),
        "passed": len(cases) - len(bad) - skipped,
        "failed": len(bad),
        "skipped": skipped,
        "seconds": round(seconds, 3),
        "failures": [documents.short(".".join(filter(None, (case.classname, case.name)))) for case in bad[:NAMED]],
    }
