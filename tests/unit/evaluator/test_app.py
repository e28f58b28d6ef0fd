import asyncio
import subprocess
import sys

import pytest

from archloop.blobs.directory import DirectoryBlobs
from archloop.bus.memory import MemoryBus
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateGenerated
from archloop.contracts.topology import Queue
from archloop.contracts.values import SourceCode
from archloop.errors import Misconfigured, SandboxUnavailable
from archloop.protocols import load
from services.evaluator.app import opened_evaluator, running, served
from services.evaluator.secret import Secret
from services.evaluator.settings import EvaluatorSettings
from tests.escape.arena import skip_or_fail
from tests.support import HELDOUT_SETTING
from tests.unit.evaluator.support import GOOD, NoResults

PROTOCOL = """
name: small
description: some small images
dataset: {name: shapes, shape: [3, 8, 8], classes: 4, train: 64, validation: 40, test: 40}
below_chance_factor: 1
"""
EVALUATED = Queue("test", ("candidate.evaluated.*",), prefetch=10)


@pytest.fixture
async def bus():
    bus = MemoryBus()
    yield bus
    await bus.close()


@pytest.fixture
async def evaluated(bus):
    """What the evaluator says, as it says it."""
    heard: asyncio.Queue[Envelope] = asyncio.Queue()

    async def hear(delivery):
        heard.put_nowait(Envelope.parse(delivery.body))
        await delivery.ack()

    await bus.declare(EVALUATED)
    await bus.subscribe(EVALUATED, hear)
    return heard


async def test_candidates_are_scored_side_by_side_and_those_in_hand_finished_at_the_end(bus, evaluated, tmp_path):
    protocol = tmp_path / "small.yaml"
    protocol.write_text(PROTOCOL)
    settings, blobs = EvaluatorSettings(slots=2), DirectoryBlobs(tmp_path)
    sources = [GOOD, "x = (", "import socket", GOOD]
    outcomes = {}
    try:
        async with running(settings, bus=bus, blobs=blobs, results=NoResults()) as app:
            for index, source in enumerate(sources):
                await bus.publish(Envelope.of(candidate(index, source, str(protocol)), source="test"))
            for _ in sources:
                message = (await evaluated.get()).message()
                outcomes[message.index] = message.evaluation.outcome
            assert app.subscription.alive
            await bus.publish(Envelope.of(candidate(4, "x = )", str(protocol)), source="test"))
    except SandboxUnavailable as error:
        skip_or_fail(str(error))
    assert outcomes[0] == outcomes[3]
    assert outcomes[0] in ("ok", "below_chance")
    assert (outcomes[1], outcomes[2]) == ("syntax_error", "contract_error")
    assert evaluated.get_nowait().message().index == 4


async def test_as_a_process_of_its_own_it_makes_no_secret_that_its_replicas_would_not_share(tmp_path, monkeypatch):
    monkeypatch.delenv(HELDOUT_SETTING)
    with pytest.raises(Misconfigured, match=f"{HELDOUT_SETTING}: not set; expected for instance one as `archloop env`"):
        async with served(EvaluatorSettings.load(data_dir=tmp_path)):
            raise AssertionError("it started")
    assert list(tmp_path.iterdir()) == []


async def test_within_another_process_a_users_own_is_made_and_scores_are_by_it(tmp_path, monkeypatch):
    monkeypatch.delenv(HELDOUT_SETTING)
    settings = EvaluatorSettings(slots=1, data_dir=tmp_path / "data")
    try:
        async with opened_evaluator(settings) as evaluator:
            scored = await evaluator.evaluate("x = (", load("digits"))
    except SandboxUnavailable as error:
        skip_or_fail(str(error))
    assert scored.heldout_id == evaluator.secret.id == Secret.kept(tmp_path / "data").id


def candidate(index: int, source: str, protocol: str) -> CandidateGenerated:
    code = SourceCode.inline(source)
    return CandidateGenerated(run_id="r", cycle=0, index=index, code=code, prompt="p", protocol=protocol)


def test_the_trusted_side_loads_no_torch() -> None:
    """Which takes it seconds to start and 200 MB: only the children train."""
    look = "import services.evaluator.app, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "False\n"
