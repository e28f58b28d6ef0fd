"""Training pairs as token ids: exactly what generation will see, and the loss on the completion alone."""

import codecs
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pydantic import ValidationError

from archloop.contracts.base import Frozen
from archloop.contracts.texts import Said
from archloop.errors import InvalidInput
from archloop.validation import expected

IGNORED = -100
_LONGEST = 4 * 1024**2
_FORM = '{"prompt": text, "completion": text}'


class Pair(Frozen):
    """A prompt as it was asked, and the completion as the LLM should have answered it (archloop.prompting.render)."""

    prompt: Said
    completion: Said


class Example(NamedTuple):
    """Token ids of one pair, and as many labels: `IGNORED` over the prompt."""

    input_ids: list[int]
    labels: list[int]


class Encoded(NamedTuple):
    """The pairs that fit into `max_length` tokens, and how many did not."""

    examples: list[Example]
    dropped: int


def read(path: Path) -> list[Pair]:
    """Pairs from JSON lines, blank ones left out. Raises InvalidInput that names file and line."""
    with path.open("rb") as file:
        pairs = [_parse(place, line) for place, line in _lines(file, path) if line.strip()]
    if not pairs:
        raise InvalidInput(str(path), "no lines", "at least one pair")
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


def _lines(file: BinaryIO, path: Path) -> Iterator[tuple[str, bytes]]:
    """Each with its place. Only a line feed ends one: what else Unicode calls a line break may be within a text."""
    for number in itertools.count(1):
        line = file.readline(_LONGEST + 1)
        if not line:
            return
        if len(line) > _LONGEST:
            raise InvalidInput(f"{path}:{number}", f"{line[:40]!r}…", f"a line of at most {_LONGEST} bytes")
        yield f"{path}:{number}", line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def _parse(place: str, line: bytes) -> Pair:
    try:
        text = line.decode().strip()
        return Pair.model_validate(json.loads(text))
    except UnicodeDecodeError as error:
        raise InvalidInput(place, line, f"UTF-8; byte {line[error.start]:#04x} is not") from error
    except ValidationError as error:
        raise InvalidInput(place, text, f"{_FORM}; {_wrong(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(place, text, f"{_FORM}; {error}") from error


def _wrong(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return " ".join((*map(str, first["loc"]), "has to be", expected(first)))
