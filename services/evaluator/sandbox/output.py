"""The candidate's stdout and stderr, kept short."""

import io
import sys


class _Bounded(io.TextIOBase):
    """Text stream that writes up to a shared budget and then forgets; printing past it is no error."""

    def __init__(self, fd: int, budget: list[int]) -> None:
        self._raw, self._budget = io.FileIO(fd, "w", closefd=False), budget

    def write(self, text: str, /) -> int:
        """Write as much of the text as the budget allows; return its whole length."""
        content = text.encode("utf-8", "replace")[: self._budget[0]]
        if content:
            self._budget[0] -= len(content)
            self._raw.write(content)
        return len(text)

    def fileno(self) -> int:
        """Return the descriptor itself; what is written there directly counts in full."""
        return self._raw.fileno()


def quieten(budget_bytes: int) -> None:
    """Let `print` and warnings reach the parent up to the budget in all."""
    budget = [budget_bytes]
    sys.stdout = sys.__stdout__ = _Bounded(1, budget)  # type: ignore[assignment,misc]
    sys.stderr = sys.__stderr__ = _Bounded(2, budget)  # type: ignore[assignment,misc]
