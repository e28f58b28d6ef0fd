"""What a service cannot do is asked for again, and ends the run, or the candidate, with the reason."""

from pathlib import Path

import pytest

from archloop.bus.rejections import RejectingHandler
from archloop.contracts.messages import CandidateGenerated, RunFinished
from archloop.errors import (
    Conflict,
    IntegrityError,
    InvalidInput,
    Misconfigured,
    NotFound,
    SandboxUnavailable,
    Unavailable,
)
from services.evaluator.handlers import rejected as evaluation_rejected
from services.generator.handlers import rejected as generation_rejected
from services.novelty.handlers import rejected as judgement_rejected
from services.registry.records import CandidateQuery
from services.trainer.handlers import rejected as training_rejected
from tests.unit.registry.world import PATIENCE, RUN, World, spec

REJECTED = {
    "generator": generation_rejected,
    "evaluator": evaluation_rejected,
    "novelty": judgement_rejected,
    "trainer": training_rejected,
}
CANNOT = {
    "a template that there is not": NotFound("prompt template", "nope", "brief"),
    "a base model that is not served": InvalidInput("base_model", "other", "'tiny'"),
    "a blob that is gone": NotFound("blob", "code/0.py"),
    "a blob of other bytes": IntegrityError("blob 'code/0.py' is corrupt"),
    "a name that is taken": Conflict("blob 'code/0.py' exists with other bytes"),
}


class Refusing:
    """A service that cannot do what it is asked, for the first so many times."""

    def __init__(self, service: object, error: Exception, times: float = float("inf"), index: int | None = None):
        self.service, self.error, self.times, self.index, self.refused = service, error, times, index, 0

    async def handle(self, message):
        if self.refused < self.times and self.index in (None, getattr(message, "index", None)):
            self.refused += 1
            raise self.error
        return await self.service.handle(message)


def refuse(world: World, service: str, error: Exception, **when: float) -> Refusing:
    refusing = Refusing(world.services[service], error, **when)
    world.services[service] = RejectingHandler(refusing, REJECTED[service])
    return refusing


async def reason_of(world: World) -> str:
    run = await world.store.run(RUN)
    assert run is not None
    return str(run.reason)


@pytest.mark.parametrize("cause", CANNOT)
@pytest.mark.parametrize("service", ["generator", "trainer"])
async def test_a_step_of_the_whole_run_ends_it_with_the_reason_after_its_asks(
    tmp_path: Path, service: str, cause: str
) -> None:
    world = World(tmp_path)
    refusing = refuse(world, service, CANNOT[cause])
    await world.request(spec())
    await world.run_to_end()
    assert str(CANNOT[cause]) in await reason_of(world)
    assert "rejected" in await reason_of(world)
    run = await world.store.run(RUN)
    assert run is not None
    assert run.status == "failed"
    assert refusing.refused == PATIENCE.asks * (1 if service == "trainer" else 6)


@pytest.mark.parametrize("cause", CANNOT)
@pytest.mark.parametrize("service", ["evaluator", "novelty"])
async def test_a_step_of_one_candidate_loses_that_one_with_the_reason(tmp_path: Path, service: str, cause: str) -> None:
    world = World(tmp_path)
    refuse(world, service, CANNOT[cause], index=2)
    await world.request(spec(cycles=1))
    await world.run_to_end()
    assert await reason_of(world) == "completed"
    lost = [event.data for event in await world.store.events() if event.type == "archloop.candidate.lost.v1"]
    assert {each["index"] for each in lost} <= {2, 3, 4, 5}
    assert next(each for each in lost if each["index"] == 2)["reason"].endswith(str(CANNOT[cause]))


async def test_where_all_are_refused_the_run_says_why(tmp_path: Path) -> None:
    world = World(tmp_path)
    refuse(world, "evaluator", CANNOT["a blob that is gone"])
    await world.request(spec(cycles=1))
    await world.run_to_end()
    assert await reason_of(world) == "cycle 0: every candidate was lost; not_found: no blob named 'code/0.py'"


@pytest.mark.parametrize("service", REJECTED)
@pytest.mark.parametrize("times", [1, 2])
async def test_what_is_mended_before_the_last_ask_leaves_no_trace(tmp_path: Path, service: str, times: int) -> None:
    calm = World(tmp_path / "calm")
    await calm.request(spec())
    await calm.run_to_end()
    world = World(tmp_path / "mended")
    refuse(world, service, CANNOT["a blob of other bytes"], times=times)
    await world.request(spec())
    await world.run_to_end()
    assert await reason_of(world) == await reason_of(calm) == "completed"
    ends = [{c.candidate_id: (c.code_sha256, c.admitted) for c in await rows(w)} for w in (world, calm)]
    assert ends[0] == ends[1]


async def rows(world: World):
    return (await world.store.candidates(CandidateQuery(run_id=RUN))).items


async def test_a_refusal_is_asked_again_sooner_than_a_silence_and_less_and_less_often(tmp_path: Path) -> None:
    world = World(tmp_path)
    refuse(world, "generator", CANNOT["a base model that is not served"])
    await world.request(spec(cycles=1, candidates=1))
    waited = []
    while not any(isinstance(message, RunFinished) for message in world.published):
        while world.pending:
            await world.deliver()
        before = len(world.published)
        for seconds in range(1, 200):
            await world.wait(1)
            if len(world.published) > before:
                waited.append(seconds)
                break
        else:
            raise AssertionError("it waits for ever")
    assert waited == [10, 20, 40]


@pytest.mark.parametrize(
    "error", [Unavailable("away"), Misconfigured("ARCHLOOP_X", "is wrong"), SandboxUnavailable("no namespaces")]
)
async def test_our_own_trouble_is_no_rejection(error: Exception) -> None:
    handler = RejectingHandler(Refusing(None, error), generation_rejected)
    message = CandidateGenerated.model_construct(run_id=RUN, run_uid="0" * 8 + "-0000-0000-0000-" + "0" * 12)
    with pytest.raises(type(error)):
        await handler.handle(message)


async def test_what_is_of_no_run_is_raised_and_so_parked() -> None:
    handler = RejectingHandler(Refusing(None, CANNOT["a blob that is gone"]), evaluation_rejected)
    with pytest.raises(NotFound):
        await handler.handle(CandidateGenerated.model_construct(run_id=RUN, run_uid=None))
