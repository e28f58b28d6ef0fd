"""What a command loads before it says its first word."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Seconds each: the training process, the sandbox and the report load them where they are needed.
HEAVY = ("matplotlib", "peft", "scipy.stats", "torch", "transformers")
STARTED = "commands, embedded, runs, remote, scoring"
ANALYSED = "planning, reproduction, run_directory"


def test_what_starts_a_run_does_not_wait_for_what_trains_or_draws() -> None:
    program = (
        f"import sys; from archloop_lab import {ANALYSED}; from archloop_cli import {STARTED}; print(*sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(told.stdout.split())
    assert "services.trainer.process" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)
