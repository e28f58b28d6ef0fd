"""What pytest's own report comes to in a line of the page."""

import pytest

from benchmarks.gpu.sandbox import summary

PASSED = '<testcase name="good" time="1"/>'
FAILED = '<testcase name="bad"><failure message="AssertionError: no&#10;more">trace</failure></testcase>'
BROKEN = '<testcase name="broken"><error message="RuntimeError: x">trace</error></testcase>'
SILENT = '<testcase name="silent"><failure>trace</failure></testcase>'
SKIPPED = '<testcase name="left out"><skipped message="no GPU">x</skipped></testcase>'
REPORTS = {
    "all well": ([PASSED] * 3, (3, 0, 0, [])),
    "one of each": (
        [PASSED, FAILED, BROKEN, SKIPPED],
        (1, 2, 1, ["bad: AssertionError: no", "broken: RuntimeError: x"]),
    ),
    "without a message": ([SILENT, PASSED], (1, 1, 0, ["silent: failure"])),
    "skipped alone": ([SKIPPED] * 2, (0, 0, 2, [])),
    "more failures than are named": ([FAILED] * 20, (0, 20, 0, ["bad: AssertionError: no"] * 12)),
}


@pytest.mark.parametrize(("cases", "expected"), REPORTS.values(), ids=REPORTS)
def test_a_report_in_numbers(tmp_path, cases, expected):
    (tmp_path / "x.xml").write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    told = summary(tmp_path / "x.xml")
    assert tuple(told.values()) == expected


def test_a_choice_of_no_test_is_no_success(tmp_path):
    (tmp_path / "x.xml").write_text("<testsuites><testsuite/></testsuites>")
    with pytest.raises(RuntimeError, match="no test was run"):
        summary(tmp_path / "x.xml")
