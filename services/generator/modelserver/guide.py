"""Guided decoding: of each next token's logits, those alone that continue a text of a grammar."""

import llguidance
import numpy as np
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray

from archloop.errors import InvalidInput

_SHOWN = 80


class Guide:
    """The place of one answer in a grammar, in Lark's syntax with llguidance's extensions.

    Raises InvalidInput for a text that is no grammar.
    """

    def __init__(self, tokenizer: llguidance.LLTokenizer, grammar: str) -> None:
        self._matcher = llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_lark(grammar), log_level=0)
        if self._matcher.is_error():
            wrong = self._matcher.get_error().splitlines()[0]
            raise InvalidInput("grammar", grammar[:_SHOWN], f"a grammar in Lark's syntax; {wrong}")
        self._bits = allocate_token_bitmask(1, tokenizer.vocab_size)

    def masked(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (V,) with those of tokens at minus infinity that the grammar does not go on with.

        A text that is complete, and that nothing may follow, goes on with the token that ends it. Where the grammar
        turns out to be too complex for its text, the rest is not guided.
        """
        if self._matcher.is_error():
            return logits
        fill_next_token_bitmask(self._matcher, self._bits)
        allowed = np.unpackbits(self._bits.view(np.uint8)[0], count=logits.size, bitorder="little").view(bool)
        return np.where(allowed, logits, np.float32(-np.inf))

    def accept(self, token: int) -> None:
        """Go on by a token that the grammar allows."""
        self._matcher.consume_token(token)
