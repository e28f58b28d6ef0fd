"""Rules that allow: whatever of a rendering its trees do not have is refused, and so is what it lacks of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.unit.k8s.manifests import Manifest
from tests.unit.k8s.rules import Broken
from tests.unit.k8s.trees import Place, Tag, digest, holds, trees

_CLUSTERS_OWN = {"Namespace", "PriorityClass"}  # in no namespace
_IDENTITIES = ("mountPath", "name", "key", "secretKey")
_ORDERED = ("ontainers", "nv")  # of containers and initial ones; an environment may refer to what is above


class Known(NamedTuple):
    """What one object may be."""

    place: Place
    tree: Mapping[str, Any]

    @property
    def where(self) -> str | None:
        return None if self.tree["kind"] in _CLUSTERS_OWN else self.place.namespace

    def named(self, each: Manifest) -> bool:
        """Whether the object goes by this name."""
        metadata = each.get("metadata")
        if each.get("kind") != self.tree["kind"] or not isinstance(metadata, dict):
            return False
        if metadata.get("namespace") != self.where:
            return False
        return self._free or _same(self.tree["metadata"]["name"], metadata.get("name"), self.place)

    def refusals(self, each: Manifest) -> Iterator[Broken]:
        """What of it no tree has, and what it lacks."""
        tree = dict(self.tree)
        if self.where is not None and not self._free:
            tree["metadata"] = {**tree["metadata"], "namespace": self.where}
        for field, problem in _differences(tree, each, self.place, ""):
            yield Broken(_called(each), field.removeprefix("."), problem)

    @property
    def _free(self) -> bool:
        return isinstance(self.tree["metadata"], Tag)


def known(places: Sequence[Place]) -> list[Known]:
    """All that there has to be."""
    return [Known(place, tree) for place in places for tree in trees(place)]


def refused(objects: Sequence[Manifest], places: Sequence[Place]) -> Iterator[Broken]:
    """What no tree has, and what of the trees is missing."""
    left = known(places)
    for each in objects:
        found = next((one for one in left if one.named(each)), None)
        if found is None:
            yield Broken(_called(each), "kind", "is no object that these parts have, or has a name of another")
            continue
        left.remove(found)
        yield from found.refusals(each)
    for one in left:
        yield Broken(f"{one.tree['kind']}/{one.tree['metadata']['name']}", "metadata.name", "is missing")


def refused_alone(each: Any, places: Sequence[Place]) -> Iterator[Broken]:
    """What no tree has of one object, whatever else is there."""
    found = next((one for one in known(places) if isinstance(each, dict) and one.named(each)), None)
    if found is None:
        yield Broken("an object", "kind", "is none that these parts have")
    else:
        yield from found.refusals(each)


def _called(each: Manifest) -> str:
    return f"{each.get('kind')}/{each.get('metadata', {}).get('name')}"


def _same(allowed: Any, value: Any, place: Place) -> bool:
    return next(_differences(allowed, value, place, ""), None) is None


def _differences(allowed: Any, value: Any, place: Place, at: str) -> Iterator[tuple[str, str]]:
    match allowed:
        case Tag():
            if not holds(allowed, value, place):
                yield at, _not(allowed, value)
        case dict() if isinstance(value, dict):
            yield from _of_fields(allowed, value, place, at)
        case list() if isinstance(value, list):
            yield from _of_entries(allowed, value, place, at)
        case _:
            if type(allowed) is not type(value) or allowed != value:
                yield at, f"is {value!r}, must be {allowed!r}"


def _not(tag: Tag, value: Any) -> str:
    found = f"has the digest {digest(value)}" if tag.name == "digest" else f"is {value!r}"
    return f"{found}, must be {tag.name} {tag.argument}"


def _of_fields(allowed: Manifest, value: Manifest, place: Place, at: str) -> Iterator[tuple[str, str]]:
    for key in value.keys() - allowed.keys():
        yield f"{at}.{key}", f"no rule knows it ({value[key]!r})"
    for key, node in allowed.items():
        if key in value:
            yield from _differences(node, value[key], place, f"{at}.{key}")
        else:
            yield f"{at}.{key}", "is missing"


def _of_entries(allowed: list[Any], value: list[Any], place: Place, at: str) -> Iterator[tuple[str, str]]:
    """Entries with an identity in any order, others in theirs; containers start in theirs, too."""
    any_order = () if at.endswith(_ORDERED) else _IDENTITIES
    identity = next((name for name in any_order if _identifies(name, allowed)), None)
    if len(allowed) != len(value):
        yield at, f"must have {len(allowed)} entries, has {len(value)}"
    if identity is None or not _identifies(identity, value):
        for number, (node, each) in enumerate(zip(allowed, value, strict=False)):
            yield from _differences(node, each, place, f"{at}.{number}")
        return
    by_identity = {each[identity]: each for each in value}
    for node in allowed:
        name = node[identity]
        if name in by_identity:
            yield from _differences(node, by_identity[name], place, f"{at}.{name}")
        else:
            yield f"{at}.{name}", "is missing"


def _identifies(name: str, entries: Sequence[Any]) -> bool:
    """Whether this field is a text in each, and another one in each."""
    found = [each.get(name) if isinstance(each, dict) else None for each in entries]
    return all(isinstance(each, str) for each in found) and len(set(found)) == len(found)
