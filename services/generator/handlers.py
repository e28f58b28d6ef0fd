"""The generator's two handlers: one writes a candidate for every request, the other brings up every new adapter."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from archloop import sources, telemetry
from archloop.blobs import programs
from archloop.blobs.port import Blobs
from archloop.contracts.messages import (
    AdapterActivated,
    AdapterRejected,
    AdapterTrained,
    CandidateGenerated,
    GenerationRejected,
    GenerationRequested,
)
from archloop.contracts.values import Usage
from archloop.errors import InvalidInput
from services.generator import metrics, tasks
from services.generator.adapters import AdapterManager
from services.generator.backends import seed_program
from services.generator.backends.port import Answer, Backend, Decoding
from services.generator.errors import AdapterMissing, AdapterUnusable, TooLong, Unguided
from services.generator.tasks import Task

log = structlog.get_logger(__name__)
_LEAST_TOKENS = 64
_NOTHING = Answer("", Usage(), "", None, 0.0)
_NOT_ENCODABLE = "the code holds characters that cannot be encoded in UTF-8"


@dataclass(frozen=True)
class Prices:
    """Prices of a million tokens read and of a million written, in whatever currency."""

    prompt: float = 0.0
    completion: float = 0.0

    def of(self, usage: Usage) -> float:
        """Return the cost of an answer."""
        return (self.prompt * usage.prompt_tokens + self.completion * usage.completion_tokens) / 1e6


class GenerateHandler:
    """Prompt in, candidate out. The same message gives the same prompt and asks with the same seed."""

    def __init__(self, backend: Backend, adapters: AdapterManager, blobs: Blobs, prices: Prices = Prices()) -> None:
        self._backend, self._adapters, self._blobs, self._prices = backend, adapters, blobs, prices

    async def handle(self, message: GenerationRequested) -> Sequence[CandidateGenerated]:
        """Ask the model server once; whatever it answers becomes a candidate."""
        await self._check_base(message.base_model)
        task = tasks.of(message, await tasks.original(message, self._blobs))
        try:
            task, answer = await self._answered(message, task)
            code, problem = task.read(answer.text)
        except Unguided:
            raise
        except InvalidInput as error:
            answer, code, problem = _NOTHING, "", f"the model server refuses the request: {error}"
        if not sources.is_utf8(code):
            code, problem = "", _NOT_ENCODABLE
        generated = CandidateGenerated(
            **message.about(),
            code=await programs.stored(self._blobs, code),
            prompt=task.prompt,
            protocol=message.protocol,
            novelty=message.novelty,
            adapter=None if message.is_drawn or message.adapter is None else message.adapter.adapter,
            parent=message.parent.candidate if message.parent and task.original else None,
            bar=message.bar,
            problem=problem,
            usage=answer.usage.model_copy(update={"cost": self._prices.of(answer.usage)}),
        )
        return [generated]

    async def _check_base(self, wanted: str) -> None:
        served = await self._backend.base()
        if wanted != served.name:
            raise InvalidInput("base_model", wanted, f"{served.name!r}, the one that the model server serves")

    async def _answered(self, message: GenerationRequested, task: Task) -> tuple[Task, Answer]:
        """Ask for the edit, or for a whole network where the parent is too long for the model; tell which it was."""
        try:
            return task, await self._answer(message, task)
        except TooLong as error:
            if task.original is None:
                raise
            log.info("the parent is too long for the model: a whole network is asked for", error=str(error))
            whole = tasks.of(message, None)
            return whole, await self._answer(message, whole)

    async def _answer(self, message: GenerationRequested, task: Task) -> Answer:
        """Draw the answer where the seed program writes it; else ask the model server.

        It is given the adapter again, once, if a restart has lost it.
        """
        if message.is_drawn:
            return seed_program.draw(task.prompt, message.seed)
        try:
            return await self._ask(message, task)
        except AdapterMissing:
            assert message.adapter is not None
            await self._adapters.lost(message.adapter)
            return await self._ask(message, task)

    async def _ask(self, message: GenerationRequested, task: Task) -> Answer:
        decoding = Decoding.of(message.generation, task.grammar if message.generation.guided else None)
        async with self._adapters.pinned(message.adapter) as adapter:
            with telemetry.span("generate") as span:
                answer = await _within(self._backend, task.prompt, decoding, message.seed, adapter)
                metrics.count(answer.usage, cost=self._prices.of(answer.usage))
                span.note(
                    adapter=adapter,
                    prompt_tokens=answer.usage.prompt_tokens,
                    completion_tokens=answer.usage.completion_tokens,
                )
                return answer


class AdapterHandler:
    """Brings up every newly trained adapter and reports whether this replica serves it."""

    def __init__(self, adapters: AdapterManager, replica: str) -> None:
        self._adapters, self._replica = adapters, replica
        self._newest: dict[tuple[str, str | None], int] = {}

    async def handle(self, message: AdapterTrained) -> Sequence[AdapterActivated | AdapterRejected]:
        """Bring up the adapter; nothing is done or said if a newer one of the run was announced already."""
        run, name = (message.run_id, message.run_uid), message.adapter.adapter
        if message.cycle < self._newest.get(run, message.cycle):
            return []
        self._newest[run] = message.cycle
        about = {"run_id": message.run_id, "run_uid": message.run_uid, "adapter": name, "replica": self._replica}
        try:
            with telemetry.span("activate adapter"):
                await self._adapters.ensure(message.adapter)
        except AdapterUnusable as error:
            return [AdapterRejected(**about, reason=str(error))]
        metrics.serves(name)
        return [AdapterActivated(**about)]


def rejected(message: GenerationRequested, reason: str) -> GenerationRejected:
    """Return the event for a request that cannot be met."""
    return GenerationRejected(**message.about(), reason=reason)


async def _within(backend: Backend, prompt: str, decoding: Decoding, seed: int, adapter: str | None) -> Answer:
    """Generate an answer; where prompt and answer are too long together, ask for a shorter answer, within reason.

    Raises TooLong where even that does not fit.
    """
    while True:
        try:
            return await backend.generate(prompt, decoding, seed, adapter)
        except TooLong:
            if decoding.max_new_tokens <= _LEAST_TOKENS:
                raise
            decoding = replace(decoding, max_new_tokens=max(_LEAST_TOKENS, decoding.max_new_tokens // 2))
            log.info("the answer is to be shorter", max_new_tokens=decoding.max_new_tokens)
