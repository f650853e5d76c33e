"""Adds up the reports of a test run and prints the closing count.

Usage: count_tests.py REPORT...: logs of `cargo test` (.log) and JUnit reports
of pytest (.xml). Fails when one is missing or tells of no test.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

RUST_RESULT = re.compile(
    r'^test result: (\w+)\. (\d+) passed; (\d+) failed; (\d+) ignored'
)


def count_rust(log: Path) -> tuple[int, int, int]:
    """Passed, failed and ignored of a `cargo test` log."""
    totals = [0, 0, 0]
    for line in log.read_text(errors='replace').splitlines():
        match = RUST_RESULT.match(line)
        if match:
            totals = [
                a + int(b) for a, b in zip(totals, match.groups()[1:], strict=True)
            ]
    return totals[0], totals[1], totals[2]


def count_python(report: Path) -> tuple[int, int, int, set[str]]:
    """Passed, failed and skipped of a JUnit report, and why skipped."""
    passed = failed = skipped = 0
    reasons = set()
    for case in ElementTree.parse(report).getroot().iter('testcase'):
        skip = case.find('skipped')
        if skip is not None:
            skipped += 1
            reasons.add(skip.get('message') or 'no reason given')
        elif case.find('failure') is not None or case.find('error') is not None:
            failed += 1
        else:
            passed += 1
    return passed, failed, skipped, reasons


def main() -> int:
    """Prints one line for each report and their sum."""
    total = [0, 0, 0]
    reasons: set[str] = set()
    print('==> count')
    for report in map(Path, sys.argv[1:]):
        if report.suffix == '.log':
            passed, failed, skipped = count_rust(report)
        else:
            passed, failed, skipped, why = count_python(report)
            reasons |= why
        total = [total[0] + passed, total[1] + failed, total[2] + skipped]
        print(f'    {describe(report.stem, passed, failed, skipped)}')
        if passed == 0:
            print(f'{report.stem}: no test ran, so nothing is shown', file=sys.stderr)
            return 1
    print(f'    {describe("all", *total)}')
    for reason in sorted(reasons):
        print(f'    skipped: {reason}')
    return int(total[1] > 0)


def describe(name: str, passed: int, failed: int, skipped: int) -> str:
    """A line of the closing table."""
    line = f'{name:28} {passed:6} passed'
    line += f', {failed} failed' if failed else ''
    line += f', {skipped} skipped' if skipped else ''
    return line


if __name__ == '__main__':
    sys.exit(main())
