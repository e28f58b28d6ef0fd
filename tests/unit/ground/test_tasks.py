"""Tasks that are told to end: also those that forget it."""

import asyncio
from collections import Counter

import pytest

from archloop import tasks as ending


async def test_tasks_end_though_a_cancellation_is_forgotten_and_nobody_waits_for_one_that_never_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ending, "_CANCELLED_S", 0.02)
    told: Counter[str] = Counter()
    freed = asyncio.Event()

    async def forgetful(name: str, times: int) -> None:
        while not freed.is_set():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told[name] += 1
                if told[name] > times:
                    raise

    names = {"obedient": 0, "forgets once": 1, "deaf": 1_000}
    tasks = {name: asyncio.create_task(forgetful(name, times)) for name, times in names.items()}
    await asyncio.sleep(0)
    await ending.cancelled(*tasks.values(), times=4)
    assert [name for name, task in tasks.items() if not task.done()] == ["deaf"]
    assert told["forgets once"] == 2
    freed.set()
    tasks["deaf"].cancel()
    await asyncio.wait([tasks["deaf"]], timeout=5)


@pytest.mark.parametrize("fails", [False, True])
async def test_work_is_outlasted_however_often_its_task_is_cancelled(fails: bool) -> None:
    work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outlasting = asyncio.create_task(ending.ended(work))
    for _ in range(3):
        await asyncio.sleep(0)
        outlasting.cancel()
    await asyncio.sleep(0)
    assert not outlasting.done()
    work.set_exception(ValueError("what a child did")) if fails else work.set_result(None)
    await asyncio.wait_for(outlasting, 5)
