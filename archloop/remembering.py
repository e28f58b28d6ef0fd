"""What is remembered of earlier cycles, as lines of a prompt: written here alone, and measured as they are written."""

from collections.abc import Iterable

from archloop.contracts.values import Remembered


def line(remembered: Remembered) -> str:
    """Return what is said of it, in one line: a network in its own words, an error as a quotation."""
    if remembered.accuracy is not None:
        return f"accuracy {remembered.accuracy:.2f}: {remembered.text}"
    often = "once" if remembered.count == 1 else f"{remembered.count} times"
    place = f" in {remembered.stage}" if remembered.stage else ""
    said = f': "{remembered.text}"' if remembered.text else ""
    return f"failed {often}, {remembered.outcome.value}{place}{said}"


def fitting(memory: Iterable[Remembered], characters: int) -> tuple[Remembered, ...]:
    """Return as many of the first as have lines of so many characters together."""
    kept, left = [], characters
    for each in memory:
        left -= len(line(each)) + len("- \n")
        if left < 0:
            break
        kept.append(each)
    return tuple(kept)
