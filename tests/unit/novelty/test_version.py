"""A source has the tokens of `VERSION`: a store compares what it kept with what is read today."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from services.novelty.normalise import VERSION, normalise
from tests.unit.novelty.test_aliases import DIFFERENT as UNLIKE
from tests.unit.novelty.test_aliases import SAME
from tests.unit.novelty.test_definition_time import NET, PAIRS, START
from tests.unit.novelty.test_differences import BEGINNING, FOUND, pair
from tests.unit.novelty.test_differences import PAIRS as DIFFERENT
from tests.unit.novelty.test_hash_seed import SOURCES

# By version, then by kind: the start of a hash over the tokens of the kind's sources. Where tokens change on purpose,
# VERSION grows and `hashes()` is written here.
KEPT: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("version.json").read_text())


def sources() -> Iterator[tuple[str, str]]:
    """Each kind with a source of it."""
    for kind, rows in DIFFERENT.items():
        yield from ((kind, source) for name in rows for source in pair(kind, name))
    yield from (("found", BEGINNING + source) for each in FOUND.values() for source in each)
    yield from (("aliases", source) for of in (SAME, UNLIKE) for each in of.values() for source in each)
    yield from (("order", source) for source in SOURCES.values())
    net = START.format(docstring="") + NET.format(combined="")
    yield from (
        ("defined", before + net + after) for each in PAIRS.values() for before in each for after in ("", before)
    )


def hashes() -> dict[str, str]:
    """What `KEPT` has of a version, made anew."""
    made: dict[str, sha256] = {}
    for kind, source in sources():
        for sizes in ("kept", "bucketed") if kind == "found" else ("kept",):
            made.setdefault(kind, sha256()).update("\n".join(normalise(source, sizes)).encode("utf-8", "surrogatepass"))
    return {kind: each.hexdigest()[:16] for kind, each in made.items()}


@pytest.fixture(scope="module")
def today() -> dict[str, str]:
    return hashes()


@pytest.mark.parametrize("kind", [*DIFFERENT, "found", "aliases", "order", "defined"])
def test_tokens_are_those_of_the_version(today: dict[str, str], kind: str) -> None:
    assert KEPT[str(VERSION)][kind] == today[kind], "other tokens need another VERSION"
