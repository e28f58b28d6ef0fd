"""Installed packages, their requirements, and the entries of site-packages that belong to them."""

from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path, PurePath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

METADATA = "METADATA"


def entries(names: Iterable[str]) -> set[str]:
    """Return files and folders of these packages and of all that they require.

    Each path is as high up as it belongs to one package alone.
    """
    names = tuple(names)
    found = {path for name in names for path in _imported(name)}
    for package in required(names):
        found |= set(_entries(package))
    return {path for path in found if Path(path).exists()}


def required(names: Iterable[str]) -> list[Distribution]:
    """Return the distributions of these names and of what they require; extras only where a requirement asks."""
    found: dict[str, Distribution] = {}
    wanted = [(name, "") for name in names]
    seen: set[tuple[str, str]] = set()
    while wanted:
        name, extra = wanted.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        wanted += _requirements(found[name], extra)
    return list(found.values())


def _requirements(package: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    for text in package.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            for one in ("", *requirement.extras):
                yield canonicalize_name(requirement.name), one


def _entries(package: Distribution) -> Iterator[str]:
    """Yield the paths of a package as its RECORD lists them; without one, the places of its modules."""
    files = [file.parts for file in package.files or ()] if package.read_text("RECORD") else []
    if not files:
        names = package.read_text("top_level.txt") or package.name.replace("-", "_")
        yield from (path for name in names.split() for path in _imported(name))
    regular = {parts[0] for parts in files if parts[1:] == ("__init__.py",)}
    for parts in {_own(parts, regular) for parts in files} - {()}:
        yield str(package.locate_file(PurePath(*parts)))


def _own(parts: tuple[str, ...], regular: set[str]) -> tuple[str, ...]:
    """Return the shortest path above this file that belongs to its distribution alone; empty where there is none.

    A folder without an `__init__.py`, which those in `regular` have, is shared with other distributions.
    """
    top = parts[0]
    if top.endswith(".dist-info"):
        return parts if parts[1:] == (METADATA,) else ()  # for importlib.metadata.version
    if top in {"..", "__pycache__"} or top.endswith(".pth"):
        return ()
    return parts[:2] if top.isidentifier() and top not in regular else parts[:1]


def _imported(name: str) -> Iterator[str]:
    """Yield the paths of the module of this name, without importing it."""
    spec = find_spec(name) if name.isidentifier() else None
    if spec is not None:
        yield from spec.submodule_search_locations or ([spec.origin] if spec.has_location and spec.origin else [])
