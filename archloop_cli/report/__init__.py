"""The report of a run: one self-contained HTML file that needs no network and runs no script."""

from archloop_cli.report.page import write
from archloop_cli.report.view import showcase

__all__ = ["showcase", "write"]
