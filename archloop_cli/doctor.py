"""`archloop doctor`: what this machine offers, and what is missing for a run."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from archloop import models, presets, protocols
from archloop.errors import InvalidInput, Unavailable
from archloop_cli import terminal
from archloop_cli.terminal import styled
from archloop_lab import placement, placing
from archloop_lab.needs import ANY, Machine, Needs, Software


class Finding(NamedTuple):
    """One thing looked at. `needed`: a run cannot do without it."""

    name: str
    ok: bool
    detail: str
    needed: bool = True


def diagnose(*, as_json: bool) -> int:
    """Print every finding; 1 where something needed is missing."""
    findings = [*_machine(), *_gpus(), *_sandbox()]
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


def _gpus() -> Iterator[Finding]:
    """Look for GPUs, for what uses them, and where runs of the presets would go; none of it is needed."""
    try:
        machine, software = Machine.here(), Software.here()
    except Unavailable as error:
        yield Finding("GPUs", False, str(error), needed=False)
        return
    for gpu in machine.gpus:
        yield Finding(gpu.label, True, f"{gpu.name}, {gpu.free_gb:.1f} of {gpu.memory_gb:.1f} GB free", needed=False)
    if not machine.gpus:
        yield Finding("GPUs", False, "none: everything runs on the CPU", needed=False)
        return
    for name, there in software._asdict().items():
        yield Finding(name, there, "installed" if there else "not installed", needed=False)
    for name in presets.names():
        yield _placed(name, machine, software)


def _placed(name: str, machine: Machine, software: Software) -> Finding:
    spec = presets.load(name)
    try:
        made = placing.place(machine, Needs.of(spec, protocols.load(spec.protocol)), software, ANY)
    except InvalidInput as refusal:
        return Finding(f"preset {name}", False, str(refusal), needed=False)
    lines = [f"{title}: {line}" for title, line in placement.told(made)]
    return Finding(f"preset {name}", True, "; ".join(lines), needed=False)


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
