"""What has been judged so far, searchable: datasketch's MinHashLSH, a scan of the signatures, and exact Jaccard.

Two questions are asked of it. *Is there a near-copy?* LSH answers with candidates, banded for recall, and every
one is verified exactly. *Which is the nearest?*, when none is a near-copy: LSH cannot tell, so the Jaccard is
estimated against every signature in scope (one vectorised comparison) and the best `_VERIFIED` are verified.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from datasketch import MinHashLSH
from numpy.typing import NDArray

from services.novelty.shingles import Shingles, Signature, from_signature, jaccard

RECALL = 0.99
_VERIFIED = 32


class Entry(NamedTuple):
    """One valid candidate: its name, its run, the hash of its tokens, its shingles and their signature."""

    candidate: str
    run_id: str
    tokens_sha256: str
    shingles: Shingles
    signature: Signature


class Nearest(NamedTuple):
    """The most similar entry in scope, the earliest of several, and whether its tokens are identical."""

    candidate: str
    similarity: float
    identical: bool


def bands(threshold: float, permutations: int, recall: float = RECALL) -> tuple[int, int]:
    """The most selective (bands, rows) that still find a pair at the threshold with probability `recall`.

    A pair of similarity s shares a band with probability 1 - (1 - s^rows)^bands (Leskovec et al., section 3.4.2).
    """
    for rows in range(permutations, 1, -1):
        count = permutations // rows
        if 1 - (1 - threshold**rows) ** count >= recall:
            return count, rows
    return permutations, 1


class NoveltyIndex:
    """Entries in the order of judgement, over all runs; a search is within one run or over everything."""

    def __init__(self, permutations: int, threshold: float) -> None:
        self._lsh = MinHashLSH(num_perm=permutations, params=bands(threshold, permutations))
        self._entries: list[Entry] = []
        self._signatures: NDArray[np.uint32] = np.empty((256, permutations), dtype=np.uint32)
        self._rows: dict[str, list[int]] = defaultdict(list)
        self._identical: dict[str, list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Append; what was added is never changed or removed."""
        row = len(self._entries)
        if row == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._signatures[row] = entry.signature
        self._lsh.insert(row, from_signature(entry.signature), check_duplication=False)
        self._rows[entry.run_id].append(row)
        self._identical[entry.tokens_sha256].append(row)
        self._entries.append(entry)

    def nearest(self, entry: Entry, *, threshold: float, run_id: str | None) -> Nearest | None:
        """The nearest earlier entry of the run, or of all runs where that is None. None if there is none."""
        identical = self._in_scope(self._identical.get(entry.tokens_sha256, ()), run_id)
        if identical:
            return Nearest(self._entries[identical[0]].candidate, 1.0, identical=True)
        found = self._best(self._in_scope(self._lsh.query(from_signature(entry.signature)), run_id), entry)
        if found is None or found.similarity < threshold:
            found = self._best(self._likeliest(entry, run_id), entry)
        return found

    def _in_scope(self, rows: Iterable[int], run_id: str | None) -> list[int]:
        return sorted(row for row in rows if run_id is None or self._entries[row].run_id == run_id)

    def _likeliest(self, entry: Entry, run_id: str | None) -> Sequence[int]:
        rows = np.arange(len(self)) if run_id is None else np.array(self._rows.get(run_id, ()), dtype=np.intp)
        scanned = self._signatures[: len(self)] if run_id is None else self._signatures[rows]
        agreement = (scanned == entry.signature).sum(axis=1)
        chosen: list[int] = rows[np.argsort(-agreement, kind="stable")[:_VERIFIED]].tolist()
        return sorted(chosen)

    def _best(self, rows: Sequence[int], entry: Entry) -> Nearest | None:
        """Exact similarity to each; `max` keeps the first, thus the earliest, of equals."""
        verified = (
            Nearest(self._entries[r].candidate, jaccard(self._entries[r].shingles, entry.shingles), identical=False)
            for r in rows
        )
        return max(verified, key=lambda found: found.similarity, default=None)
