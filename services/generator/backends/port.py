"""The generator's port to a model server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from archloop.contracts.spec import GenerationSpec
from archloop.contracts.values import Usage


@dataclass(frozen=True)
class Decoding:
    """How a text is decoded; greedily with a temperature of None.

    With a `grammar`, in Lark's syntax with llguidance's extensions, the answer is a text of it, as far as it goes.
    """

    max_new_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    grammar: str | None = None

    @classmethod
    def of(cls, spec: GenerationSpec, grammar: str | None = None) -> Self:
        """Return the decoding that a run asks for."""
        return cls(spec.max_new_tokens, spec.temperature, spec.top_p, spec.top_k, grammar)


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
    """Base model that a server serves, and the hash of its weights."""

    name: str
    sha256: str


class Backend(Protocol):
    """Model server that serves one base model and some adapters. Every method may raise Unavailable."""

    async def ready(self) -> bool:
        """Return whether it answers."""

    async def base(self) -> ServedModel:
        """Return the base model that it serves."""

    async def adapters(self) -> frozenset[str]:
        """Return the names of the adapters that it serves."""

    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        """Generate one answer.

        Raises AdapterMissing, ServerOverloaded, GenerationFailed, TooLong, InvalidInput, Unguided.
        """

    async def load(self, name: str, path: Path) -> None:
        """Become able to serve the adapter in this folder under this name. Raises InvalidInput."""

    async def adopt(self, name: str) -> None:
        """Serve everything from where this proven adapter is, and let go of what was kept beside it."""

    async def unload(self, name: str) -> None:
        """Take no new request for the adapter and forget it; an unknown name is no error."""

    async def close(self) -> None:
        """Close the connections."""
