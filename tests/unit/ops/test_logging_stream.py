"""Where log lines go once standard error is another than when logging was set up."""

import io
import sys

import pytest
import structlog

from archloop.ops import logging


def test_lines_go_to_the_standard_error_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = structlog.get_config()
    before, after = io.StringIO(), io.StringIO()
    try:
        monkeypatch.setattr(sys, "stderr", before)
        logging.configure()
        structlog.get_logger().info("first")
        monkeypatch.setattr(sys, "stderr", after)
        before.close()
        structlog.get_logger().info("second")
    finally:
        structlog.configure(**kept)
    assert "second" in after.getvalue()
