"""What several kinds of test need: a small run, the command, and what a run's directory holds."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from archloop.errors import ArchloopError
from archloop_cli import mishaps
from archloop_cli.commands import app
from services.evaluator.devices import Device
from services.evaluator.secret import PUBLISHED
from services.evaluator.settings import EvaluatorSettings

HELDOUT_SETTING = EvaluatorSettings.variable("heldout_secret")
SMALL = """
preset: small
cycles: {cycles}
candidates: {candidates}
seed: {seed}
protocol: digits
base_model: tiny
selection: {{threshold: 0.15, fallback_threshold: 0.12, minimum: 2}}
"""


def slots(config: pytest.Config, count: int) -> list[Device]:
    """Slots on the CPU, or on the GPU that the option names."""
    gpu = config.getoption("--gpu")
    return [Device.cpu() if gpu is None else Device.of_gpu(gpu)] * count


def sampled(members: Iterable[object], every: int) -> list[Any]:
    """Parameters: every so many of a kind's members, from the first on; the others are for `make thorough`."""
    return [
        member if place % every == 0 else pytest.param(member, marks=pytest.mark.thorough)
        for place, member in enumerate(members)
    ]


def small_preset(folder: Path, *, cycles: int = 2, candidates: int = 5, seed: int = 5) -> Path:
    """A preset file of a run that takes seconds."""
    path = folder / "small.yaml"
    path.write_text(SMALL.format(cycles=cycles, candidates=candidates, seed=seed))
    return path


def command(*arguments: object) -> list[str]:
    """The archloop command line, in this interpreter."""
    return [sys.executable, "-m", "archloop_cli", *map(str, arguments)]


def without_settings() -> dict[str, str]:
    """The environment but for settings of ours; by the published secret, so that no test makes one in a user's home."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("ARCHLOOP_")}
    return others | {HELDOUT_SETTING: PUBLISHED}


def archloop(
    *arguments: object, timeout: float = 500, settings: Mapping[str, object] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with no settings but these."""
    env = without_settings() | {name: str(value) for name, value in settings.items()}
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=timeout, env=env, check=False)


def refusal(*arguments: object) -> str:
    """The one line by which the command refuses, without a process of its own, whose start costs seconds."""
    error = CliRunner().invoke(app, [str(each) for each in arguments]).exception
    assert isinstance(error, ArchloopError), error
    found = mishaps.told(error)
    assert found.line.isprintable()
    return "; ".join((found.line, *found.notes))


def shell_of(page: Path) -> list[str]:
    """A shell that runs every `sh` block of a page, and stops where one fails."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)]


class Recorded(NamedTuple):
    """What a registry file holds, keyed by candidate."""

    codes: dict[str, str]
    evaluations: dict[str, tuple[Any, ...]]
    verdicts: dict[str, tuple[Any, ...]]


def recorded(directory: Path) -> Recorded:
    """Read the registry file of a run, whatever state it is in."""
    path = directory / "registry.sqlite"
    if not path.is_file():
        return Recorded({}, {}, {})
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        try:
            codes = dict(connection.execute("select candidate_id, code_sha256 from candidates"))
            evaluations = {row[0]: row[1:] for row in connection.execute("select candidate_id, * from evaluations")}
            verdicts = {row[0]: row[1:] for row in connection.execute("select candidate_id, * from verdicts")}
        except sqlite3.OperationalError:
            return Recorded({}, {}, {})
    return Recorded(codes, evaluations, verdicts)
