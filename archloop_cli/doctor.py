"""`archloop doctor`: what this machine offers, and what is missing for a run."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from archloop import models
from archloop_cli import terminal
from archloop_cli.terminal import styled


class Finding(NamedTuple):
    """One thing looked at. `needed`: a run cannot do without it."""

    name: str
    ok: bool
    detail: str
    needed: bool = True


def diagnose(*, as_json: bool) -> int:
    """Print every finding; 1 where something needed is missing."""
    findings = [*_machine(), *_sandbox()]
    if as_json:
        terminal.put_json([finding._asdict() for finding in findings])
    else:
        terminal.show(_table(findings))
    return int(any(finding.needed and not finding.ok for finding in findings))


def _machine() -> Iterator[Finding]:
    yield Finding("cores", True, str(len(os.sched_getaffinity(0))))
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield Finding("free disk", free > 1, f"{free:.1f} GiB")
    shipped = Path(models.locate("tiny"))
    yield Finding("model tiny", shipped.is_dir(), models.fingerprint("tiny")[:12] if shipped.is_dir() else "missing")


def _sandbox() -> Iterator[Finding]:
    from services.evaluator import doctor

    for check in doctor.report():
        yield Finding(f"sandbox: {check.name}", check.ok, check.detail, getattr(check, "needed", True))


def _table(findings: list[Finding]) -> Table:
    table = Table(show_header=False, box=None)
    for finding in findings:
        mark = ("ok", "green") if finding.ok else (("missing", "red") if finding.needed else ("absent", "yellow"))
        table.add_row(styled(*mark), finding.name, finding.detail)
    return table
