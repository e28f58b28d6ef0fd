"""The entries that came last: too few to be worth an index, so all of them are looked at."""

import numpy as np

from services.novelty.search import Hits, Query, TailSearch
from services.novelty.segments import Facts, Keys, Segment, built
from services.novelty.shingles import Sketch

_LOW = 1 << 16


class Tail:
    """Up to `capacity` entries; of their keys the lower halves are looked up in a table."""

    def __init__(self, capacity: int, permutations: int) -> None:
        self._keys: list[Keys] = []
        self._low = np.zeros(0, dtype=np.uint16)
        self._starts: list[int] = [0]
        self._facts = Facts(
            np.zeros(capacity, dtype=np.uint32),
            np.zeros(capacity, dtype=np.uint64),
            np.zeros((capacity, permutations), dtype=np.uint8),
        )

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def facts(self) -> Facts:
        """Those of the entries."""
        sizes, runs, sketches = self._facts
        return Facts(sizes[: len(self)], runs[: len(self)], sketches[: len(self)])

    def add(self, keys: Keys, run: int, sketch: Sketch) -> None:
        """One more."""
        row = len(self)
        self._facts.sizes[row], self._facts.runs[row], self._facts.sketches[row] = len(keys), run, sketch
        self._low = np.concatenate([self._low, keys.astype(np.uint16)])
        self._starts.append(len(self._low))
        self._keys.append(keys)

    def search(self, query: Query) -> TailSearch:
        """What each has of the keys at most."""
        table = np.zeros(_LOW, dtype=np.uint8)
        table[query.keys.astype(np.uint16)] = 1
        found = table[self._low[: self._starts[-1]]]
        counts = np.add.reduceat(found, self._starts[:-1], dtype=np.int64) if len(self) else np.zeros(0, dtype=np.int64)
        return TailSearch(Hits(np.arange(len(self)), counts, 0), self.facts, query)

    def segment(self) -> Segment:
        """A segment of all."""
        return built(np.concatenate(self._keys), self.facts)
