"""Training pairs as token ids: exactly what generation will see, with the loss on the completion alone."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from archloop.errors import InvalidInput
from archloop.training_pairs import TrainingPair

IGNORED = -100


class Example(NamedTuple):
    """Token ids of one pair, and as many labels: `IGNORED` over the prompt."""

    input_ids: list[int]
    labels: list[int]


class Encoded(NamedTuple):
    """Pairs that fit into `max_length` tokens, and the number of those that do not."""

    examples: list[Example]
    dropped: int


def encode(pairs: Sequence[TrainingPair], tokenizer: Any, max_length: int) -> Encoded:
    """Encode pairs without ever truncating: one that does not fit is dropped and counted.

    Raises InvalidInput if none fits.
    """
    examples = list(_examples(pairs, tokenizer))
    fitting = [example for example in examples if len(example.input_ids) <= max_length]
    if not fitting:
        shortest = min(len(example.input_ids) for example in examples)
        raise InvalidInput("training.max_length", max_length, f"at least {shortest}, the length of the shortest pair")
    return Encoded(fitting, len(examples) - len(fitting))


def prompt_ids(prompt: str, tokenizer: Any) -> list[int]:
    """Encode a prompt as a model server does: a user turn under the chat template, or else BOS and the raw text."""
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    ids = list(tokenizer(prompt)["input_ids"])
    bos = tokenizer.bos_token_id
    return ids if bos is None or ids[:1] == [bos] else [bos, *ids]


def _examples(pairs: Sequence[TrainingPair], tokenizer: Any) -> Iterator[Example]:
    for pair in pairs:
        before = prompt_ids(pair.prompt, tokenizer)
        after = tokenizer(pair.completion, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        after = [*after, tokenizer.eos_token_id]
        yield Example(before + after, [IGNORED] * len(before) + after)
