"""What a study file may say, and which runs come of it."""

from pathlib import Path

import pytest
import yaml

from archloop.errors import InvalidInput, NotFound
from archloop_lab.study import plan, studies

SMALL = {
    "name": "small",
    "question": "Does it matter?",
    "preset": "demo",
    "seeds": [3, 4],
    "settings": {"cycles": 2, "selection": {"minimum": 1}},
    "variants": {"loop": {}, "frozen": {"frozen": True}, "no-replay": {"selection": {"replay": 0}}},
    "control": "frozen",
}


def written(folder: Path, **changes: object) -> str:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL | changes, sort_keys=False))
    return str(path)


def test_every_variant_has_every_seed_and_its_own_changes(tmp_path: Path) -> None:
    study = plan.load(written(tmp_path))
    cells = {cell.name: cell.spec for cell in study.cells()}
    assert list(cells) == ["loop-s3", "frozen-s3", "no-replay-s3", "loop-s4", "frozen-s4", "no-replay-s4"]
    assert [spec.seed for spec in cells.values()] == [3, 3, 3, 4, 4, 4]
    assert all((spec.cycles, spec.selection.minimum) == (2, 1) for spec in cells.values())
    assert cells["no-replay-s3"].selection.replay == 0
    assert cells["no-replay-s3"].selection.quota == cells["loop-s3"].selection.quota
    assert cells["frozen-s4"].frozen
    assert study.reference == "loop"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"variants": {"loop": {}}}, "variants"),
        (
            {"control": None, "variants": {"loop": {}, "odd": {"selection": {"replai": 0}}}},
            "variant odd: selection.replai",
        ),
        ({"seeds": [1, 1]}, "seeds must differ"),
        ({"seeds": []}, "seeds"),
        ({"control": "nobody"}, "none of the variants"),
        ({"settings": {"protocol": "unheard-of"}}, "unheard-of"),
        ({"settings": {"generation": {"template": "unsaid"}}}, "no prompt template named 'unsaid'"),
        ({"settings": {"generation": {"template": "edit"}}}, "no prompt template named 'edit'"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused_by_name(tmp_path: Path, changes: dict, named: str) -> None:
    with pytest.raises((InvalidInput, NotFound), match=named):
        plan.load(written(tmp_path, **changes))


@pytest.mark.parametrize("name", plan.names())
def test_every_shipped_study_can_be_run(name: str) -> None:
    study = plan.load(name)
    assert study.name == name
    assert len(list(study.cells())) == len(study.seeds) * len(study.variants)


def test_an_unknown_study_names_those_there_are() -> None:
    with pytest.raises(NotFound, match="ablations"):
        plan.load("nothing")


def test_a_plan_says_of_each_variant_what_one_run_takes_and_starts_nothing(tmp_path: Path) -> None:
    found = studies.plans(written(tmp_path))
    assert list(found) == ["loop", "frozen", "no-replay"]
    times = {variant: dict(made.costs)["time"] for variant, made in found.items()}
    assert "nothing to train" in times["frozen"]
    assert "nothing to train" not in times["loop"]
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]
