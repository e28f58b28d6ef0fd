"""The generator's port to a model server: ours for real, doubles of TGI and vLLM, and two of vLLM as one."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from archloop.errors import InvalidInput, Unavailable
from archloop.ops.http import listening
from services.generator.backends.cpu import CpuBackend
from services.generator.backends.port import Backend, Decoding, ServedModel
from services.generator.backends.replicated import Replicated
from services.generator.backends.tgi import TgiBackend
from services.generator.backends.vllm import VllmBackend
from services.generator.errors import AdapterMissing, GenerationFailed, ServerOverloaded, TooLong, Unguided
from tests.servers import tgi_double, tgi_routes, vllm_double
from tests.servers.double_model import fingerprint
from tests.servers.process import free_ports

pytestmark = pytest.mark.timeout(240)  # the first test starts our server

SERVED = ServedModel("tiny", "0" * 64)
NAME = "org/tiny"
PROMPT = "class Net:"
GREEDY = Decoding(9)
SAMPLED = Decoding(9, temperature=0.9, top_p=0.9, top_k=50)
GRAMMAR = "start: /[01]{6}/"
EVERY = ["cpu", "tgi", "tgi chat", "vllm", "replicated"]
DOUBLES = EVERY[1:]
HOT = ["cpu", "vllm", "replicated"]


@dataclass
class World:
    """A backend and the servers behind it. `folders` are those of the adapters `code-v0` and `code-v1`."""

    connect: Callable[[float], Backend]  # how patient it is
    folders: list[Path]
    doubles: list[Any]
    restart: Callable[[], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self.backend = self.connect(60)

    async def load(self, number=0) -> str:
        name = f"code-v{number}"
        await self.backend.load(name, self.folders[number])
        return name

    async def ask(self, prompt=PROMPT, decoding=GREEDY, seed=None, adapter=None):
        return await self.backend.generate(prompt, decoding, seed, adapter)


class Servers:
    """Doubles of vLLM on ports of their own, which can be stopped and started again, empty."""

    def __init__(self, stack, count) -> None:
        self._stack, self.ports = stack, free_ports(count)
        self.doubles = [None] * count
        self._running = [None] * count

    async def start(self, number) -> None:
        self.doubles[number] = vllm_double.VllmDouble(NAME)
        serving = listening(vllm_double.application(self.doubles[number]), "127.0.0.1", self.ports[number], "PORT")
        self._running[number] = await self._stack.enter_async_context(AsyncExitStack())
        await self._running[number].enter_async_context(serving)

    async def stop(self, number) -> None:
        await self._running[number].aclose()

    async def restart(self) -> None:
        for number in range(len(self.ports)):
            await self.stop(number)
            await self.start(number)

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def world(request, stack, adapter_folders, model_server):
    kind, folders = request.param, adapter_folders[:2]
    if kind == "cpu":
        made = World(lambda timeout_s: CpuBackend(model_server, timeout_s=timeout_s, streams=True), folders, [])
    elif kind.startswith("tgi"):
        made = await tgi_world(stack, folders, chat="chat" in kind)
    else:
        made = await vllm_world(stack, folders, 2 if kind == "replicated" else 1)
    yield made
    for name in ("code-v0", "code-v1"):
        await made.backend.unload(name)
    await made.backend.close()


async def tgi_world(stack, folders, *, chat):
    adapters = {f"code-v{number}": fingerprint(folder) for number, folder in enumerate(folders)}
    double = tgi_double.TgiDouble(NAME, adapters)
    url = await stack.enter_async_context(listening(tgi_routes.application(double), "127.0.0.1", 0, "PORT"))

    def connect(timeout_s):
        return TgiBackend(url, SERVED, NAME, loaded=adapters, chat=chat, timeout_s=timeout_s)

    return World(connect, folders, [double])


async def vllm_world(stack, folders, count):
    servers = Servers(stack, count)
    for number in range(count):
        await servers.start(number)

    async def addresses():
        return servers.urls

    def connect(timeout_s):
        one = partial(VllmBackend, served=SERVED, served_as=NAME, timeout_s=timeout_s)
        return Replicated(addresses, one) if count > 1 else one(servers.urls[0])

    return World(connect, folders, servers.doubles, servers.restart)


def against(kinds):
    return pytest.mark.parametrize("world", kinds, indirect=True)


@against(EVERY)
async def test_it_says_that_it_is_ready_and_what_it_serves(world):
    assert await world.backend.ready()
    assert len((await world.backend.base()).sha256) == 64


@against(EVERY)
async def test_an_answer_is_complete(world):
    answer = await world.ask()
    assert answer.text
    assert answer.finish_reason in {"length", "eos_token", "stop"}
    assert answer.usage.prompt_tokens >= len(PROMPT)
    assert 0 < answer.usage.completion_tokens <= GREEDY.max_new_tokens
    assert answer.usage.seconds > 0
    assert answer.logprob < 0
    assert answer.adapter is None


@against(EVERY)
async def test_the_same_seed_gives_the_same_answer_and_another_another(world):
    texts = [(await world.ask(decoding=SAMPLED, seed=seed)).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@against(["cpu"])
async def test_a_guided_answer_is_a_text_of_its_grammar_and_ends_with_it(world):
    answers = [await world.ask(decoding=replace(SAMPLED, grammar=GRAMMAR), seed=seed) for seed in range(8)]
    answers.append(await world.ask(decoding=Decoding(9, grammar=GRAMMAR)))
    assert all(re.fullmatch("[01]{6}", answer.text) for answer in answers)
    assert {answer.finish_reason for answer in answers} == {"eos_token"}
    assert len({answer.text for answer in answers}) > 1
    assert not re.fullmatch("[01]{6}.*", (await world.ask(decoding=SAMPLED, seed=0)).text)


@against(["vllm", "replicated"])
async def test_vllm_is_told_the_grammar(world):
    await world.ask(decoding=replace(SAMPLED, grammar=GRAMMAR))
    assert [told for double in world.doubles for told in double.guided] == [{"grammar": GRAMMAR}]


@against(["tgi", "tgi chat"])
async def test_tgi_is_not_asked_for_what_it_would_not_keep_to(world):
    with pytest.raises(Unguided, match="guided"):
        await world.ask(decoding=replace(SAMPLED, grammar=GRAMMAR))


@against(["cpu"])
async def test_a_text_that_is_no_grammar_is_refused(world):
    with pytest.raises(InvalidInput, match="grammar"):
        await world.ask(decoding=replace(SAMPLED, grammar="start: missing"))
    assert (await world.ask()).text


@against(EVERY)
async def test_an_answer_cut_by_its_length_says_so(world):
    answer = await world.ask(decoding=Decoding(3))
    assert (answer.finish_reason, answer.usage.completion_tokens) == ("length", 3)


@against(EVERY)
async def test_each_adapter_answers_in_its_own_way(world):
    names = [await world.load(number) for number in (0, 1)]
    answers = [await world.ask(adapter=adapter) for adapter in (None, *names)]
    assert len({(answer.text, answer.logprob) for answer in answers}) == 3
    assert [answer.adapter for answer in answers] == [None, *names]
    assert (await world.ask()).text == answers[0].text


@against(EVERY)
async def test_an_adapter_that_is_not_loaded_is_missing_and_never_answered_as_the_base(world):
    for prompt in (PROMPT, "another"):
        with pytest.raises(AdapterMissing, match="code-v9"):
            await world.ask(prompt, adapter="code-v9")


@against(EVERY)
async def test_it_tells_what_is_loaded(world):
    name = await world.load()
    assert name in await world.backend.adapters()
    await world.backend.unload(name)
    assert name not in await world.backend.adapters()
    with pytest.raises(AdapterMissing):
        await world.ask(adapter=name)


@against(EVERY)
async def test_loading_and_unloading_twice_is_as_once(world):
    name = await world.load()
    first = await world.ask(adapter=name)
    await world.load()
    assert (await world.ask(adapter=name)).text == first.text
    await world.backend.unload(name)
    await world.backend.unload(name)
    await world.backend.unload("code-v9")


@against(HOT)
async def test_loading_twice_at_once_is_as_once(world):
    names = await asyncio.gather(world.load(), world.load())
    assert names[0] in await world.backend.adapters()


@against(HOT)
async def test_what_is_no_adapter_is_refused(world, tmp_path):
    with pytest.raises((InvalidInput, Unavailable)):
        await world.backend.load("code-v0", tmp_path)
    with pytest.raises(InvalidInput):
        await world.backend.load("code-v0", tmp_path / "nowhere")
    assert "code-v0" not in await world.backend.adapters()


@against(EVERY)
async def test_too_long_is_told_from_other_refusals(world):
    for prompt, length in (("x" * 300, 5), ("x" * 10, 300)):
        with pytest.raises(TooLong, match="256") as failure:
            await world.ask(prompt, Decoding(length))
        assert not failure.value.retryable


@against(["vllm", "replicated"])
async def test_vllm_cuts_an_answer_that_does_not_fit_in_beside_its_prompt(world):
    answer = await world.ask("x" * 252, Decoding(200))
    assert (answer.finish_reason, answer.usage.completion_tokens) == ("length", 4)


@against(DOUBLES)
async def test_an_overloaded_server_is_told_as_one(world):
    for double in world.doubles:
        double.limit = 0
    with pytest.raises(ServerOverloaded):
        await world.ask()
    for double in world.doubles:
        double.limit = 1
    assert (await world.ask()).text


@against(DOUBLES)
@pytest.mark.parametrize(("fault", "error"), [("!cut", GenerationFailed), ("!torn", Unavailable)])
async def test_a_stream_that_is_cut_is_never_half_an_answer(world, fault, error):
    with pytest.raises(error) as failure:
        await world.ask(f"{fault} please")
    assert failure.value.retryable
    assert not isinstance(failure.value, AdapterMissing)


@against(DOUBLES)
async def test_an_error_event_within_a_stream_is_retryable(world):
    with pytest.raises(GenerationFailed, match="illegal memory"):
        await world.ask("!error please")


@against(DOUBLES)
async def test_a_server_that_falls_silent_is_given_up(world):
    impatient = world.connect(0.2)
    with pytest.raises(Unavailable):
        await impatient.generate("!silent", GREEDY, None, None)
    await impatient.close()


@against(DOUBLES)
async def test_what_unicode_calls_a_line_break_is_part_of_an_answer(world):
    answer = await world.ask("!lines please")
    assert "\u2028" in answer.text
    assert answer.usage.completion_tokens > 2


@against(DOUBLES)
async def test_more_answers_than_one_connection_carries_come_one_after_the_other_and_at_once(world):
    base = await world.ask()
    for _ in range(70):
        assert (await world.ask()).text == base.text
    answers = await asyncio.gather(*(world.ask(decoding=SAMPLED, seed=seed) for seed in range(100)))
    assert len({answer.text for answer in answers}) > 50


@against(["vllm", "replicated"])
async def test_what_a_restarted_server_lost_is_missing_and_can_be_loaded_again(world):
    name = await world.load()
    before = await world.ask(adapter=name)
    await world.restart()
    with pytest.raises((AdapterMissing, Unavailable)):  # an old connection may break first
        await world.ask(adapter=name)
    with pytest.raises(AdapterMissing):
        await world.ask(adapter=name)
    assert name not in await world.backend.adapters()
    await world.load()
    assert (await world.ask(adapter=name)).text == before.text


@pytest.mark.parametrize(
    "backend",
    [
        CpuBackend("http://127.0.0.1:9"),
        TgiBackend("http://127.0.0.1:9", SERVED, NAME, loaded=["code-v0"]),
        VllmBackend("http://127.0.0.1:9", SERVED, NAME),
    ],
)
async def test_a_server_that_is_not_there_is_unavailable(backend, tmp_path):
    assert not await backend.ready()
    for call in (backend.generate(PROMPT, GREEDY, None, None), backend.base(), backend.adapters()):
        with pytest.raises(Unavailable) as failure:
            await call
        assert not isinstance(failure.value, AdapterMissing)
    await backend.close()


@against(["tgi", "vllm"])
async def test_another_model_than_the_expected_is_not_used(world):
    world.doubles[0].model_id = "org/other"
    with pytest.raises(Unavailable, match="org/other"):
        await world.backend.base()


async def test_vllm_without_runtime_updating_says_what_it_lacks(stack, adapter_folders):
    app = vllm_double.application(vllm_double.VllmDouble(NAME, runtime_updating=False))
    url = await stack.enter_async_context(listening(app, "127.0.0.1", 0, "PORT"))
    backend = VllmBackend(url, SERVED, NAME)
    with pytest.raises(Unavailable, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        await backend.load("code-v0", adapter_folders[0])
    await backend.close()


async def test_an_adapter_counts_once_the_third_of_three_servers_that_was_away_has_it_too(stack, adapter_folders):
    servers = Servers(stack, 3)
    for number in range(3):
        await servers.start(number)

    async def addresses():
        return servers.urls

    one = partial(VllmBackend, served=SERVED, served_as=NAME, timeout_s=10)
    backend = Replicated(addresses, one, rest_s=0.0)
    stack.push_async_callback(backend.close)
    await servers.stop(2)
    with pytest.raises(Unavailable):
        await backend.load("code-v0", adapter_folders[0])
    assert [set(double.loaded) for double in servers.doubles[:2]] == [{"code-v0"}] * 2
    with pytest.raises(Unavailable):
        await backend.adapters()
    await servers.start(2)
    assert await backend.adapters() == frozenset()
    await backend.load("code-v0", adapter_folders[0])
    assert await backend.adapters() == {"code-v0"}
    answers = await asyncio.gather(*(backend.generate(PROMPT, GREEDY, 1, "code-v0") for _ in range(6)))
    assert {(answer.adapter, answer.text) for answer in answers} == {("code-v0", answers[0].text)}
    assert all("code-v0" in double.loaded for double in servers.doubles)
