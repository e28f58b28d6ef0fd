"""Training pairs as token ids: exactly what generation will see, and the loss on the completion alone."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from archloop.contracts.base import Frozen
from archloop.errors import InvalidInput

IGNORED = -100


class Pair(Frozen):
    """A prompt as it was asked, and the completion as the LLM should have answered it (archloop.answers.render)."""

    prompt: str
    completion: str


class Example(NamedTuple):
    """Token ids of one pair, and as many labels: `IGNORED` over the prompt."""

    input_ids: list[int]
    labels: list[int]


class Encoded(NamedTuple):
    """The pairs that fit into `max_length` tokens, and how many did not."""

    examples: list[Example]
    dropped: int


def read(path: Path) -> list[Pair]:
    """Pairs from JSON lines. Raises InvalidInput that names the line."""
    with path.open(encoding="utf-8") as lines:
        pairs = [_parse(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise InvalidInput("pairs", "no lines", "at least one pair")
    return pairs


def encode(pairs: Sequence[Pair], tokenizer: Any, max_length: int) -> Encoded:
    """Nothing is ever truncated: a pair that does not fit is dropped and counted. Raises InvalidInput if none fits."""
    examples = list(_examples(pairs, tokenizer))
    fitting = [example for example in examples if len(example.input_ids) <= max_length]
    if not fitting:
        shortest = min(len(example.input_ids) for example in examples)
        raise InvalidInput("training.max_length", max_length, f"at least {shortest}, the length of the shortest pair")
    return Encoded(fitting, len(examples) - len(fitting))


def prompt_ids(prompt: str, tokenizer: Any) -> list[int]:
    """The prompt as a model server encodes it: a user turn under the chat template, or else BOS and the raw text."""
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    ids = list(tokenizer(prompt)["input_ids"])
    bos = tokenizer.bos_token_id
    return ids if bos is None or ids[:1] == [bos] else [bos, *ids]


def _examples(pairs: Sequence[Pair], tokenizer: Any) -> Iterator[Example]:
    for pair in pairs:
        before = prompt_ids(pair.prompt, tokenizer)
        after = tokenizer(pair.completion, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        after = [*after, tokenizer.eos_token_id]
        yield Example(before + after, [IGNORED] * len(before) + after)


def _parse(number: int, line: str) -> Pair:
    try:
        return Pair.model_validate(json.loads(line))
    except (json.JSONDecodeError, ValidationError) as error:
        raise InvalidInput(f"pairs, line {number}", line, '{"prompt": text, "completion": text}') from error
