"""What is done by forms: runs asked for and steered, parked messages settled; and that nothing is where nobody can."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from archloop import presets
from archloop.bus.memory import MemoryBus
from archloop.bus.port import Parked
from archloop.contracts.topology import QUEUES
from services.registry.records import CandidateQuery
from tests.unit.page.pages import Seen, app_of, client_of
from tests.unit.page.test_forms import sent
from tests.unit.page.test_hostile import _OBEYED, ATTACKS
from tests.unit.registry.world import RUN, World, spec

STEER = f"/page/runs/{RUN}/steer"
HOSTILE = "\n".join(ATTACKS.values())


class Operated(NamedTuple):
    """A registry with a run under way, its bus, and an operator's browser."""

    world: World
    bus: MemoryBus
    client: httpx.AsyncClient

    async def post(self, address: str, **fields: str) -> httpx.Response:
        """Send a form of the page."""
        found = Seen((await self.client.get("/page/start")).text)
        token = next(each["value"] for each in found.all("input") if each.get("name") == "form_token")
        return await self.client.post(address, data={"form_token": token, **fields})

    async def inputs(self, address: str) -> list[dict[str, str | None]]:
        """The fields of a view's forms."""
        return Seen((await self.client.get(address)).text).all("input")

    async def acts(self) -> list[str]:
        """What was done to the run."""
        run = await self.world.store.run(RUN)
        assert run is not None
        return [each.act.verb for each in run.acts]


@pytest.fixture
async def operated(tmp_path: Path) -> AsyncIterator[Operated]:
    world, bus = World(tmp_path), MemoryBus()
    for queue in QUEUES:
        await bus.declare(queue)
    await world.request(spec(cycles=9))
    for _ in range(60):
        await world.deliver()
    async with client_of(app_of(world, bus=bus)) as client:
        yield Operated(world, bus, client)
    await world.store.close()
    await bus.close()


def parked(name: str, text: str = "x") -> Parked:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Parked(id=name, queue="evaluator", reason=text, stack=text, first_failed=at, body=text.encode())


@pytest.mark.parametrize("verb", ["pause", "cancel"])
async def test_a_button_is_an_act_on_record(operated: Operated, verb: str) -> None:
    answer = await operated.post(STEER, do=verb, comment="enough")
    assert (answer.status_code, answer.headers["location"]) == (303, STEER)
    shown = Seen((await operated.client.get(STEER)).text).text
    assert await operated.acts() == [verb]
    assert all(words in shown for words in (verb, "enough", "page"))


async def test_a_pause_is_taken_back_and_changes_wait_for_the_next_cycle(operated: Operated) -> None:
    await operated.post(STEER, do="pause")
    changes = {"generation.temperature": "0.5", "candidates": "4", "family.residual": "on", "budget.tokens": "9000"}
    await operated.post(STEER, do="change", **changes)
    await operated.post(STEER, do="resume")
    run = await operated.world.store.run(RUN)
    assert run is not None
    assert (run.status, await operated.acts()) == ("running", ["pause", "change", "resume"])
    changed = run.acts[1].act.changes
    assert changed is not None
    assert changed.model_dump(mode="json", exclude_none=True, exclude_defaults=True) == {
        "candidates": 4,
        "generation": {"temperature": 0.5, "families": ["residual"]},
        "budget": {"tokens": 9000},
    }


async def test_exemplars_are_pinned_and_released_on_the_candidates_page(operated: Operated) -> None:
    found = await operated.world.store.candidates(CandidateQuery(run_id=RUN, outcome="ok", verdict="novel"))
    candidate = found.items[0].candidate_id
    address = f"/page/runs/{RUN}/candidates/{candidate}"
    for verb, words in (("pin", "pinned"), ("ban", "banned"), ("release", "Pin as an exemplar")):
        answer = await operated.post(STEER, do=verb, candidate=candidate)
        assert answer.headers["location"] == address
        assert words in (await operated.client.get(address)).text
    assert await operated.acts() == ["pin", "ban", "release"]


async def test_a_run_is_reverted_where_its_versions_are_listed(operated: Operated) -> None:
    address = f"/page/runs/{RUN}/lineage"
    while len(await operated.world.store.cycles(RUN)) < 3:
        await operated.world.deliver()
    offered = [each["value"] for each in await operated.inputs(address) if each.get("name") == "adapter"]
    assert offered == ["tiny", "run-1-c0", "run-1-c1"]
    answer = await operated.post(STEER, do="revert", adapter="run-1-c0")
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    shown = " ".join(Seen((await operated.client.get(address)).text).text.split())
    assert "page reverted to run-1-c0: the next cycle takes it up." in shown
    while len(cycles := await operated.world.store.cycles(RUN)) < 4:
        await operated.world.deliver()
    assert cycles[3].adapter == cycles[1].adapter
    shown = " ".join(Seen((await operated.client.get(address)).text).text.split())
    assert "page reverted to run-1-c0: cycle 3 took it up." in shown


async def test_a_run_that_is_over_offers_no_version_to_revert_to(operated: Operated) -> None:
    await operated.world.act("cancel")
    await operated.world.deliver_to_registry()
    assert [each for each in await operated.inputs(f"/page/runs/{RUN}/lineage") if each.get("name") == "adapter"] == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"do": "explode"}, "do"),
        ({"do": "change"}, "at least one change"),
        ({"do": "change", "generation.temperature": "hot"}, "temperature"),
        ({"do": "change", "selection.threshold": "3"}, "threshold"),
        ({"do": "submit", "code": " "}, "code"),
        ({"do": "pin", "candidate": "me"}, "candidate"),
        ({"do": "ban", "candidate": ""}, "candidate"),
        ({"do": "revert"}, "adapter"),
        ({"do": "revert", "adapter": "run-1-c77"}, "one that has written a cycle of the run"),
    ],
)
async def test_what_cannot_be_done_is_said_beside_what_was_filled_in(
    operated: Operated, fields: dict[str, str], named: str
) -> None:
    answer = await operated.post(STEER, **fields)
    assert answer.status_code == 422
    alert = Seen(answer.text)
    assert "role" in alert.all("p")[1]
    assert named in alert.text
    assert await operated.acts() == []


async def test_a_run_is_asked_for_once_its_form_is_right(operated: Operated) -> None:
    small = {"from": "demo", "name": "asked", "cycles": "2", "candidates": "3", "protocol": "digits"}
    fields = sent(presets.load("demo").model_dump(mode="json")) | small
    planned = await operated.post("/page/start", **fields, do="plan")
    assert (planned.status_code, "At most 6 candidates and 1 training" in Seen(planned.text).text) == (200, True)
    for wrong in ({"cycles": "0"}, {"name": "no name"}, {"protocol": "/etc/passwd"}, {"from": "/etc/passwd"}):
        answer = await operated.post("/page/start", **fields | wrong, do="start")
        assert answer.status_code == 422
        assert await operated.world.store.run("asked") is None
    started = await operated.post("/page/start", **fields, do="start")
    assert (started.status_code, started.headers["location"]) == (303, "/page/runs/asked")
    run = await operated.world.store.run("asked")
    assert run is not None
    assert (run.spec.cycles, run.spec.candidates, run.spec.protocol) == (2, 3, "digits")
    other = await operated.post("/page/start", **fields | {"seed": "7"}, do="start")
    assert (other.status_code, "taken by a run with another spec" in Seen(other.text).text) == (422, True)


async def test_a_candidate_is_scored_again_beside_its_run(operated: Operated) -> None:
    candidate = (await operated.world.store.candidates(CandidateQuery(run_id=RUN, outcome="ok"))).items[0]
    address = f"/page/runs/{RUN}/candidates/{candidate.candidate_id}"
    before = (await operated.world.store.candidates(CandidateQuery(run_id=RUN))).items
    for protocol in ("shapes", "shapes", "mnist5k"):
        assert (await operated.post(f"{address}/again", protocol=protocol)).headers["location"] == address
    assert (await operated.post(f"{address}/again", protocol="digits", seeds="3")).headers["location"] == address
    shown = " ".join(Seen((await operated.client.get(address)).text).text.split())
    assert all(protocol in shown for protocol in ("standard deviation", "shapes", "mnist5k"))
    assert "awaited, awaited, awaited" in shown
    assert (await operated.world.store.candidates(CandidateQuery(run_id=RUN))).items == before
    wrong = [{"protocol": each} for each in ("", "/etc/passwd", "no such", "x" * 2000)]
    for fields in [*wrong, *({"protocol": "digits", "seeds": each} for each in ("9", "-1", "many"))]:
        assert (await operated.post(f"{address}/again", **fields)).status_code == 422


async def test_parked_messages_are_looked_at_handed_over_and_dropped(operated: Operated) -> None:
    for name in ("first", "second"):
        await operated.bus.park(parked(name))
    assert Seen((await operated.client.get("/page/parked")).text).text.count("look at it") == 2
    assert (await operated.post("/page/parked", do="replay", id="first")).status_code == 303
    assert (await operated.post("/page/parked", do="drop", id="second")).status_code == 303
    assert await operated.bus.parked() == []
    assert await operated.bus.depth(QUEUES[1]) == 1
    assert (await operated.post("/page/parked", do="drop", id="second")).status_code == 404
    assert (await operated.post("/page/parked", do="eat", id="second")).status_code == 422


async def test_a_parked_message_is_text_whatever_is_in_it(operated: Operated) -> None:
    await operated.bus.park(parked("plain", "words"))
    await operated.bus.park(parked("hostile", HOSTILE))
    pages = [await operated.client.get(f"/page/parked/{name}") for name in ("plain", "hostile")]
    tags = [[tag for tag, _ in Seen(each.text).elements] for each in pages]
    assert tags[0] == tags[1]
    assert not _OBEYED.search(pages[1].text.replace("\r\n", "\n"))
    assert "<script>" in Seen(pages[1].text).text


@pytest.mark.parametrize("address", [STEER, "/page/start", "/page/parked", "/page/parked/x"])
async def test_a_page_over_records_alone_operates_nothing(world: World, address: str) -> None:
    async with client_of(app_of(world, served=False)) as client:
        assert (await client.get(address)).status_code == 409
        assert "Steer" not in (await client.get(f"/page/runs/{RUN}")).text
