"""Rolling from one TGI to the next with real processes, the double of TGI as the command."""

import asyncio
import os
import signal
import sys

import psutil
import pytest

from archloop.errors import Unavailable
from services.generator.errors import AdapterMissing
from tests.servers.rolls import COMMAND, refusal, running, until

pytestmark = pytest.mark.timeout(180)


async def test_five_rolls_under_requests_fail_none_and_each_is_answered_by_what_it_asked_for(rolls):
    world, serving, counts = rolls(), [None], {}
    await world.backend.base()
    rolling = True

    async def requests(number):
        while rolling:
            adapter = serving[number % len(serving)]
            prompt = f"class Net{number}:"
            assert await world.ask(adapter, prompt) == world.expected(adapter, prompt)
            counts[adapter] = counts.get(adapter, 0) + 1

    workers = [asyncio.create_task(requests(number)) for number in range(8)]
    for roll in range(5):
        name = f"code-v{roll}"
        await world.bring_up(name)
        serving = [None, *[each for each in serving if each][-1:], name]
        for old in set(await world.backend.adapters()) - set(serving):
            await world.backend.unload(old)
        before = counts.get(name, 0)
        await until(
            lambda name=name, before=before: counts.get(name, 0) > before + 20 or any(w.done() for w in workers)
        )
    rolling = False
    await asyncio.gather(*workers)
    sys.stderr.write(f"{sum(counts.values())} answers over 5 rolls, 0 failed: {counts}\n")
    assert len(world.pids) == 6
    await until(lambda: len(world.alive()) == 1)
    assert await world.backend.adapters() == {"code-v3", "code-v4"}


async def test_a_new_adapter_is_asked_at_the_new_server_and_all_else_at_the_old_until_it_is_adopted(rolls):
    world = rolls()
    await world.bring_up("code-v0")
    await until(lambda: len(world.alive()) == 1)
    old = world.pids[-1]
    await world.backend.load("code-v1", world.adapter("code-v1"))
    await world.answers(None, "code-v0", "code-v1")
    os.kill(world.pids[-1], signal.SIGSTOP)
    await world.answers(None, "code-v0")
    os.kill(world.pids[-1], signal.SIGCONT)
    await world.backend.unload("code-v1")
    assert world.alive() == [old]
    await world.answers(None, "code-v0")
    with pytest.raises(AdapterMissing):
        await world.ask("code-v1")


async def test_a_server_that_does_not_start_leaves_the_old_one_alone(rolls, tmp_path):
    world = rolls()
    await world.bring_up("code-v0")
    (tmp_path / "broken").mkdir()
    with pytest.raises(Unavailable, match=r"broken.*has ended with status 1"):
        await world.backend.load("broken", tmp_path / "broken")
    await world.answers(None, "code-v0")
    assert "holds no LoRA adapter" in world.log.read_text()
    assert await world.backend.adapters() == {"code-v0"}


async def test_a_server_that_is_killed_is_started_again_with_what_it_had(rolls):
    world = rolls()
    await world.bring_up("code-v0")
    await until(lambda: len(world.alive()) == 1)
    os.kill(world.pids[-1], signal.SIGKILL)
    await refusal(world)
    while not await world.backend.ready():
        await asyncio.sleep(0.02)
    await world.answers(None, "code-v0")
    assert len(world.pids) == 3


async def test_without_overlap_there_is_one_server_at_a_time_and_requests_meanwhile_are_told_why(rolls):
    world = rolls(overlap=False)
    await world.bring_up("code-v0")
    loading = asyncio.create_task(world.backend.load("code-v1", world.adapter("code-v1")))
    failure = await refusal(world)
    assert "is being replaced by one with code-v0, code-v1" in str(failure)
    assert failure.retryable
    assert len(world.alive()) <= 1
    await loading
    await world.answers("code-v1")
    with pytest.raises(Unavailable, match="is being replaced"):
        await world.ask("code-v0")
    await world.backend.adopt("code-v1")
    await world.answers(None, "code-v0", "code-v1")
    assert len(world.alive()) == 1


@pytest.mark.parametrize("how", ["does not start", "is not proven"])
async def test_without_overlap_the_old_one_comes_back_where_the_new_one_fails(rolls, how, tmp_path):
    world = rolls(overlap=False)
    await world.bring_up("code-v0")
    if how == "does not start":
        (tmp_path / "broken").mkdir()
        with pytest.raises(Unavailable, match="broken"):
            await world.backend.load("broken", tmp_path / "broken")
        await world.backend.unload("broken")
    else:
        await world.backend.load("code-v1", world.adapter("code-v1"))
        await world.backend.unload("code-v1")
    with pytest.raises(Unavailable, match="is being started again"):
        await world.backend.adapters()
    while not await world.backend.ready():
        await asyncio.sleep(0.02)
    await world.answers(None, "code-v0")
    assert len(world.alive()) == 1


async def test_what_an_old_server_has_begun_it_ends_and_is_given_up_after_a_while(rolls):
    world = rolls(drain_s=0.5, stop_s=5.0)
    await world.bring_up("code-v0")
    old = world.pids[-1]
    endless = asyncio.create_task(world.ask("code-v0", "!silent"))
    begun = asyncio.create_task(world.ask("code-v0"))
    await asyncio.sleep(0)
    await world.bring_up("code-v1")
    assert await begun == world.expected("code-v0")
    with pytest.raises(Unavailable):
        await endless
    await until(lambda: not running(old))


async def test_one_that_ignores_sigterm_is_killed(rolls):
    world = rolls(command=f"{COMMAND} --stubborn", stop_s=0.5)
    await world.bring_up("code-v0")
    await until(lambda: len(world.alive()) == 1)
    await world.answers("code-v0")


async def test_whatever_else_is_set_graphs_and_prefix_cache_are_off_and_our_secrets_stay_here(rolls, monkeypatch):
    monkeypatch.setenv("PREFIX_CACHING", "1")
    monkeypatch.setenv("CUDA_GRAPHS", "1,2")
    monkeypatch.setenv("ARCHLOOP_GENERATOR_API_TOKEN", "very secret")
    world = rolls()
    await world.bring_up("code-v0")
    await world.answers(None, "code-v0", None)
    environment = psutil.Process(world.pids[-1]).environ()
    assert "ARCHLOOP_GENERATOR_API_TOKEN" not in environment
    assert environment["LORA_ADAPTERS"] == f"code-v0={world.folder / 'code-v0'}"


async def test_a_server_with_graphs_on_answers_as_the_base_as_the_real_one_is_feared_to(rolls):
    """What the probe is for: nothing else tells."""
    world = rolls(command=f"{COMMAND} --cuda-graphs 1,2")
    await world.backend.load("code-v0", world.adapter("code-v0"))
    assert await world.ask("code-v0") == world.expected(None)
    await world.backend.unload("code-v0")


async def test_a_server_that_is_being_stopped_when_all_ends_is_stopped_to_its_end(rolls):
    world, stopped = rolls(), []

    async def retire():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.7)  # longer than what is told to end again and again is left alone
            stopped.append(True)

    world.backend._retiring = asyncio.create_task(retire())
    await asyncio.sleep(0)
    await world.backend.close()
    assert stopped == [True]
