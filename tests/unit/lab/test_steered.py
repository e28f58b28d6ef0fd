"""A run that people steered, done again from its manifest: equal in every candidate, as nothing else would be."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from archloop.blobs import programs
from archloop.contracts.spec import RunSpec
from archloop.errors import InvalidInput, NotFound
from archloop_lab import manifests, reproduction, steered
from archloop_lab.report import view
from archloop_lab.run_directory import RunDirectory
from archloop_lab.summary import AnalysedSummary
from services.registry.records import CandidateQuery
from services.registry.statistics.summary import summarise
from tests.unit.registry.world import RUN, World, spec

SPEC = spec(cycles=4, candidates=6, protocol="digits")
CODE = "a network of one's own"
Acts = dict[int, list[dict[str, Any]]]
STEERED: dict[str, Acts] = {
    "changed": {0: [{"verb": "change", "changes": {"candidates": 8, "selection": {"threshold": 0.8}}}]},
    "changed twice": {
        0: [{"verb": "change", "changes": {"candidates": 4}}, {"verb": "change", "changes": {"candidates": 7}}],
        1: [{"verb": "change", "changes": {"budget": {"candidates": 14}}}],
    },
    "given a network": {1: [{"verb": "submit"}]},
    "paused": {0: [{"verb": "pause"}, {"verb": "resume"}], 1: [{"verb": "change", "changes": {"candidates": 2}}]},
    "given exemplars": {1: [{"verb": "pin", "candidate": "{valid}"}, {"verb": "ban", "candidate": "{best}"}]},
    "reverted": {1: [{"verb": "revert", "adapter": "tiny"}]},
    "reverted twice": {
        1: [{"verb": "revert", "adapter": "run-1-c0"}],
        2: [{"verb": "revert", "adapter": "tiny"}, {"verb": "change", "changes": {"candidates": 4}}],
    },
    "cancelled": {1: [{"verb": "change", "changes": {"candidates": 9}}], 2: [{"verb": "cancel"}]},
}


async def driven(directory: Path, asked: RunSpec, acts: Acts) -> None:
    """A run in a directory, to its end; each act is done once its cycle is open."""
    world, run = World(directory), RunDirectory(directory)
    await world.request(asked)
    for cycle, each in acts.items():
        while len(await world.store.cycles(RUN)) <= cycle:
            await world.deliver()
        for said in each:
            await world.act(**said | await given(world, said))
    await world.run_to_end()
    manifests.write(run.manifest_file, manifests.content_of(RUN, asked))
    async with run.opened() as records:
        await steered.keep(run, records, RUN)
    await world.store.close()


async def given(world: World, said: dict[str, Any]) -> dict[str, Any]:
    """What an act is about, as this run has it."""
    if said["verb"] == "submit":
        return {"code": await programs.referred(world.blobs, CODE)}
    return {"candidate": await exemplar(world, said)} if "candidate" in said else {}


async def exemplar(world: World, said: dict[str, Any]) -> str:
    rows = (await world.store.candidates(CandidateQuery(run_id=RUN, cycle=0, sort="-accuracy"))).items
    valid = [c.candidate_id for c in rows if c.valid and c.judgement]
    return valid[0] if said["candidate"] == "{best}" else valid[-1]


async def done_again(before: Path, after: Path, asked: RunSpec) -> None:
    await steered.bring(asked, RunDirectory(before), RunDirectory(after).blobs)
    await driven(after, asked, {})


@pytest.mark.parametrize("name", STEERED)
def test_a_run_that_was_steered_comes_out_the_same_again(name: str, tmp_path: Path) -> None:
    asyncio.run(driven(tmp_path / "then", SPEC, STEERED[name]))
    recorded = reproduction.recorded(tmp_path / "then/manifest.json")
    asyncio.run(done_again(tmp_path / "then", tmp_path / "again", recorded.spec))
    found = reproduction.compared(tmp_path / "then", tmp_path / "again")
    assert found is not None
    assert found.differing == []
    assert found.shared >= 12
    reasons = [asyncio.run(reason(tmp_path / each)) for each in ("then", "again")]
    assert reasons[0] == reasons[1]


async def reason(directory: Path) -> str | None:
    async with RunDirectory(directory).rows() as store:
        run = await store.run(RUN)
    assert run is not None
    return run.reason


@pytest.mark.parametrize("name", ["changed", "given a network", "reverted"])
def test_without_what_was_done_it_comes_out_otherwise(name: str, tmp_path: Path) -> None:
    asyncio.run(driven(tmp_path / "then", SPEC, STEERED[name]))
    asyncio.run(driven(tmp_path / "again", SPEC, {}))
    found = reproduction.compared(tmp_path / "then", tmp_path / "again")
    assert found is not None
    assert found.differing


def test_a_run_that_was_done_again_may_be_done_again(tmp_path: Path) -> None:
    folders = [tmp_path / each for each in ("first", "second", "third")]
    asyncio.run(driven(folders[0], SPEC, STEERED["given a network"]))
    for before, after in itertools.pairwise(folders):
        asked = reproduction.recorded(before / "manifest.json").spec
        asyncio.run(done_again(before, after, asked))
    found = reproduction.compared(folders[0], folders[2])
    assert found is not None
    assert (found.differing, found.shared) == ([], 25)


def test_the_manifest_has_the_acts_and_keeps_its_seal_and_one_of_a_run_without_any_stays_as_it_was(
    tmp_path: Path,
) -> None:
    asyncio.run(driven(tmp_path / "then", SPEC, STEERED["given a network"]))
    content = RunDirectory(tmp_path / "then").manifest().content
    (kept,) = content["acts"]
    assert (kept["cycle"], kept["act"]["verb"], kept["act"]["who"]) == (2, "submit", "tester")
    assert CODE not in (tmp_path / "then/manifest.json").read_text()
    asyncio.run(driven(tmp_path / "plain", SPEC, {}))
    assert "acts" not in RunDirectory(tmp_path / "plain").manifest().content


def test_a_network_that_is_not_there_any_more_is_named(tmp_path: Path) -> None:
    asyncio.run(driven(tmp_path / "then", SPEC, STEERED["given a network"]))
    asked = reproduction.recorded(tmp_path / "then/manifest.json").spec
    with pytest.raises(NotFound):
        asyncio.run(steered.bring(asked, RunDirectory(tmp_path / "nowhere"), RunDirectory(tmp_path / "again").blobs))
    with pytest.raises(InvalidInput, match="on this machine only"):
        reproduction.require_elsewhere(asked)
    asyncio.run(driven(tmp_path / "back", SPEC, STEERED["reverted"]))
    with pytest.raises(InvalidInput, match="on this machine only"):
        reproduction.require_elsewhere(reproduction.recorded(tmp_path / "back/manifest.json").spec)
    reproduction.require_elsewhere(SPEC)


def test_a_manifest_whose_acts_were_made_up_is_refused_by_the_field() -> None:
    for act in ({"cycle": -1, "act": {"verb": "cancel"}}, {"cycle": 0, "act": {"verb": "explode"}}, {"cycle": 0}):
        with pytest.raises(InvalidInput, match="acts"):
            steered.again(SPEC, {"acts": [act]}, "manifest.json")


async def test_the_report_lists_who_did_what_when(tmp_path: Path) -> None:
    world = World(tmp_path / "run")
    code = await programs.referred(world.blobs, CODE)
    planned = [{"cycle": 1, "act": {"verb": "submit", "who": "earlier", "code": code.model_dump()}}]
    await world.request(spec(cycles=2, steering=planned))
    await world.deliver()
    await world.act("change", changes={"candidates": 3}, comment="<b>fewer</b>")
    await world.run_to_end()
    rows = view.acts(AnalysedSummary.of(await summarise(world.store, RUN), {}))
    await world.store.close()
    assert [(row["who"], row["cycle"]) for row in rows] == [("earlier", "1"), ("tester", "1")]
    assert rows[0]["what"] == f"submit {code.sha256}"
    assert rows[1]["what"] == "change candidates=3: <b>fewer</b>"
    assert rows[1]["at"] == "2026-01-01 00:00:00"
