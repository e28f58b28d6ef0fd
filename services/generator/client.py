"""The generator's port to a model server, and its adapter for our CPU server.

Generation goes through huggingface_hub's client only; what TGI has no route for goes through `transport`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from huggingface_hub import AsyncInferenceClient, InferenceTimeoutError, TextGenerationOutput
from huggingface_hub.errors import (
    GenerationError,
    HfHubHTTPError,
    IncompleteGenerationError,
    OverloadedError,
    TextGenerationError,
    ValidationError,
)

from archloop.contracts.spec import GenerationSpec
from archloop.contracts.values import Usage
from archloop.errors import ArchloopError, InvalidInput, Unavailable
from services.generator import transport
from services.generator.errors import AdapterMissing, GenerationFailed, ServerOverloaded

_NOT_FOUND = 404


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
    """A complete answer; `logprob` is summed over its tokens, an end of sequence included."""

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
        """One answer. Raises AdapterMissing, ServerOverloaded, GenerationFailed, InvalidInput."""

    async def load(self, name: str, path: Path) -> None:
        """Serve the adapter in this folder under this name. Raises InvalidInput."""

    async def unload(self, name: str) -> None:
        """Take nothing new for it; forget it. Unknown names are forgotten already."""

    async def close(self) -> None:
        """Let go of the connections."""


class CpuBackend:
    """Our own server at the root `url`; it tells an unknown adapter by 404 where TGI serves the base."""

    def __init__(self, url: str, *, timeout_s: float = 120.0, token: str = "") -> None:
        # an explicit key keeps a token that is saved on the machine from being sent
        self._client = AsyncInferenceClient(base_url=url, api_key=token or "none", timeout=timeout_s)
        self._admin = transport.Admin(url, timeout_s, token)

    async def ready(self) -> bool:
        """See the port."""
        return await self._admin.healthy()

    async def base(self) -> ServedModel:
        """See the port."""
        info = (await self._admin.get("/info")).checked()
        return ServedModel(info["model_id"], info["model_sha"])

    async def adapters(self) -> frozenset[str]:
        """See the port."""
        models = (await self._admin.get("/v1/models")).checked()["data"]
        return frozenset(model["id"] for model in models if model["parent"])

    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        """See the port."""
        began = time.perf_counter()
        with _translated(adapter):
            output = await self._client.text_generation(
                prompt,
                details=True,
                return_full_text=False,
                adapter_id=adapter,
                seed=seed,
                max_new_tokens=decoding.max_new_tokens,
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                top_k=decoding.top_k,
                do_sample=decoding.temperature is not None,
            )
        return _answer(output, adapter, time.perf_counter() - began)

    async def load(self, name: str, path: Path) -> None:
        """See the port."""
        reply = await self._admin.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path.resolve())})
        if reply.refused:
            raise InvalidInput("adapter", name, f"what the model server takes; it says: {reply.text}")
        reply.checked()

    async def unload(self, name: str) -> None:
        """See the port."""
        reply = await self._admin.post("/v1/unload_lora_adapter", {"lora_name": name})
        if reply.status != _NOT_FOUND:
            reply.checked()

    async def close(self) -> None:
        """See the port."""
        await self._client.close()  # type: ignore[no-untyped-call]
        await self._admin.close()


def _answer(output: TextGenerationOutput, adapter: str | None, seconds: float) -> Answer:
    details = output.details
    if details is None:
        raise GenerationFailed("the model server's answer has no details: it is not complete")
    usage = Usage(
        prompt_tokens=getattr(details, "input_length", 0), completion_tokens=details.generated_tokens, seconds=seconds
    )
    logprob = sum(token.logprob for token in details.tokens)
    return Answer(output.generated_text, usage, details.finish_reason, adapter, logprob)


@contextmanager
def _translated(adapter: str | None) -> Iterator[None]:
    """huggingface_hub's exceptions (2.4.0) as ours."""
    try:
        yield
    except OverloadedError as error:
        raise ServerOverloaded(f"the model server is overloaded: {error}") from error
    except ValidationError as error:
        raise InvalidInput("generation request", "…", str(error)) from error
    except (GenerationError, IncompleteGenerationError) as error:
        raise GenerationFailed(f"the model server could not generate: {error}") from error
    except InferenceTimeoutError as error:
        raise Unavailable("the model server did not answer in time") from error
    except (HfHubHTTPError, TextGenerationError) as error:
        raise _by_status(error, adapter) from error
    except (transport.TransportError, ValueError, LookupError, TypeError) as error:
        raise Unavailable(f"no answer from the model server: {error!r}") from error


def _by_status(error: Exception, adapter: str | None) -> ArchloopError:
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if response is not None and response.status_code == _NOT_FOUND and adapter:
        return AdapterMissing(f"the model server does not have adapter {adapter!r}")
    return Unavailable(f"the model server failed: {error}")
