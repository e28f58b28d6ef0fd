"""Where log lines go once standard error is another than when logging was set up, and what a test leaves behind."""

import io
import sys

import pytest
import structlog
from structlog.testing import capture_logs

from archloop.ops import logging


def test_lines_go_to_the_standard_error_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", before)
    logging.configure()
    structlog.get_logger().info("first")
    monkeypatch.setattr(sys, "stderr", after)
    before.close()
    structlog.get_logger().info("second")
    assert "second" in after.getvalue()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_program_that_silences_the_log_does_so_for_one_test(turn: int) -> None:
    def said() -> int:
        with capture_logs() as logs:
            structlog.get_logger().info("heard", turn=turn)
        return len(logs)

    assert said() == 1
    logging.configure(level="WARNING", json=False)
    assert said() == 0
