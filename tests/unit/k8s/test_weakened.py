"""Manifests that somebody has weakened are refused: by hand, and by whatever a generator thinks of."""

import json
import random

import pytest
import yaml

from tests.unit.k8s.allowed import refused, refused_alone
from tests.unit.k8s.changes import changed, mutant, ways
from tests.unit.k8s.manifests import OVERLAYS, RENDERINGS, rendered
from tests.unit.k8s.places import PLACES
from tests.unit.k8s.trees import FOLDER

SEED = 22
IN = {name.removeprefix("overlays/"): name for name in OVERLAYS}
ROWS = {
    f"{path.stem}: {name}": rows
    for path in sorted(FOLDER.with_name("weakened").glob("*.yaml"))
    for name, rows in yaml.load(path.read_text(), yaml.CSafeLoader).items()
}


@pytest.mark.parametrize("name", ROWS)
def test_a_weakening_is_refused(name, scratch):
    alias, _, _ = ROWS[name][0][0].rpartition(":")
    rendering = IN[alias or "gpu"]
    rows = [(which.rpartition(":")[2], steps, value) for which, steps, value in ROWS[name]]
    objects = changed(rendered(rendering, scratch), rows)
    assert list(refused(objects, PLACES[rendering]))


@pytest.fixture(scope="module")
def everything(scratch):
    """Each object once, with the places that it is of, and each thing that can be done to it."""
    found = {json.dumps(o, sort_keys=True): (name, o) for name in RENDERINGS for o in rendered(name, scratch)}
    return [(name, each, *what) for name, each in found.values() for what in ways(each)]


def survivors(chosen):
    for rendering, each, way, how in chosen:
        made = mutant(each, way, how)
        if made.object != each and not list(refused_alone(made.object, PLACES[rendering])):
            yield f"{each['kind']}/{each['metadata']['name']} {made.at} {how}"


def test_what_a_generator_thinks_of_is_refused(everything):
    assert list(survivors(random.Random(SEED).sample(everything, 600))) == []


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_all_that_a_generator_thinks_of_is_refused(everything):
    assert len(everything) > 2_000
    assert list(survivors(everything)) == []
