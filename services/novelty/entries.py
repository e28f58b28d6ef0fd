"""Judged entries outside the index: the port, and a list in memory."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from typing_extensions import override

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
        """Say whether both are one network: by graph, or by tokens if the graphs cannot tell.

        Two graphs differ where the networks do only if they were made alike: of the same input, sizes and rates.
        """
        known = self.graph_sha256 is not None and other.graph_sha256 is not None
        if known and self.graph_sha256 == other.graph_sha256:
            return True
        comparable = known and self.protocol_sha256 == other.protocol_sha256
        return self.tokens_sha256 == other.tokens_sha256 and not comparable


class EntryPart(NamedTuple):
    """The part of an entry that a comparison reads: its position in the order of judgement, its name, its shingles."""

    position: int
    candidate: str
    shingles: Shingles


class Entries(Protocol):
    """Judged entries in the order of judgement."""

    def count(self) -> int:
        """Return the number of entries."""

    def entries(self, after: int) -> Iterator[Entry]:
        """Yield all entries but the first `after`."""

    def identical(self, entry: Entry, run_id: str | None) -> EntryPart | None:
        """Find the earliest entry that is the same network (`Entry.is_same`), in a run or, if that is None, in all."""

    def kept(self, positions: Sequence[int]) -> Sequence[EntryPart]:
        """Return the entries at these positions, in any order."""

    def segment(self, number: int) -> bytes | None:
        """Return a full segment of the index, None if it was not kept."""

    def keep_segment(self, number: int, packed: bytes) -> None:
        """Keep a segment, so that a start need not build it again."""


class ListedEntries(Entries):
    """Entries in memory; segments are not kept, since nothing outlives the process."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._alike: dict[str, list[int]] = {}

    def append(self, entry: Entry) -> None:
        """Append an entry."""
        for sha256 in {entry.tokens_sha256, entry.graph_sha256 or entry.tokens_sha256}:
            self._alike.setdefault(sha256, []).append(len(self._entries))
        self._entries.append(entry)

    @override
    def count(self) -> int:
        return len(self._entries)

    @override
    def entries(self, after: int) -> Iterator[Entry]:
        yield from self._entries[after:]

    @override
    def identical(self, entry: Entry, run_id: str | None) -> EntryPart | None:
        alike = (self._alike.get(sha256 or "", ()) for sha256 in (entry.tokens_sha256, entry.graph_sha256))
        for position in sorted({position for positions in alike for position in positions}):
            earlier = self._entries[position]
            if earlier.is_same(entry) and run_id in (None, earlier.run_id):
                return EntryPart(position, earlier.candidate, earlier.shingles)
        return None

    @override
    def kept(self, positions: Sequence[int]) -> Sequence[EntryPart]:
        return [EntryPart(p, self._entries[p].candidate, self._entries[p].shingles) for p in positions]

    @override
    def segment(self, number: int) -> bytes | None:
        return None

    @override
    def keep_segment(self, number: int, packed: bytes) -> None:
        pass
