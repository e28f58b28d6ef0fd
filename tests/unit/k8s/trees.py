"""The trees in allowed/, read and brought to what holds for one deployment. Notation: allowed/_fragments.yaml."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from services.generator.backends.kubernetes_launcher import LABEL, STARTED_BY

FOLDER = Path(__file__).with_name("allowed")


class Place(NamedTuple):
    """One namespace of a deployment, and the parts that it is made of."""

    namespace: str
    parts: frozenset[str]

    def has(self, condition: str) -> bool:
        """Whether these parts are there: `a & !b | c`."""
        return any(
            all(self._is(term.strip()) for term in alternative.split("&")) for alternative in condition.split("|")
        )

    def _is(self, term: str) -> bool:
        return (term.removeprefix("!") in self.parts) is not term.startswith("!")


class Tag(NamedTuple):
    """A node that is no plain value: `!name argument`."""

    name: str
    argument: Any


class _Loader(yaml.CSafeLoader):
    """YAML with our tags."""


def _tag(loader: Any, suffix: str, node: yaml.Node) -> Tag:
    match node:
        case yaml.MappingNode():
            return Tag(suffix, loader.construct_mapping(node, deep=True))
        case yaml.SequenceNode():
            return Tag(suffix, loader.construct_sequence(node, deep=True))
        case _:
            return Tag(suffix, loader.construct_scalar(node))


yaml.add_multi_constructor("!", _tag, _Loader)


def digest(value: Any) -> str:
    """Of a text or a tree, for `!digest`."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]


NAMED: Mapping[str, Callable[[Any], bool]] = {
    "adapters": lambda value: re.fullmatch(r"([\w.-]+=/adapters/[\w./-]+,?)*", value) is not None,
    "started": lambda value: value.keys() == {LABEL},
    "started-metadata": lambda value: (
        value.keys() <= {"name", "namespace", "labels"} and value["labels"].keys() == {LABEL, STARTED_BY}
    ),
}


def holds(tag: Tag, value: Any, place: Place) -> bool:
    """Whether the value is one that the tag takes."""
    match tag.name:
        case "namespace":
            return bool(value == place.namespace)
        case "image":
            mine = ("registry.example.com/", "0.1.0") if place.has("pushed") else ("", "dev")
            return bool(value == f"{mine[0]}archloop/{tag.argument}:{mine[1]}")
        case "hashed":
            return isinstance(value, str) and re.fullmatch(rf"{tag.argument}-[a-z0-9]{{10}}", value) is not None
        case "digest":
            return digest(value) == tag.argument
        case _:
            return NAMED[tag.argument](value)


@cache
def trees(place: Place) -> Sequence[dict[str, Any]]:
    """What the objects of a place may be, each of them once."""
    return [tree for name in _files() if name.split("_")[0] in place.parts for tree in _entries(_read(name), place)]


@cache
def _files() -> Sequence[str]:
    return sorted(path.stem for path in FOLDER.glob("[!_]*.yaml"))


@cache
def _read(name: str) -> Sequence[Any]:
    text = "".join((FOLDER / f"{each}.yaml").read_text() for each in ("_fragments", "_tgi", name))
    objects: Sequence[Any] = yaml.load(text, _Loader)["objects"]
    return objects


def _resolved(node: Any, place: Place) -> Any:
    """Without what is for other parts."""
    match node:
        case Tag("by", alternatives):
            chosen = next((value for key, value in alternatives.items() if key != "else" and place.has(key)), None)
            return _resolved(alternatives["else"] if chosen is None else chosen, place)
        case Tag():
            return node
        case dict():
            return dict(_fields(node, place))
        case list():
            return list(_entries(node, place))
        case _:
            return node


def _fields(node: Mapping[str, Any], place: Place) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        key, _, condition = name.partition("?")
        if not condition or place.has(condition):
            if key == "<<":
                yield from _fields(value, place)
            else:
                yield key, _resolved(value, place)


def _entries(nodes: Sequence[Any], place: Place) -> Iterator[Any]:
    """Lists in lists are one list: an alias of several entries."""
    for node in nodes:
        match node:
            case Tag("when", [condition, entry]):
                yield from _entries([entry], place) if place.has(condition) else ()
            case list():
                yield from _entries(node, place)
            case _:
                yield _resolved(node, place)
