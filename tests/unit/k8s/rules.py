"""Rules about how values of several objects and of the services' code fit; what each object may be, say the trees."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.unit.k8s.manifests import Manifest


class Broken(NamedTuple):
    """One place where a rule does not hold."""

    owner: str
    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.owner}: {self.field}: {self.problem}"


Rule = Callable[[Sequence[Manifest]], Iterator[Broken]]
RULES: dict[str, Rule] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Registers under a name by which failures go."""

    def register(function: Rule) -> Rule:
        RULES[name] = function
        return function

    return register


def all_broken(objects: Sequence[Manifest]) -> dict[str, list[str]]:
    """By rule; empty where all hold."""
    found = {name: [str(each) for each in check(objects)] for name, check in RULES.items()}
    return {name: problems for name, problems in found.items() if problems}
