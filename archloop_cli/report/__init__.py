"""The report of a run: one self-contained HTML file that needs no network and runs no script; its tables as CSV."""

from archloop_cli.report.page import write
from archloop_cli.report.view import Beside, showcase

__all__ = ["Beside", "showcase", "write"]
