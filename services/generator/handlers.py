"""The generator's two handlers: one writes a candidate for every request, the other brings up every new adapter."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from archloop import answers, protocols, sources
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
from services.generator import prompts
from services.generator.adapters import AdapterManager
from services.generator.backends.port import Answer, Backend, Decoding
from services.generator.errors import AdapterMissing, AdapterUnusable, TooLong

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
        prompt = _prompt(message)
        try:
            answer = await self._answer(message, prompt)
            code, problem = answers.extract(answer.text)
        except InvalidInput as error:
            answer, code, problem = _NOTHING, "", f"the model server refuses the request: {error}"
        if not sources.is_utf8(code):
            code, problem = "", _NOT_ENCODABLE
        generated = CandidateGenerated(
            **message.about(),
            code=await programs.stored(self._blobs, code),
            prompt=prompt,
            protocol=message.protocol,
            novelty=message.novelty,
            adapter=message.adapter.adapter if message.adapter else None,
            problem=problem,
            usage=answer.usage.model_copy(update={"cost": self._prices.of(answer.usage)}),
        )
        return [generated]

    async def _check_base(self, wanted: str) -> None:
        served = await self._backend.base()
        if wanted != served.name:
            raise InvalidInput("base_model", wanted, f"{served.name!r}, the one that the model server serves")

    async def _answer(self, message: GenerationRequested, prompt: str) -> Answer:
        """Ask the model server; give it the adapter again, once, if a restart has lost it."""
        try:
            return await self._ask(message, prompt)
        except AdapterMissing:
            assert message.adapter is not None
            await self._adapters.lost(message.adapter)
            return await self._ask(message, prompt)

    async def _ask(self, message: GenerationRequested, prompt: str) -> Answer:
        async with self._adapters.pinned(message.adapter) as adapter:
            return await _within(self._backend, prompt, Decoding.of(message.generation), message.seed, adapter)


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
            await self._adapters.ensure(message.adapter)
        except AdapterUnusable as error:
            return [AdapterRejected(**about, reason=str(error))]
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


def _prompt(message: GenerationRequested) -> str:
    asked, fixed = message.generation, message.generation.prompts
    index = message.index if fixed is None else message.index % fixed
    rng = random.Random(message.seed if fixed is None else f"prompt/{index}")  # noqa: S311 - reproducible on purpose
    return prompts.render(asked.template, protocol=protocols.load(message.protocol), rng=rng, index=index).text
