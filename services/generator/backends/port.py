"""The generator's port to a model server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from archloop.contracts.spec import GenerationSpec
from archloop.contracts.values import Usage


@dataclass(frozen=True)
class Decoding:
    """How an answer is decoded; with a temperature of None greedily."""

    max_new_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None

    @classmethod
    def of(cls, spec: GenerationSpec) -> Self:
        """What a run asks for."""
        return cls(spec.max_new_tokens, spec.temperature, spec.top_p, spec.top_k)


@dataclass(frozen=True)
class Answer:
    """A complete answer; `logprob` is summed over its tokens, as far as the server tells it of each."""

    text: str
    usage: Usage
    finish_reason: str
    adapter: str | None
    logprob: float


@dataclass(frozen=True)
class ServedModel:
    """The base model that a server serves, and the hash of its weights."""

    name: str
    sha256: str


class Backend(Protocol):
    """A model server that serves one base model and some adapters. Every verb may raise Unavailable."""

    async def ready(self) -> bool:
        """Whether it answers."""

    async def base(self) -> ServedModel:
        """What it serves without an adapter."""

    async def adapters(self) -> frozenset[str]:
        """What is loaded."""

    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        """One answer. Raises AdapterMissing, ServerOverloaded, GenerationFailed, TooLong, InvalidInput."""

    async def load(self, name: str, path: Path) -> None:
        """Be able to serve the adapter in this folder under this name. Raises InvalidInput."""

    async def adopt(self, name: str) -> None:
        """The adapter has been proven: serve everything from where it is, and let go of what was kept beside it."""

    async def unload(self, name: str) -> None:
        """Take nothing new for it; forget it. Unknown names are forgotten already."""

    async def close(self) -> None:
        """Let go of the connections."""
