"""Every number that people or other systems give has bounds, and what is out of them is told in one line."""

import math
from pathlib import Path
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

import pytest
import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel

from archloop import presets, protocols
from archloop.contracts.spec import RunSpec
from archloop.errors import InvalidInput, Misconfigured
from archloop.protocols.model import Protocol
from archloop_lab.study.plan import load as load_study
from services.evaluator.settings import EvaluatorSettings
from services.generator.settings import GeneratorSettings
from services.novelty.settings import NoveltySettings
from services.registry.settings import RegistrySettings
from services.trainer.settings import TrainerSettings

pytestmark = pytest.mark.slow

SETTINGS = [EvaluatorSettings, GeneratorSettings, NoveltySettings, RegistrySettings, TrainerSettings]
OUT_OF_ANY = [True, False, math.nan, math.inf, -math.inf, -1, -0.5, 10**30, 1e300, "many", [], {}, "1e9999"]
BASE = {
    "spec": presets.load("demo").model_dump(mode="json"),
    "protocol": protocols.load("shapes").model_dump(mode="json"),
}
BASE["spec"]["gate"] = {"candidates": 4, "margin": 0.1}
BASE["spec"]["bootstrap"] = {"count": 3}
BASE["protocol"]["normalise"] = {"mean": [0.5] * 3, "std": [0.5] * 3}
READERS = {"spec": presets.load, "protocol": protocols.load}


def numbers(model: type[BaseModel], before: tuple[str, ...] = ()):
    """The path of each field that is a number or a tuple of them, and all that stands about it."""
    for name, field in model.model_fields.items():
        yield from _within(
            (*before, name), Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        )


def _within(path, kind, about=()):
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        yield from _within(path, inner, (*about, *(m for each in more for m in getattr(each, "metadata", [each]))))
    elif get_origin(kind) in {Union, UnionType, tuple}:
        for part in {arg for arg in get_args(kind) if arg is not Ellipsis and arg is not type(None)}:
            yield from _within(path, part, about)
    elif kind in {int, float}:
        yield path, kind, about
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from numbers(kind, path)


KNOWN_BY_A_HASH = {"bytes"}  # of a blob, whose content is what it is
FIELDS = [("spec", *each) for each in numbers(RunSpec) if each[0][-1] not in KNOWN_BY_A_HASH] + [
    ("protocol", *each) for each in numbers(Protocol)
]
LISTS = {("normalise", "mean"), ("normalise", "std")}


def put(content, path, value):
    """A copy with another value there."""
    head, *rest = path
    return {**content, head: put(content.get(head) or {}, rest, value) if rest else value}


def test_the_table_is_not_empty():
    assert len(FIELDS) > 50
    assert ("protocol", "limits", "memory_bytes") in [(kind, *path) for kind, path, _, _ in FIELDS]


@pytest.mark.parametrize("model", [RunSpec, Protocol, *SETTINGS])
def test_no_number_is_without_bounds_on_either_side(model):
    found = list(numbers(model))
    assert found
    for path, _, about in found:
        if path[-1] in KNOWN_BY_A_HASH:
            continue
        kinds = {type(each) for each in about}
        assert kinds & {Ge, Gt}, path
        assert kinds & {Le, Lt} or path[-1] == "below_chance_factor", path


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, path, _, _ in FIELDS if path[0] != "adapter"])
def test_what_no_machine_has_is_refused_in_one_line_that_names_field_and_value(kind, path, tmp_path):
    for number, value in enumerate(OUT_OF_ANY):
        given = [value] * 3 if path in LISTS and not isinstance(value, list | dict) else value
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(put(BASE[kind], path, given)))
        if path in LISTS and path[-1] == "mean" and value in (-1, -0.5):
            READERS[kind](str(file))
            continue
        with pytest.raises(InvalidInput) as raised:
            READERS[kind](str(file))
        said = str(raised.value)
        assert (path[0] if path in LISTS else path[-1]) in said
        assert said.isprintable(), said
        assert len(said) < 400


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("limits", "memory_bytes"), 1),
        (("limits", "memory_bytes"), 2**63 - 1),
        (("limits", "cpu_seconds"), 0),
        (("limits", "wall_seconds"), 1e-9),
        (("limits", "output_bytes"), 0),
        (("limits", "processes"), 10**6),
        (("seed",), 2**31),
        (("seed",), 2**64),
        (("dataset", "seed"), -1),
        (("dataset", "seed"), 1.5),
        (("dataset", "shape"), [3, 16]),
        (("dataset", "shape"), [3, 0, 16]),
        (("dataset", "shape"), [3, 100_000, 16]),
        (("dataset", "classes"), 1),
        (("dataset", "train"), 10**9),
        (("dataset",), {**BASE["protocol"]["dataset"], "train": 10**8, "shape": [3, 4096, 4096]}),
        (("dataset", "name"), "../up"),
        (("dataset", "name"), ""),
        (("name",), "two\nlines"),
        (("name",), "x" * 101),
        (("batch",), 0),
        (("epochs",), 10**6),
        (("hyperparameters", "lr"), 0),
        (("hyperparameters", "momentum"), 1.1),
        (("hyperparameters", "dropout"), -0.1),
        (("resize",), 0),
        (("resize",), 10**5),
        (("below_chance_factor",), 0.5),
        (("below_chance_factor",), 10.1),
        (("suspect_margin",), 2),
        (("normalise", "std"), [0.0, 1.0, 1.0]),
    ],
)
def test_a_protocol_that_no_network_can_be_scored_by_is_refused(path, value, tmp_path):
    file = tmp_path / "odd.yaml"
    file.write_text(yaml.safe_dump(put(BASE["protocol"], path, value)))
    with pytest.raises(InvalidInput, match=r"odd\.yaml") as raised:
        protocols.load(str(file))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("name", [*protocols.names()])
def test_what_ships_is_within_its_bounds(name):
    assert protocols.load(name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "my run",
        "a/b",
        "../../x",
        "",
        ".",
        "..",
        ".hidden",
        "-x",
        "a\nb",
        "a\0b",
        "x" * 45,
        "ü",
        "[red]x",
        "a\\b",
        7,
        True,
    ],
)
@pytest.mark.parametrize("reader", ["file", "values"])
def test_a_preset_is_called_what_a_folder_can_be_called(name, reader, tmp_path):
    content = {**BASE["spec"], "preset": name}
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InvalidInput, match="preset") as raised:
        presets.load(str(file)) if reader == "file" else presets.checked(content, source="here")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("name", ["demo", "x" * 44, "A.b_c-1", "7"])
def test_a_run_is_called_by_any_preset_that_is_taken(name, tmp_path):
    from archloop.contracts.messages import RunRequested

    spec = presets.checked({**BASE["spec"], "preset": name, "seed": 2**31 - 1, "frozen": True}, source="here")
    RunRequested(run_id=f"{spec.preset}-s{spec.seed}-frozen", spec=spec)


@pytest.mark.parametrize(
    "text",
    [
        "seed: " + "9" * 5000,
        "seed: 0x" + "f" * 6000,
        "batch: 2026-99-99",
        "[" * 3000,
        "? [a, b]\n: c",
        "name: *nowhere",
        "a: b: c",
        "\tname: x",
        "name: !!python/object:os.system x",
        "- a list",
        "just words",
        "",
        "&a [*a]",
        'name: "\\x01"',
        "{1: 2, [3]: 4}",
    ],
)
@pytest.mark.parametrize("read", [presets.load, protocols.load, load_study])
def test_a_file_that_is_no_such_thing_is_told_in_one_line(text, read, tmp_path):
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=r"odd\.yaml") as raised:
        read(str(file))
    assert str(raised.value).isprintable(), str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "1e300", "1" * 40, "many", "0x10"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_are_refused_by_the_name_of_their_variable(settings, value, monkeypatch, tmp_path: Path):
    names = [path[0] for path, _, _ in numbers(settings)]
    assert names
    for name in names:
        with monkeypatch.context() as only:
            only.setenv(settings.variable(name), value)
            with pytest.raises(Misconfigured, match=settings.variable(name)) as raised:
                settings.load()
            assert "\n" not in str(raised.value)
