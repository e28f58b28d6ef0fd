"""How much the search for the nearest reads: the likeliest first, none twice, and no more once a near copy is found."""

from collections.abc import Sequence

import pytest
from typing_extensions import override

from services.novelty import nearest
from services.novelty.blocks import block_of
from services.novelty.entries import Entry, EntryPart, ListedEntries
from services.novelty.index import _row
from services.novelty.search import Query, Scan
from services.novelty.shingles import jaccard
from tests.unit.novelty.crowds import crowd

COUNT = 300


class Read(ListedEntries):
    """Entries, and which of them were read together."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[int]] = []

    @override
    def kept(self, positions: Sequence[int]) -> Sequence[EntryPart]:
        self.batches.append(list(positions))
        return super().kept(positions)

    @property
    def read(self) -> list[int]:
        return [place for batch in self.batches for place in batch]


def likenesses(entry: Entry, others: Sequence[Entry]) -> list[float]:
    return [jaccard(other.shingles, entry.shingles) for other in others if other is not entry]


class Search:
    """A search among many for one that was not judged yet, and to which some are alike, but none is equal."""

    def __init__(self, seed: int) -> None:
        everyone = crowd(COUNT + 1, seed, families=2)
        self.entry = next(each for each in everyone if 0.5 < max(likenesses(each, everyone)) < 1)
        earlier = [each for each in everyone if each is not self.entry]
        self.entries = Read()
        for each in earlier:
            self.entries.append(each)
        self.similarities = likenesses(self.entry, earlier)
        self.highest = max(self.similarities)
        self.block = block_of([_row(each, place) for place, each in enumerate(earlier)])

    def found(self, threshold: float) -> nearest.Found | None:
        query = Query(_row(self.entry, COUNT), None, threshold)
        return nearest.NearestSearch(self.entry, query, [self.block], self.entries).nearest()


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each scan goes through."""
    made: list[int] = []

    def scan(blocks, query):
        made.append(sum(block.length for block in blocks))
        return Scan(blocks, query)

    monkeypatch.setattr(nearest, "Scan", scan)
    return made


@pytest.fixture(params=range(4))
def search(request: pytest.FixtureRequest) -> Search:
    return Search(request.param)


def test_each_that_may_be_near_is_read_once_and_sixteen_together(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest.NearestSearch, "_similarity", 0.0)  # whatever is read, none is near
    search.found(0.2)
    first, *more, _ = map(len, search.entries.batches)
    assert first == 4
    assert max(more) == 16
    assert len(search.entries.read) == len(set(search.entries.read))
    near = {place for place, similarity in enumerate(search.similarities) if similarity >= 0.2}
    assert near <= set(search.entries.read)
    assert len(near) > 4 + 16


def test_once_a_near_copy_is_found_no_more_is_scanned(
    search: Search, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "_FEW", 0)
    assert search.found(search.highest / 2).similarity >= search.highest / 2
    assert len(search.entries.read) == 4
    assert len(scans) == 1


@pytest.mark.parametrize(("few", "expected"), [(COUNT, 1), (COUNT - 1, 2)])
def test_only_of_many_those_of_other_sizes_are_left_to_a_second_scan(
    few: int, expected: int, search: Search, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "_FEW", few)
    search.found(search.highest + 1e-9)
    assert len(scans) == expected
    assert (scans[0] == COUNT) is (expected == 1)
