"""What the doubles of TGI and vLLM answer: a function of prompt, adapter and seed.

The first word of a prompt may ask for a fault: see `Fault`.
"""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from archloop.contracts.adapter import Probe

MAX_TOTAL = 256
_WORDS = ("conv ", "pool ", "relu ", "norm ", "drop ", "skip ", "gate ", "head ")


class Fault(StrEnum):
    """What becomes of an answer after its second token."""

    CUT = "!cut"  # the stream ends in good order, before the answer does
    TORN = "!torn"  # the connection goes
    ERROR = "!error"  # an error event, with status 200
    SILENT = "!silent"  # nothing more is said
    LINES = "!lines"  # not a fault: a token is what Unicode calls a line break


class Failed(Exception):
    """Says its error event."""


class Token(NamedTuple):
    text: str
    logprob: float


class Answer(NamedTuple):
    tokens: list[Token]
    finish: str
    prompt_tokens: int
    fault: Fault | None

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)

    @property
    def logprob(self) -> float:
        return sum(token.logprob for token in self.tokens)


def length_of(prompt: str) -> int:
    """One token a byte."""
    return len(prompt.encode())


def answer(prompt: str, adapter: str | None, seed: int | None, max_new_tokens: int) -> Answer:
    """`adapter` is the fingerprint of its files; without a seed greedily."""
    rng = random.Random(f"{prompt} {adapter} {seed}")
    words = [rng.choice(_WORDS) for _ in range(rng.randint(6, 12))]
    fault = next((fault for fault in Fault if prompt.startswith(fault)), None)
    if fault is Fault.LINES:
        words[1] = "\u2028"
    tokens = [Token(word, -rng.uniform(0.1, 2.0)) for word in words[:max_new_tokens]]
    return Answer(tokens, "length" if len(words) > max_new_tokens else "eos_token", length_of(prompt), fault)


async def said(whole: Answer, token_s: float) -> AsyncIterator[Token]:
    """Token by token, up to the fault."""
    for index, token in enumerate(whole.tokens):
        if index == 2:
            await _fail(whole.fault)
        if index == 2 and whole.fault is Fault.CUT:
            return
        await asyncio.sleep(token_s)
        yield token


async def _fail(fault: Fault | None) -> None:
    match fault:
        case Fault.TORN:
            raise ConnectionAbortedError
        case Fault.ERROR:
            raise Failed("CUDA error: an illegal memory access was encountered")
        case Fault.SILENT:
            await asyncio.Event().wait()


def fingerprint(folder: Path) -> str:
    """Of an adapter's weights. Raises ValueError where the folder holds no adapter that a server could load."""
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    if not weights.is_file() or json.loads(config.read_bytes()).get("peft_type") != "LORA":
        raise ValueError(f"{folder} holds no LoRA adapter in safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def probe_of(weights: bytes, prompt: str = "# A network, please.\n", length: int = 5) -> Probe:
    """What the trainer would have found of an adapter with these weights, had it asked this model."""
    tuned = answer(prompt, hashlib.sha256(weights).hexdigest(), None, length)
    base = answer(prompt, None, None, length)
    return Probe(
        prompt=prompt,
        max_new_tokens=length,
        text=tuned.text,
        logprob=tuned.logprob,
        base_text=base.text,
        base_logprob=base.logprob,
    )


def event(data: dict[str, Any], space: str = " ") -> str:
    """A server-sent event, with Unicode as it is, as serde_json and pydantic write it."""
    return f"data:{space}{json.dumps(data, ensure_ascii=False)}\n\n"


def chat_logprobs(token: Token) -> dict[str, Any]:
    return {"token": token.text, "logprob": token.logprob, "bytes": None, "top_logprobs": []}
