"""Training pairs as token ids: exactly what generation will see, with the loss on the completion alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from archloop.contracts.adapter import Method
from archloop.errors import InvalidInput
from archloop.training_pairs import TrainingPair

IGNORED = -100
BAD = "A bad answer:\n\n"
"""Begins the prompt of what is rejected, where that is learnt as what it is (`negatives`)."""


class Example(NamedTuple):
    """Token ids of one pair, and as many labels: `IGNORED` over the prompt."""

    input_ids: list[int]
    labels: list[int]

    @property
    def tokens(self) -> int:
        """How many tokens the model is given."""
        return len(self.input_ids)

    @property
    def longest(self) -> int:
        """The length of its longest sequence."""
        return len(self.input_ids)


class Preference(NamedTuple):
    """A chosen and a rejected answer to one prompt.

    `margin` is by how much the reference finds the chosen one likelier, in nats, once that is known.
    """

    chosen: Example
    rejected: Example
    margin: float = 0.0

    @property
    def tokens(self) -> int:
        """How many tokens the model is given."""
        return self.chosen.tokens + self.rejected.tokens

    @property
    def longest(self) -> int:
        """The length of its longest sequence."""
        return max(self.chosen.longest, self.rejected.longest)


Items = Sequence[Example] | Sequence[Preference]


class Encoded(NamedTuple):
    """Pairs that fit into `max_length` tokens, and the number of those that do not."""

    examples: Items
    dropped: int


def encode(pairs: Sequence[TrainingPair], tokenizer: Any, max_length: int, method: Method = "sft") -> Encoded:
    """Encode what the method learns from the pairs, without ever truncating: what does not fit is dropped and counted.

    So is, for `dpo`, a pair without a rejected answer. Raises InvalidInput if nothing is left.
    """
    examples: list[Any] = list(_ENCODED[method](pairs, tokenizer))
    if not examples:
        raise InvalidInput("training.method", method, "sft: no pair has a rejected answer")
    fitting = [example for example in examples if example.longest <= max_length]
    if not fitting:
        shortest = min(example.longest for example in examples)
        raise InvalidInput("training.max_length", max_length, f"at least {shortest}, the length of the shortest pair")
    unpaired = sum(pair.rejected is None for pair in pairs) if method == "dpo" else 0
    return Encoded(fitting, unpaired + len(examples) - len(fitting))


def prompt_ids(prompt: str, tokenizer: Any) -> list[int]:
    """Encode a prompt as a model server does: a user turn under the chat template, or else BOS and the raw text."""
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    ids = list(tokenizer(prompt)["input_ids"])
    bos = tokenizer.bos_token_id
    return ids if bos is None or ids[:1] == [bos] else [bos, *ids]


def _example(prompt: str, completion: str, tokenizer: Any) -> Example:
    before = prompt_ids(prompt, tokenizer)
    after = tokenizer(completion, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    after = [*after, tokenizer.eos_token_id]
    return Example(before + after, [IGNORED] * len(before) + after)


def _examples(pairs: Iterable[TrainingPair], tokenizer: Any) -> Iterator[Example]:
    return (_example(pair.prompt, pair.completion, tokenizer) for pair in pairs)


def _with_negatives(pairs: Iterable[TrainingPair], tokenizer: Any) -> Iterator[Example]:
    """Yield each answer once: a chosen one as it was asked for, a rejected one behind the words that a bad one follows.

    This is conditional training (Korbak et al. 2023). The prompts of the loop never hold these words.
    """
    said = dict.fromkeys((pair.prompt, pair.completion) for pair in pairs)
    said |= dict.fromkeys((BAD + pair.prompt, pair.rejected) for pair in pairs if pair.rejected is not None)
    return (_example(prompt, answer, tokenizer) for prompt, answer in said)


def _preferences(pairs: Iterable[TrainingPair], tokenizer: Any) -> Iterator[Preference]:
    for pair in pairs:
        if pair.rejected is not None:
            chosen = _example(pair.prompt, pair.completion, tokenizer)
            yield Preference(chosen, _example(pair.prompt, pair.rejected, tokenizer))


_Encoder = Callable[[Sequence[TrainingPair], Any], Iterator[Example] | Iterator[Preference]]
_ENCODED: Mapping[Method, _Encoder] = MappingProxyType(
    {"sft": _examples, "dpo": _preferences, "negatives": _with_negatives}
)
