"""A manifest is believed whole or not at all, and the registry beside it has the last word."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from archloop.contracts.messages import RunRequested
from archloop.errors import ArchloopError, IntegrityError, InvalidInput, NotFound
from archloop_lab import manifests
from archloop_lab.run_directory import RunDirectory
from tests.unit.registry.world import RUN, spec

CONTENT = {"schema_version": 1, "run_id": RUN, "spec": spec().model_dump(mode="json"), "protocol": {"name": "digits"}}


def edited(**changes):
    return lambda text: json.dumps(json.loads(text) | changes)


def respelt(**changes):
    return lambda text: json.dumps(json.loads(text) | {"spec": CONTENT["spec"] | changes})


DAMAGED = {
    "protocol": respelt(protocol="shapes"),
    "cycles": respelt(cycles=9),
    "seed": respelt(seed=2),
    "not a spec": respelt(cycles="many"),
    "no spec": lambda text: json.dumps({"schema_version": 1, "run_id": RUN}),
    "run id": edited(run_id="other"),
    "run id is no text": edited(run_id=3),
    "of another version": edited(schema_version=2),
    "one more field": edited(note="mine"),
    "another protocol's numbers": edited(protocol={"name": "shapes"}),
    "another seal": edited(sha256="0" * 64),
    "no seal, no text": edited(sha256=None),
    "cut in half": lambda text: text[: len(text) // 2],
    "cut at the end": lambda text: text[:-3],
    "nothing": lambda _: "",
    "a list": lambda text: f"[{text}]",
    "a word": lambda _: "null",
    "two byte order marks": lambda text: "\ufeff\ufeff" + text,
    "a protocol that is text": lambda text: json.dumps(CONTENT | {"protocol": "digits"}),
    "a model that is a list": lambda text: json.dumps(CONTENT | {"base_model": ["tiny"]}),
    "a placement that is null": lambda text: json.dumps(CONTENT | {"placement": None}),
    "twice": lambda text: text * 2,
    "nul": lambda text: text + "\x00",
    "deep": lambda _: "[" * 100_000,
    "latin-1": lambda text: text.replace("digits", "d\udce9gits"),
    "utf-16": lambda text: text.encode("utf-16").decode("utf-8", "surrogateescape"),
}


@pytest.fixture
def run(tmp_path):
    manifests.write(tmp_path / "manifest.json", CONTENT)
    return tmp_path


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_what_is_not_as_it_was_written_is_refused_by_name(damage, run):
    path = run / "manifest.json"
    path.write_bytes(damage(path.read_text()).encode("utf-8", "surrogateescape"))
    with pytest.raises(ArchloopError, match=r"manifest\.json") as caught:
        RunDirectory(run).manifest()
    assert isinstance(caught.value, IntegrityError | InvalidInput)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("indent", [None, 0, 4, "\t"])
def test_how_it_is_laid_out_says_nothing(indent, run):
    path = run / "manifest.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items())), indent=indent))
    assert RunDirectory(run).manifest().spec == spec()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_an_editor_that_saved_it_as_it_is_changed_nothing(mark, end, run):
    path = run / "manifest.json"
    path.write_bytes((mark + path.read_text().replace("\n", end)).encode())
    assert RunDirectory(run).manifest().spec == spec()


@pytest.mark.parametrize("engine", ["lean", "trl"])
@pytest.mark.parametrize("sealed", [True, False])
def test_one_that_calls_the_engine_of_a_training_a_method_is_read(engine, sealed, tmp_path):
    asked = spec(training={"engine": engine, "r": 8})
    then = asked.model_dump(mode="json")
    then["training"]["method"] = then["training"].pop("engine")
    content = CONTENT | {"spec": then}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(content | ({manifests.SEAL: manifests.seal(content)} if sealed else {})))
    assert manifests.read(path).spec == asked


@pytest.mark.parametrize(
    "training",
    [{"method": "trl", "engine": "trl"}, {"method": "lora"}, {"engine": "dpo"}, {"method": None}, {"engine": ["trl"]}],
)
def test_one_whose_training_is_none_is_refused_by_the_field(training, tmp_path):
    content = CONTENT | {"spec": CONTENT["spec"] | {"training": training}}
    manifests.write(tmp_path / "manifest.json", content)
    field = rf"manifest\.json: training\.{next(iter(training))}"
    with pytest.raises(InvalidInput, match=field):
        manifests.read(tmp_path / "manifest.json")


def test_a_directory_without_one_is_no_run(tmp_path):
    with pytest.raises(NotFound, match="run directory"):
        RunDirectory(tmp_path).manifest()


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, None),
        ({"spec": CONTENT["spec"] | {"seed": 9}}, "seed"),
        ({"spec": CONTENT["spec"] | {"cycles": 4}}, "cycles"),
        ({"spec": CONTENT["spec"] | {"protocol": "shapes"}}, "protocol"),
        ({"spec": CONTENT["spec"] | {"frozen": True}}, "frozen"),
        ({"spec": CONTENT["spec"] | {"candidates": 7}}, "candidates"),
        ({"run_id": "other"}, "other"),
    ],
)
def test_one_without_a_seal_is_held_against_the_registry(changes, wrong, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(CONTENT | changes))

    async def looked_at():
        async with RunDirectory(tmp_path).opened() as (store, _):
            await store.record(RunRequested(run_id=RUN, spec=spec()), datetime.now(UTC))
            return await RunDirectory(tmp_path).agreed(store)

    if wrong is None:
        assert asyncio.run(looked_at()).run_id == RUN
    else:
        with pytest.raises(IntegrityError, match=rf"manifest\.json.*{wrong}"):
            asyncio.run(looked_at())
