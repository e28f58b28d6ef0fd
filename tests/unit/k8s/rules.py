"""Rules that every rendering keeps, by name. A rule yields what breaks it: object and field, and what is wrong."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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

# The filter's DaemonSet writes one file into a folder of each node: root, who owns that folder, without a capability.
_NODES = "DaemonSet/evaluator-filter"
EXCEPTIONS: Mapping[str, frozenset[str]] = {
    "no host paths": frozenset({_NODES}),
    "no root": frozenset({_NODES}),
    "own service account": frozenset({_NODES, "Pod/datasets"}),
    # It starts model servers; the overlay tgi gives it a namespace of its own.
    "no token": frozenset({"Deployment/generator@archloop-models"}),
}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Registers under a name by which failures go."""

    def register(function: Rule) -> Rule:
        RULES[name] = function
        return function

    return register


def broken(name: str, objects: Sequence[Manifest]) -> list[str]:
    """What breaks the rule, but for the exceptions."""
    excepted = EXCEPTIONS.get(name, frozenset())
    return [str(each) for each in RULES[name](objects) if each.owner not in excepted]


def all_broken(objects: Sequence[Manifest]) -> dict[str, list[str]]:
    """By rule; empty where all hold."""
    found = {name: broken(name, objects) for name in RULES}
    return {name: problems for name, problems in found.items() if problems}
