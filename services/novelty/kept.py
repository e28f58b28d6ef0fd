"""What is kept of judged entries outside the index: the port, and a list in memory."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from services.novelty.shingles import Shingles, Signature


class Entry(NamedTuple):
    """One valid candidate: its name, its run, the hash of its tokens, its shingles and their signature.

    `graph_sha256` is the hash of the graph that runs, if it is known, made under the protocol `protocol_sha256`.
    """

    candidate: str
    run_id: str
    tokens_sha256: str
    shingles: Shingles
    signature: Signature
    graph_sha256: str | None = None
    protocol_sha256: str = ""

    def is_same(self, other: "Entry") -> bool:
        """Whether both are one network: by graph; by tokens where that cannot tell.

        Two graphs differ where the networks do only if they were made alike: of the same input, sizes and rates.
        """
        known = self.graph_sha256 is not None and other.graph_sha256 is not None
        if known and self.graph_sha256 == other.graph_sha256:
            return True
        comparable = known and self.protocol_sha256 == other.protocol_sha256
        return self.tokens_sha256 == other.tokens_sha256 and not comparable


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

    def identical(self, entry: Entry, run_id: str | None) -> Kept | None:
        """The earliest that is the same network (`Entry.is_same`), in a run or, where that is None, in all."""

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
        self._alike: dict[str, list[int]] = {}

    def append(self, entry: Entry) -> None:
        """One more, the last."""
        for sha256 in {entry.tokens_sha256, entry.graph_sha256 or entry.tokens_sha256}:
            self._alike.setdefault(sha256, []).append(len(self._entries))
        self._entries.append(entry)

    def count(self) -> int:
        """See the port."""
        return len(self._entries)

    def entries(self, after: int) -> Iterator[Entry]:
        """See the port."""
        yield from self._entries[after:]

    def identical(self, entry: Entry, run_id: str | None) -> Kept | None:
        """See the port."""
        alike = (self._alike.get(sha256 or "", ()) for sha256 in (entry.tokens_sha256, entry.graph_sha256))
        for position in sorted({position for positions in alike for position in positions}):
            earlier = self._entries[position]
            if earlier.is_same(entry) and run_id in (None, earlier.run_id):
                return Kept(position, earlier.candidate, earlier.shingles)
        return None

    def kept(self, positions: Sequence[int]) -> Sequence[Kept]:
        """See the port."""
        return [Kept(p, self._entries[p].candidate, self._entries[p].shingles) for p in positions]

    def segment(self, number: int) -> bytes | None:
        """None is kept."""

    def keep_segment(self, number: int, packed: bytes) -> None:
        """Nothing outlives the process."""
