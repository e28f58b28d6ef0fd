"""A run within one process is traced as one at a deployment is; `tests/integration/test_stack.py` has the other."""

import json

import pytest

from tests.servers.collector import collecting
from tests.support import archloop, small_preset
from tests.tracing import check_admitted, check_tuned

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_one_trace_holds_every_hop_of_a_candidate(tmp_path):
    with collecting() as collector:
        done = archloop(
            *("run", "--preset", small_preset(tmp_path, candidates=6), "--out", tmp_path / "out", "--json"),
            settings={"ARCHLOOP_REGISTRY_TRACES_ENDPOINT": collector.url},
        )
    assert done.returncode == 0, done.stderr
    admitted = [span.facts["archloop.candidate"] for span in collector.spans if span.name == "admit"]
    assert len(admitted) == sum(cycle["admitted"] for cycle in json.loads(done.stdout)["cycles"])
    check_admitted(collector, admitted)
    check_tuned(collector)
