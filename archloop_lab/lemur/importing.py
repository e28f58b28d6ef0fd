"""From a source into the corpus; a second time, nothing changes."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from archloop_lab.lemur.corpus import Corpus
from archloop_lab.lemur.items import Problem
from archloop_lab.lemur.sources import Source

_SHOWN_EVERY = 64


class Imported(NamedTuple):
    """What an import has added, what the corpus holds now, and what was left out."""

    added: tuple[int, int]
    held: tuple[int, int]
    problems: list[Problem]

    @property
    def kinds(self) -> dict[str, int]:
        """How much was left out for which fault, the most frequent first."""
        return dict(Counter(problem.kind for problem in self.problems).most_common())

    def lines(self) -> list[str]:
        """Say it for people."""
        of = "{} architectures, {} records".format
        left_out = [f"{count} left out: {kind}" for kind, count in self.kinds.items()]
        return [f"added {of(*self.added)}; the corpus holds {of(*self.held)}", *left_out]

    def as_json(self) -> dict[str, Any]:
        """Say it for machines."""
        names = ("architectures", "records")
        return {
            "added": dict(zip(names, self.added, strict=True)),
            "held": dict(zip(names, self.held, strict=True)),
            "left_out": self.kinds,
            "problems": [problem._asdict() for problem in self.problems],
        }


def into(corpus: Corpus, source: Source, advance: Callable[[str, int, int], None]) -> Imported:
    """Take in all of it, or nothing if it is interrupted. Raises InvalidInput, Unavailable."""
    before, problems = corpus.counts(), list[Problem]()
    with corpus.transaction():
        for done, found in enumerate(source, start=1):
            results = (item if isinstance(item, Problem) else corpus.add(item) for item in found)
            problems += [result for result in results if result is not None]
            if done % _SHOWN_EVERY == 0 or done == len(source):
                advance("importing", done, len(source))
    held = corpus.counts()
    return Imported((held[0] - before[0], held[1] - before[1]), held, problems)
