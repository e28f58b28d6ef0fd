"""A double of text-generation-inference 3.3.7: its routes, bodies and traps as its source has them, without a model.

Adapters come from `--lora-adapters` or LORA_ADAPTERS at the start and never after; one that is not there is answered
as the base, with 200. While CUDA graphs are on (as by default), adapters are ignored. In-process or as
`python -m tests.servers.tgi_double --model-id X --port N --cuda-graphs 0`.
"""

import argparse
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from tests.servers.double_model import MAX_TOTAL, Answer, Failed, Token, answer, fingerprint, said


class Parameters(BaseModel):
    """null is no bool for TGI, hence the strict ones."""

    adapter_id: str | None = None
    details: bool = False
    do_sample: bool = False
    max_new_tokens: int | None = 1024
    return_full_text: bool | None = None
    seed: Annotated[int, Field(ge=0, lt=2**64)] | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    watermark: bool = False
    decoder_input_details: bool = False

    @property
    def sampling(self) -> bool:
        return self.do_sample or any(v is not None for v in (self.temperature, self.top_k, self.top_p))


class Generate(BaseModel):
    inputs: str
    parameters: Parameters = Parameters()
    stream: bool = False


class Chat(BaseModel):
    messages: list[dict[str, Any]]
    model: str | None = None
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    logprobs: bool | None = None


class Refused(Exception):
    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error": message, "error_type": kind}


@dataclass
class TgiDouble:
    """`limit`: requests at a time, above it 429. `adapters`: names and the fingerprints of their files."""

    model_id: str
    adapters: dict[str, str] = field(default_factory=dict)
    limit: int = 128
    token_s: float = 0.0
    cuda_graphs: bool = False
    prefix_caching: bool = False
    running: int = 0
    cached: dict[str, str | None] = field(default_factory=dict)

    def answer(self, prompt: str, adapter: str | None, seed: int | None, length: int | None) -> Answer:
        """Validated as TGI does. An unknown adapter is index 0, the base."""
        used = None if self.cuda_graphs or adapter is None else self.adapters.get(adapter)
        if self.prefix_caching:  # its key knows no adapter
            used = self.cached.setdefault(prompt, used)
        whole = answer(prompt, used, seed, length or MAX_TOTAL)
        if not prompt:
            raise _invalid("`inputs` cannot be empty")
        if length == 0:
            raise _invalid("`max_new_tokens` must be strictly positive")
        if length and whole.prompt_tokens + length > MAX_TOTAL:
            raise _invalid(
                f"`inputs` tokens + `max_new_tokens` must be <= {MAX_TOTAL}. "
                f"Given: {whole.prompt_tokens} `inputs` tokens and {length} `max_new_tokens`"
            )
        return whole

    def of(self, body: Generate) -> Answer:
        asked = body.parameters
        for name, low, high in (("temperature", 0.0, 1e9), ("top_p", 0.0, 1.0), ("top_k", 0, 1e9)):
            value = getattr(asked, name)
            if value is not None and not low < value < high:
                raise _invalid(f"`{name}` must be strictly positive" + (" and < 1.0" if name == "top_p" else ""))
        return self.answer(body.inputs, asked.adapter_id, asked.seed if asked.sampling else None, asked.max_new_tokens)

    def chat(self, body: Chat) -> Answer:
        prompt = "".join(str(message["content"]) for message in body.messages)
        greedy = body.temperature == 0
        return self.answer(
            prompt, None if body.model == "tgi" else body.model, None if greedy else body.seed, body.max_tokens
        )

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        if self.running >= self.limit:
            raise Refused(429, "overloaded", "Model is overloaded")
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    async def whole(self, made: Answer) -> list[Token]:
        async with self.permit():
            try:
                tokens = [token async for token in said(made, self.token_s)]
            except Failed as error:
                raise Refused(424, "generation", f"Request failed during generation: {error}") from error
        if len(tokens) < len(made.tokens):
            raise Refused(500, "incomplete_generation", "Incomplete generation")
        return tokens


def _invalid(what: str) -> Refused:
    return Refused(422, "validation", f"Input validation error: {what}")


def adapters_of(text: str) -> dict[str, str]:
    """`name=/path,name=/path`, as parse_lora_adapters reads it. Raises ValueError."""
    entries = [entry.strip().split("=") for entry in text.split(",") if entry.strip()]
    if wrong := [entry for entry in entries if len(entry) != 2]:
        raise ValueError(f"Invalid LoRA adapter format: {'='.join(wrong[0])}")
    return {name: fingerprint(Path(path)) for name, path in entries}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve. Flags and environment are those of text-generation-launcher, but for the last two flags."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model-id", required=True)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--hostname", default="0.0.0.0")
    parser.add_argument("--lora-adapters", default=os.environ.get("LORA_ADAPTERS", ""))
    parser.add_argument("--cuda-graphs", default=os.environ.get("CUDA_GRAPHS", "1,2,4,8,16,32"))
    parser.add_argument("--max-concurrent-requests", type=int, default=128)
    parser.add_argument("--token-s", type=float, default=0.0, help="seconds for a token")
    parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM")
    options = parser.parse_args(arguments)
    graphs = any(int(size) for size in options.cuda_graphs.split(","))
    caching = os.environ.get("PREFIX_CACHING", "").lower() in {"1", "true"}
    double = TgiDouble(
        options.model_id,
        adapters_of(options.lora_adapters),
        options.max_concurrent_requests,
        options.token_s,
        cuda_graphs=graphs,
        prefix_caching=caching,
    )
    from tests.servers.tgi_routes import serve

    serve(double, options.hostname, options.port, stubborn=options.stubborn)


if __name__ == "__main__":
    # by its own name, so that the routes import the same classes
    from tests.servers import tgi_double

    tgi_double.main()
