"""Both verdicts on each of many networks, one after the other: by tokens alone, and by the graph where it is known."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from archloop.contracts.values import Verdict
from services.novelty.features import features
from services.novelty.settings import NoveltySettings

THRESHOLD = 0.85
NEW, NEAR, EXACT = Verdict.NOVEL, Verdict.NEAR_DUPLICATE, Verdict.EXACT_DUPLICATE
# How many pairs of each kind a reader is given, of each data set; at most so many of one family of names.
WANTED: Mapping[tuple[Verdict, Verdict], int] = {
    (NEW, EXACT): 50,
    (NEAR, EXACT): 40,
    (EXACT, EXACT): 40,
    (EXACT, NEAR): 25,
    (NEAR, NEAR): 40,
    (NEW, NEW): 15,
}
OF_A_FAMILY = 12


class Network(NamedTuple):
    """A source, and the hash of its graph, if there is one."""

    name: str
    source: str
    graph: str | None


class Judged(NamedTuple):
    """Both verdicts on a network, and the earlier one that the second is about, with the similarity of tokens to it."""

    name: str
    by_tokens: Verdict
    by_graph: Verdict
    nearest: str | None
    similarity: float

    def line(self, data: str) -> dict[str, Any]:
        """As it is kept."""
        return {
            "data": data,
            "earlier": self.nearest,
            "later": self.name,
            "by_tokens": self.by_tokens,
            "by_graph": self.by_graph,
            "similarity": round(self.similarity, 3),
        }


class _Earlier:
    """All networks so far: by tokens, by graph, and by each shingle."""

    def __init__(self) -> None:
        self._networks: list[Network] = []
        self._shingles: list[set[int]] = []
        self._tokens: dict[str, int] = {}
        self._graphs: dict[str, int] = {}
        self._having: dict[int, list[int]] = defaultdict(list)

    def judge(self, network: Network, tokens: str, shingles: set[int]) -> Judged:
        """By the rule of services/novelty/judge.py."""
        by_tokens, nearest, similarity = self._by_tokens(tokens, shingles)
        by_graph = by_tokens
        same = self._graphs.get(network.graph) if network.graph else None
        if same is not None:
            by_graph, nearest, similarity = EXACT, same, self._likeness(same, shingles)
        elif by_tokens is EXACT and nearest is not None and network.graph and self._networks[nearest].graph:
            by_graph = NEAR
        self._add(network, tokens, shingles)
        name = None if nearest is None else self._networks[nearest].name
        return Judged(network.name, by_tokens, by_graph, name, similarity)

    def _by_tokens(self, tokens: str, shingles: set[int]) -> tuple[Verdict, int | None, float]:
        if tokens in self._tokens:
            return EXACT, self._tokens[tokens], 1.0
        shared = Counter(number for shingle in shingles for number in self._having[shingle])
        if not shared:
            return NEW, None, 0.0
        nearest = max(shared, key=lambda number: (self._likeness(number, shingles), -number))
        similarity = self._likeness(nearest, shingles)
        return NEAR if similarity >= THRESHOLD else NEW, nearest, similarity

    def _likeness(self, number: int, shingles: set[int]) -> float:
        other = self._shingles[number]
        shared = len(other & shingles)
        return shared / (len(other) + len(shingles) - shared)

    def _add(self, network: Network, tokens: str, shingles: set[int]) -> None:
        number = len(self._networks)
        self._networks.append(network)
        self._shingles.append(shingles)
        self._tokens.setdefault(tokens, number)
        if network.graph:
            self._graphs.setdefault(network.graph, number)
        for shingle in shingles:
            self._having[shingle].append(number)


def judged(networks: Iterable[Network]) -> Iterator[Judged]:
    """In their order."""
    earlier, settings = _Earlier(), NoveltySettings()
    for network in networks:
        described = features(network.source, k=settings.k, permutations=16, sizes=settings.sizes)
        yield earlier.judge(network, described.tokens_sha256, set(described.shingles.tolist()))


def chosen(all_of: Sequence[Judged], family: Callable[[str], str]) -> list[Judged]:
    """The first of each kind, of those that are novel both ways the likest to an earlier one."""
    found = []
    for kind, wanted in WANTED.items():
        those = [each for each in all_of if (each.by_tokens, each.by_graph) == kind and each.nearest is not None]
        if kind == (NEW, NEW):
            those.sort(key=lambda each: -each.similarity)
        found += _mixed(those, wanted, family)
    return found


def _mixed(those: Sequence[Judged], wanted: int, family: Callable[[str], str]) -> list[Judged]:
    """So many, of one family no more than a part, as long as there are others."""
    counts: Counter[str] = Counter()
    first, rest = [], []
    for each in those:
        counts[family(each.name)] += 1
        (first if counts[family(each.name)] <= OF_A_FAMILY else rest).append(each)
    return [*first, *rest][:wanted]
