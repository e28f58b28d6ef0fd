"""What the LLM is asked for one candidate, and how its answer is read: a whole network, or an edit of another one."""

import random
from functools import partial
from typing import NamedTuple

import structlog

from archloop import answers, protocols
from archloop.answers import Extracted, edits, guided
from archloop.blobs import programs
from archloop.blobs.port import Blobs
from archloop.contracts.messages import GenerationRequested
from archloop.errors import IntegrityError, NotFound
from services.generator import memory_tokens, prompts
from services.generator.prompts import Original

log = structlog.get_logger(__name__)


class Task(NamedTuple):
    """The prompt, and the network that it asks to edit, if it asks for that."""

    prompt: str
    original: Original | None = None

    @property
    def grammar(self) -> str | None:
        """The grammar of the edits of that network; None where there is none."""
        return None if self.original is None else guided.grammar(self.original.code)

    def read(self, answer: str) -> Extracted:
        """Return the code that the answer comes to, and what is wrong with it."""
        return answers.extract(answer) if self.original is None else edits.apply(self.original.code, answer)


def of(message: GenerationRequested, original: Original | None) -> Task:
    """Return what to ask: an edit where there is an original. Raises NotFound for an unknown template or protocol."""
    asked, fixed = message.generation, message.generation.prompts
    index = asked.prompt(message.index)
    own = message.seed if message.prompt_seed is None else message.prompt_seed
    rng = random.Random(own if fixed is None else f"prompt/{index}")  # noqa: S311 - reproducible on purpose
    protocol = protocols.load(message.protocol)
    memory = memory_tokens.fitting(message.memory, asked.memory_tokens, message.base_model)
    render = prompts.render if original is None else partial(prompts.render_edit, original=original)
    prompt = render(asked.template, protocol=protocol, rng=rng, index=index, memory=memory, families=asked.families)
    return Task(prompt.text, original)


async def original(message: GenerationRequested, blobs: Blobs) -> Original | None:
    """Return the network to edit; None where none is asked for, or it is gone or unfit. Raises Unavailable."""
    parent = message.parent
    if parent is None:
        return None
    try:
        code = await programs.text_of(parent.code, blobs)
        reason = edits.unusable(code)
    except (NotFound, IntegrityError) as error:
        code, reason = "", str(error)
    if reason:
        log.warning("no parent: a whole network is asked for", parent=parent.candidate, reason=reason)
        return None
    return Original(edits.prepared(code), parent.accuracy)
