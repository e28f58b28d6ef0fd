"""What is read of a run's directory: whole and typed, or refused by the name of the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archloop.errors import IntegrityError, NotFound
from archloop_lab.files import write_json
from archloop_lab.run_directory import RunDirectory
from archloop_lab.summary import AnalysedCycle, AnalysedSummary
from services.registry.records import Candidate, CandidateQuery
from services.registry.statistics.summary import summarise
from tests.unit.registry.world import RUN, World, spec


@pytest.fixture(scope="module")
async def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the files of a run at a deployment hold."""
    world = World(tmp_path_factory.mktemp("left"))
    await world.request(spec(candidates=4, frozen=True))
    await world.run_to_end()
    recorded = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    return {
        "summary.json": (await summarise(world.store, RUN)).model_dump(mode="json"),
        "candidates.json": [candidate.model_dump(mode="json") for candidate in recorded],
    }


@pytest.fixture
def put(left: dict[str, Any], tmp_path: Path) -> Callable[..., RunDirectory]:
    """Writes the files of a run, changed before."""

    def written(change: Callable[[dict[str, Any]], object] = lambda _: None) -> RunDirectory:
        content = json.loads(json.dumps(left))
        change(content)
        for name, part in content.items():
            write_json(tmp_path / name, part)
        return RunDirectory(tmp_path)

    return written


async def test_a_control_is_read_with_its_candidates_where_they_are(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec(frozen=True))
    await world.run_to_end()
    write_json(tmp_path / "summary.json", (await summarise(world.store, RUN)).model_dump(mode="json"))
    recorded = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    beside = await RunDirectory(tmp_path).control()
    assert beside.summary.run_id == RUN
    assert beside.candidates == recorded
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "summary.json").write_bytes((tmp_path / "summary.json").read_bytes())
    assert (await RunDirectory(elsewhere).control()).candidates == []
    write_json(elsewhere / "candidates.json", [candidate.model_dump(mode="json") for candidate in recorded])
    assert await RunDirectory(elsewhere).control() == (beside.summary, list(recorded))


async def test_a_control_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"summary\.json"):
        await RunDirectory(tmp_path).control()


DAMAGED = {
    r"summary\.json is damaged.*: run_id should be a value": lambda c: c["summary.json"].pop("run_id"),
    r"summary\.json is damaged.*: cycles should be": lambda c: c["summary.json"].update(cycles=None),
    r"summary\.json is damaged.*: cycles.0.valid should": lambda c: c["summary.json"]["cycles"][0].update(valid="x"),
    r"summary\.json is damaged.*: spec\.seed should be": lambda c: c["summary.json"]["spec"].update(seed=-1),
    r"summary\.json is damaged.*: status should be": lambda c: c["summary.json"].update(status="ended"),
    r"summary\.json is damaged.*: totals\.tokens should be": lambda c: c["summary.json"]["totals"].update(tokens={}),
    r"summary\.json is damaged: it holds no object": lambda c: c.update({"summary.json": []}),
    r"candidates\.json is damaged.*: 1\.candidate_id should be": lambda c: c["candidates.json"][1].pop("candidate_id"),
    r"candidates\.json is damaged.*: 0\.evaluation\.outcome should be": lambda c: c["candidates.json"][0][
        "evaluation"
    ].update(outcome="fine"),
    r"candidates\.json is damaged.*: 2 should be": lambda c: c["candidates.json"].insert(2, "c"),
    r"candidates\.json is damaged: it holds no list": lambda c: c.update({"candidates.json": {}}),
}


@pytest.mark.parametrize("said", DAMAGED)
async def test_a_damaged_file_is_refused_by_its_name_and_the_field(said: str, put: Callable[..., RunDirectory]) -> None:
    with pytest.raises(IntegrityError, match=said):
        await put(DAMAGED[said]).control()


async def test_to_read_candidates_makes_no_folder_for_blobs(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec(candidates=4, frozen=True))
    await world.run_to_end()
    shutil.rmtree(tmp_path / "blobs", ignore_errors=True)
    run = RunDirectory(tmp_path)
    assert run.registry_file.is_file()
    assert len(await run.candidates(RUN)) == 12
    assert not (tmp_path / "blobs").exists()


async def test_a_run_of_before_lacks_what_was_added_since_and_what_a_newer_one_adds_is_left_out(
    left: dict[str, Any], put: Callable[..., RunDirectory]
) -> None:
    def older(content: dict[str, Any]) -> None:
        for row in content["summary.json"]["cycles"]:
            for name, field in AnalysedCycle.model_fields.items():
                if not field.is_required():
                    row.pop(name, None)
            row["added_later"] = 1
        for row in content["candidates.json"]:
            for name, field in Candidate.model_fields.items():
                if not field.is_required() and name != "cycle":
                    row.pop(name, None)

    control = await put(older).control()
    first, whole = control.summary.cycles[0], AnalysedSummary.model_validate(left["summary.json"]).cycles[0]
    assert (first.valid, first.valid_rate) == (whole.valid, whole.valid_rate)
    assert (first.novelty_rate, first.cost, first.diversity_valid) == (None, 0.0, None)
    assert [c.candidate_id for c in control.candidates] == [c["candidate_id"] for c in left["candidates.json"]]
    assert {c.evaluation for c in control.candidates} == {None}
