"""What a command loads before it says its first word."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Seconds each: the training process, the sandbox and the report load them where they are needed.
HEAVY = ("matplotlib", "peft", "scipy.stats", "torch", "transformers")
STARTED = "commands, embedded, runs, remote, scoring"
ANALYSED = "planning, reproduction, run_directory"


def loaded_by(statements: str) -> set[str]:
    program = f"import sys; {statements}; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(told.stdout.split())


def test_what_starts_a_run_does_not_wait_for_what_trains_or_draws() -> None:
    loaded = loaded_by(f"from archloop_lab import {ANALYSED}; from archloop_cli import {STARTED}")
    assert "services.trainer.process" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)


def test_a_command_is_understood_before_arrays_or_servers_are_loaded() -> None:
    loaded = loaded_by("from archloop_cli import commands")
    assert "archloop_cli.doctor" in loaded
    assert loaded.isdisjoint({*HEAVY, "fastapi", "numpy"}), loaded & {"fastapi", "numpy"}


@pytest.mark.parametrize(
    ("statement", "there"),
    [
        ("from archloop_cli import asking", "archloop_lab.planning"),
        (
            "from archloop_cli import looking, listing, steering, parked; from archloop_lab import walks",
            "archloop_lab.walks",
        ),
        ("from services.generator.model_build import corpus", "services.generator.seeds"),
        ("from archloop_cli import scoring", "services.evaluator.app"),
    ],
    ids=["plans and refusals", "lists", "pairs", "evaluations"],
)
def test_what_only_looks_or_writes_waits_for_none_of_what_runs(statement: str, there: str) -> None:
    loaded = loaded_by(statement)
    assert there in loaded
    assert loaded.isdisjoint({*HEAVY, "datasketch", "archloop_cli.embedded", "services.novelty.app"})


def test_digits_are_read_without_the_package_that_brings_them() -> None:
    given = "protocols.load('digits').dataset, Secret.of(PUBLISHED)"
    imports = "from archloop import protocols; from services.evaluator.secret import PUBLISHED, Secret"
    loaded = loaded_by(f"{imports}; from services.evaluator.datasets.bundled import digits; digits({given})")
    assert "services.evaluator.datasets.bundled" in loaded
    assert "sklearn" not in loaded


def test_a_model_server_in_8_bits_loads_nothing_that_computes_in_other_numbers() -> None:
    loaded = loaded_by("from services.generator.modelserver import app, fleet, models")
    assert "services.generator.modelserver.llama" in loaded
    assert loaded.isdisjoint({"peft", "transformers.modeling_utils", "scipy.stats"})
