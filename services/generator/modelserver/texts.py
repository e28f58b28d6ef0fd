"""Text to token ids and back, as one model's tokenizer has it."""

from collections.abc import Collection, Sequence
from threading import Lock
from typing import Any

import llguidance

from services.generator.modelserver.guide import Guide


class Texts:
    """Tokenizer that several threads may use, as a Rust tokenizer that is encoding may not be borrowed again."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids)
        self._pieces: dict[int, str] = {}
        self._for_guides: llguidance.LLTokenizer | None = None
        self._lock = Lock()

    @property
    def has_chat_template(self) -> bool:
        """Whether the model was tuned on conversations."""
        return bool(self._tokenizer.chat_template)

    def encode(self, text: str) -> list[int]:
        """Encode a raw prompt.

        It begins with BOS for a model without chat template, also where the tokenizer does not add it.
        """
        with self._lock:
            ids = list(self._tokenizer(text)["input_ids"])
        bos = self._tokenizer.bos_token_id
        missing = bos is not None and not self.has_chat_template and ids[:1] != [bos]
        return [bos, *ids] if missing else ids

    def encode_chat(self, messages: Sequence[dict[str, str]]) -> list[int]:
        """Encode a conversation under the chat template; without one, its contents as a raw prompt."""
        if not self.has_chat_template:
            return self.encode("\n".join(message["content"] for message in messages))
        with self._lock:
            text = self._tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text, special tokens left out."""
        with self._lock:
            text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def piece(self, token: int) -> str:
        """Return one token by itself, a special one by its name."""
        if token not in self._pieces:
            with self._lock:
                self._pieces[token] = self._tokenizer.decode([token], clean_up_tokenization_spaces=False)
        return self._pieces[token]

    def guide(self, grammar: str, eos: Collection[int]) -> Guide:
        """Return the guide of one answer, which one of these tokens ends. Raises InvalidInput."""
        with self._lock:
            if self._for_guides is None:
                rust = self._tokenizer.backend_tokenizer.to_str()
                self._for_guides = llguidance.LLTokenizer(rust, eos_token=sorted(eos))
        return Guide(self._for_guides, grammar)

    def special(self, token: int) -> bool:
        """Return whether the token is special, and no text."""
        return token in self._special


class Tail:
    """Decodes a text token by token; a character that is not complete gives ""."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._ids: list[int] = []
        self._begin = self._read = 0

    def push(self, token: int) -> str:
        """Return the text that this token completes. Only the last few tokens are decoded, as in TGI."""
        self._ids.append(token)
        before = self._texts.decode(self._ids[self._begin : self._read])
        after = self._texts.decode(self._ids[self._begin :])
        if len(after) <= len(before) or after.endswith("\ufffd"):
            return ""
        self._begin, self._read = self._read, len(self._ids)
        return after[len(before) :]


class StopWatch:
    """Detects when the text of one sequence contains a stop sequence."""

    def __init__(self, texts: Texts, stops: Sequence[str]) -> None:
        self._tail, self._stops = Tail(texts), stops
        self._text = ""

    def __call__(self, token: int) -> bool:
        """Return whether the text, with this token, contains one."""
        self._text += self._tail.push(token)
        return any(stop in self._text for stop in self._stops)


def cut(text: str, stops: Sequence[str]) -> str:
    """Return the text up to and including the stop sequence that ends first."""
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text
