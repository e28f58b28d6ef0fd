"""What is kept of judged entries outside the index: the port, and a list in memory."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from services.novelty.shingles import Shingles, Signature


class Entry(NamedTuple):
    """One valid candidate: its name, its run, the hash of its tokens, its shingles and their signature."""

    candidate: str
    run_id: str
    tokens_sha256: str
    shingles: Shingles
    signature: Signature


class Kept(NamedTuple):
    """What is read of an entry to compare it: its position in the order of judgement, its name, its shingles."""

    position: int
    candidate: str
    shingles: Shingles


class Entries(Protocol):
    """Judged entries in the order of judgement."""

    def count(self) -> int:
        """How many there are."""

    def entries(self, after: int) -> Iterator[Entry]:
        """All without the first `after`."""

    def identical(self, entry: Entry, run_id: str | None) -> str | None:
        """The name of the earliest with the same tokens, in a run or, where that is None, in all."""

    def kept(self, positions: Sequence[int]) -> Sequence[Kept]:
        """Those at the positions."""

    def segment(self, number: int) -> bytes | None:
        """A full segment of the index, if it was kept."""

    def keep_segment(self, number: int, packed: bytes) -> None:
        """Keep one, so that a start need not build it again."""


class ListedEntries:
    """Entries in memory."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._identical: dict[str, list[Entry]] = {}

    def append(self, entry: Entry) -> None:
        """One more, the last."""
        self._entries.append(entry)
        self._identical.setdefault(entry.tokens_sha256, []).append(entry)

    def count(self) -> int:
        """See the port."""
        return len(self._entries)

    def entries(self, after: int) -> Iterator[Entry]:
        """See the port."""
        yield from self._entries[after:]

    def identical(self, entry: Entry, run_id: str | None) -> str | None:
        """See the port."""
        same = self._identical.get(entry.tokens_sha256, ())
        return next((one.candidate for one in same if run_id is None or one.run_id == run_id), None)

    def kept(self, positions: Sequence[int]) -> Sequence[Kept]:
        """See the port."""
        return [Kept(p, self._entries[p].candidate, self._entries[p].shingles) for p in positions]

    def segment(self, number: int) -> bytes | None:
        """None is kept."""

    def keep_segment(self, number: int, packed: bytes) -> None:
        """Nothing outlives the process."""
