"""The how-to on observing, as it stands: a run within one process is traced as one at a deployment is.

`tests/integration/test_stack.py` has a deployment. No container is started here: `tests/unit/deploy/test_observing.py`
holds what the how-to sets against what compose reads.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.collector import collecting
from tests.support import shell_of, small_preset, without_settings
from tests.tracing import check_admitted, check_tuned

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to/observe.md"
# What is here already, and what would start containers; the log of a deployment is that of the run.
INSTEAD = """
pip() { echo "pip $*" >> asked; }
make() { echo "make $*" >> asked; }
docker() { echo "docker $*" >> asked; cat out/log.jsonl; }
"""
ID = "4bf92f3577b34da6a3ce929d0e0e4736"
ANY_ID = "$(grep -oE '\"trace_id\": ?\"[0-9a-f]{32}' out/log.jsonl | grep -oE '[0-9a-f]{32}$' | sed -n 1p)"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_every_command_of_the_how_to_does_what_it_says_and_one_trace_holds_every_hop_of_a_candidate(tmp_path):
    small_preset(tmp_path, candidates=6)
    *shell, script = shell_of(HOW_TO)
    env = without_settings() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    with collecting() as collector:
        own = {
            "http://127.0.0.1:4318": collector.url,
            "--preset demo": "--preset small.yaml --out out --json",
            ID: ANY_ID,
        }
        for written, here in own.items():
            assert script.count(written) == 1
            script = script.replace(written, here)
        done = subprocess.run(
            [*shell, INSTEAD + script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text().splitlines() == [
        "pip install archloop[cli,otel]",
        "make up",
        "docker compose logs --no-log-prefix",
    ]
    summary, *lines = map(json.loads, done.stdout.splitlines())
    assert len({line["trace_id"] for line in lines}) == 1
    admitted = [span.facts["archloop.candidate"] for span in collector.spans if span.name == "admit"]
    assert len(admitted) == sum(cycle["admitted"] for cycle in summary["cycles"])
    check_admitted(collector, admitted)
    check_tuned(collector)
