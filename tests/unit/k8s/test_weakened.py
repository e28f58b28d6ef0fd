"""Manifests that somebody has weakened are refused: by hand, and by whatever a generator thinks of."""

import json
import random
import re

import pytest
import yaml

from tests.unit.k8s.allowed import refused, refused_alone
from tests.unit.k8s.changes import changed, mutant, ways
from tests.unit.k8s.manifests import OVERLAYS, RENDERINGS, rendered
from tests.unit.k8s.places import PLACES
from tests.unit.k8s.trees import FOLDER

SEED = 22
EXCUSED = yaml.safe_load(FOLDER.with_name("survivors.yaml").read_text())
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
    """Those that nothing refuses, by how and where."""
    for rendering, each, way, how in chosen:
        made = mutant(each, way, how)
        if made.object != each and not list(refused_alone(made.object, PLACES[rendering])):
            yield how, f"{each['kind']}/{each['metadata']['name']} {made.at}"


def excuse(how, at):
    """The reason that is written down."""
    return next((row["reason"] for row in EXCUSED if row["how"] == how and re.search(row["at"], at)), None)


def test_what_a_generator_thinks_of_is_refused(everything):
    found = survivors(random.Random(SEED).sample(everything, 2_500))
    assert [(how, at) for how, at in found if excuse(how, at) is None] == []


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_all_that_a_generator_thinks_of_is_refused(everything):
    assert len(everything) > 50_000
    found = list(survivors(everything))
    assert [(how, at) for how, at in found if excuse(how, at) is None] == []
    assert {excuse(how, at) for how, at in found} == {row["reason"] for row in EXCUSED}


@pytest.mark.parametrize("name", ["overlays/prod", "overlays/tgi", "cluster-apparmor"])
def test_every_object_is_missed(name, scratch):
    objects = rendered(name, scratch)
    assert len(objects) > 5
    for each in objects:
        left = [other for other in objects if other is not each]
        assert [broken.problem for broken in refused(left, PLACES[name])] == ["is missing"]


@pytest.mark.parametrize("name", ["overlays/prod", "overlays/tgi", "cluster-apparmor"])
def test_no_object_may_be_there_twice_or_elsewhere(name, scratch):
    objects = rendered(name, scratch)
    assert len(objects) > 5
    for each in objects:
        for other in ({"name": "other"}, {"namespace": "kube-system"}, {}):
            copied = {**each, "metadata": {**each["metadata"], **other}}
            assert list(refused([*objects, copied], PLACES[name]))
