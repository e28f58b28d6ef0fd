"""A look that fails is taken again, less and less often, and ends the run where that is in vain; others go on."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archloop.contracts.messages import RunFinished
from archloop.errors import Conflict, IntegrityError, Unavailable
from services.registry.control.failures import Failures
from tests.unit.registry.world import RUN, World, spec


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def failing(world: World, monkeypatch: pytest.MonkeyPatch, verb: str, error: Exception, run_id: str = RUN) -> None:
    """What the store, or the blobs where it has no such verb, answers about this run."""
    target: Any = world.store if hasattr(world.store, verb) else world.blobs
    real = getattr(target, verb)

    async def raises(*arguments: Any, **options: Any) -> Any:
        run = await world.store.run(run_id)
        if run is not None and any(name in str(each) for name in (run_id, run.uid) for each in arguments):
            raise error
        return await real(*arguments, **options)

    monkeypatch.setattr(target, verb, raises)


async def tick(world: World, seconds: float = 1.0) -> None:
    """As the clock does."""
    world.now += timedelta(seconds=seconds)
    for run_id in await world.store.unfinished():
        if world.controller.quiet(run_id, world.now):
            world.publish(await world.controller.look(run_id, world.now))
    while world.pending:
        await world.deliver()


@pytest.mark.parametrize(
    ("verb", "error"),
    [
        ("put", Conflict("runs/run-1/pairs/c0.jsonl is there with other content")),
        ("cycles", IntegrityError("registry database: malformed")),
        ("adapters", ValueError("1 validation error for Adapter")),
        ("close_cycle", OverflowError("date value out of range")),
        ("architectures", KeyError("accuracy")),
        ("asked", RecursionError("maximum recursion depth exceeded")),
        ("claim", TypeError("unsupported operand")),
    ],
)
async def test_a_run_whose_looks_fail_ends_with_the_reason_and_others_do_not(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: str, error: Exception
) -> None:
    failing(world, monkeypatch, verb, error)
    await world.request(spec())
    await world.request(spec(), run_id="another")
    for _ in range(60):
        await tick(world)
        if not await world.store.unfinished():
            break
    run = await world.store.run(RUN)
    assert run is not None
    assert run.status == "failed"
    assert (run.reason or "").startswith(f"cannot go on: {world.patience.asks} looks failed: ")
    assert len([m for m in world.published if isinstance(m, RunFinished) and m.run_id == RUN]) == 1
    assert (await world.store.run("another")).reason == "completed"


async def test_a_database_that_is_away_counts_for_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        failing(world, patched, "asked", Unavailable("the database is away"))
        await world.request(spec())
        for _ in range(20):
            await tick(world)
        assert (await world.store.run(RUN)).finished is None
    for _ in range(20):
        await tick(world, 100)
    assert (await world.store.run(RUN)).reason == "completed"


async def test_a_look_that_succeeds_forgives_those_that_failed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.request(spec())
    await world.deliver()
    for _ in range(world.patience.asks):
        world.controller.forget()
        with monkeypatch.context() as patched:
            failing(world, patched, "asked", ValueError("now and then"))
            assert await world.controller.look(RUN, world.now) == []
        await world.controller.look(RUN, world.now)
    await world.run_to_end()
    assert (await world.store.run(RUN)).reason == "completed"


async def test_the_message_after_which_the_look_failed_is_not_held_responsible(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(world, monkeypatch, "asked", ValueError("no"))
    await world.request(spec())
    _, message = world.pending.pop(0)
    assert await world.services["registry"].handle(message) == []


def test_failed_looks_come_less_and_less_often(world: World) -> None:
    failures, waits = Failures(9), []
    for _ in range(8):
        assert failures.add(RUN, ValueError("x"), world.now) is None
        begun = world.now
        while not failures.due(RUN, world.now):
            world.now += timedelta(seconds=1)
        waits.append((world.now - begun).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert failures.due("another", world.now)
    assert failures.add(RUN, ValueError("a\nb"), world.now) == "cannot go on: 9 looks failed: ValueError: a"


@pytest.mark.parametrize("seconds", [1e12, 1e300, 10**30])
async def test_a_wall_that_no_calendar_reaches_in_an_old_database_ends_the_run(world: World, seconds: float) -> None:
    await world.request(spec(budget={"wall_seconds": 50}))
    await world.deliver()
    world.pending.clear()
    world.store._db.execute("UPDATE runs SET spec = json_set(spec, '$.budget.wall_seconds', ?)", (float(seconds),))
    await world.request(spec(), run_id="another")
    world.controller.forget()
    for _ in range(60):
        await tick(world)
    (finished, reason) = world.store._db.execute(
        "SELECT finished, reason FROM runs WHERE run_id = ?", (RUN,)
    ).fetchone()
    assert finished is not None
    assert "wall_seconds" in reason or "validation error" in reason
    assert (await world.store.run("another")).reason == "completed"
