"""What is remembered of earlier cycles, as lines of a prompt: written here alone, and measured as they are written."""

from collections.abc import Callable, Iterable

from archloop.contracts.values import Remembered


def line(remembered: Remembered) -> str:
    """Return what is said of it, in one line: a network in its own words, an error as a quotation."""
    if remembered.accuracy is not None:
        return f"accuracy {remembered.accuracy:.2f}: {remembered.text}"
    often = "once" if remembered.count == 1 else f"{remembered.count} times"
    place = f" in {remembered.stage}" if remembered.stage else ""
    said = f': "{remembered.text}"' if remembered.text else ""
    return f"failed {often}, {remembered.outcome.value}{place}{said}"


def lines(memory: Iterable[Remembered]) -> list[str]:
    """Return all lines, those about networks first."""
    return [line(each) for each in sorted(memory, key=lambda each: each.accuracy is None)]


def fitting(memory: Iterable[Remembered], most: int, size: Callable[[str], int] = len) -> tuple[Remembered, ...]:
    """Return as many of the first as have lines of this size together, in characters or by another measure."""
    kept, left = [], most
    for each in memory:
        left -= size(f"- {line(each)}\n")
        if left < 0:
            break
        kept.append(each)
    return tuple(kept)
