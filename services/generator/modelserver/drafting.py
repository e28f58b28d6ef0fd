"""Guessing the next tokens of a sequence from what followed the same tokens before, for code repeats itself.

Source: prompt lookup decoding (Saxena, 2023), over the answer as well as the prompt.
"""

from collections.abc import Sequence

_LENGTHS = (4, 3, 2)


class Drafter:
    """What came after each short run of tokens of one sequence, the latest time that it came."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        for token in prompt:
            self.push(token)

    def push(self, token: int) -> None:
        """Append the sequence's next token."""
        for run in self._runs():
            self._after[run] = len(self._tokens)
        self._tokens.append(token)

    def guess(self, most: int) -> list[int]:
        """Return up to `most` tokens that may come next; none where the last tokens are new."""
        for run in self._runs():
            if (begin := self._after.get(run)) is not None:
                return self._tokens[begin : begin + most]
        return []

    def _runs(self) -> list[tuple[int, ...]]:
        """Return the runs of tokens that end here, the longest first."""
        return [tuple(self._tokens[-length:]) for length in _LENGTHS if len(self._tokens) >= length]
