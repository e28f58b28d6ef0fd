"""A candidate scored once more over HTTP: what is asked of the evaluator, how often at most, and what it came to."""

from pathlib import Path

import pytest

from archloop import protocols
from archloop.contracts.base import candidate_id
from archloop.contracts.messages import CandidateEvaluatedFailed, CandidateEvaluatedOk, CandidateSubmitted
from archloop.contracts.values import Evaluation
from services.registry import rescoring
from services.registry.records import Candidate, CandidateQuery
from services.registry.rescoring import MOST_SEEDS, Score
from tests.unit.registry.test_api import PUBLISHED, client_of
from tests.unit.registry.world import RUN, World, evaluation, spec

OWN = protocols.load("digits").seed


@pytest.fixture
async def world(tmp_path: Path) -> World:
    PUBLISHED.clear()
    world = World(tmp_path)
    await world.request(spec(cycles=1))
    await world.run_to_end()
    return world


async def best(world: World) -> Candidate:
    return (await world.store.candidates(CandidateQuery(run_id=RUN, outcome="ok", sort="-accuracy"))).items[0]


def asked() -> list[CandidateSubmitted]:
    found = [envelope.message() for envelope in PUBLISHED]
    assert all(isinstance(each, CandidateSubmitted) for each in found)
    return found  # type: ignore[return-value]


async def test_other_seeds_are_asked_for_once_each_and_more_of_them_later(world: World) -> None:
    chosen = await best(world)
    rows = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    url = f"/candidates/{chosen.candidate_id}/scores"
    async with client_of(world) as client:
        assert (await client.get(url)).json() == []
        for seeds, known in ((2, 2), (2, 2), (1, 2), (4, 4)):
            answer = await client.post(url, json={"protocol": "digits", "seeds": seeds})
            assert (answer.status_code, answer.headers["location"]) == (202, url)
            assert [each["seed"] for each in answer.json()] == list(range(OWN + 1, OWN + 1 + known))
        assert (await client.post(url, json={"protocol": "shapes"})).status_code == 202
        told = (await client.get(url)).json()
    assert {(each["protocol"], each["seed"]) for each in told} == {
        *(("digits", OWN + number) for number in range(1, 5)),
        ("shapes", None),
    }
    assert {(m.protocol, m.seed, m.code.sha256, m.submitter) for m in asked()} == {
        *(("digits", OWN + number, chosen.code_sha256, "operator") for number in range(1, 5)),
        ("shapes", None, chosen.code_sha256, "operator"),
    }
    assert {each.submission for each in rows} == {None}
    assert (await world.store.candidates(CandidateQuery(run_id=RUN))).items == rows, "the run is as it was"


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"protocol": "digits", "seeds": MOST_SEEDS + 1}, 422, "body.seeds"),
        ({"protocol": "digits", "seeds": -1}, 422, "body.seeds"),
        ({"protocol": "digits", "seeds": True}, 422, "body.seeds"),
        ({"protocol": "/etc/passwd", "seeds": 1}, 422, "protocol"),
        ({"protocol": "", "seeds": 1}, 422, "protocol"),
        ({"seeds": 1}, 422, "body.protocol"),
        ({"protocol": "digits", "seed": 1}, 422, "body.seed"),
    ],
    ids=str,
)
async def test_what_cannot_be_asked_for_is_refused_by_its_name(
    world: World, body: dict[str, object], status: int, told: str
) -> None:
    async with client_of(world, token="secret") as client:
        url, head = f"/candidates/{(await best(world)).candidate_id}/scores", {"Authorization": "Bearer secret"}
        answer = await client.post(url, json=body, headers=head)
        assert (await client.post(url, json={"protocol": "digits"})).status_code == 401
        unknown = f"/candidates/{candidate_id('nobody', 0, 0)}/scores"
        assert (await client.post(unknown, json={"protocol": "digits"}, headers=head)).status_code == 404
        assert (await client.get(unknown)).status_code == 404
    assert (answer.status_code, told in answer.text) == (status, True)
    assert not PUBLISHED


async def test_what_they_came_to_is_told_with_its_spread(world: World) -> None:
    chosen = await best(world)
    async with client_of(world) as client:
        await client.post(f"/candidates/{chosen.candidate_id}/scores", json={"protocol": "digits", "seeds": 3})
        for message, accuracy in zip(asked(), (0.5, 0.7, None), strict=True):
            await answered(world, message, accuracy)
        told = (await client.get(f"/candidates/{chosen.candidate_id}/scores")).json()
    assert [(each["outcome"], each["accuracy"]) for each in told] == [
        ("ok", 0.5),
        ("ok", 0.7),
        ("build_error", None),
    ]
    (spread,) = rescoring.spreads(chosen, [Score.model_validate(each) for each in told])
    assert chosen.evaluation is not None
    assert (spread.protocol, spread.first) == ("digits", chosen.evaluation.accuracy)
    assert (spread.mean, spread.deviation) == (pytest.approx(0.4), pytest.approx(0.3605551))


async def answered(world: World, message: CandidateSubmitted, accuracy: float | None) -> None:
    """The evaluator's answer."""
    assert message.seed is not None
    kind = CandidateEvaluatedOk if accuracy is not None else CandidateEvaluatedFailed
    ended = {"outcome": "ok" if accuracy is not None else "build_error", "accuracy": accuracy}
    own = {"protocol": f"digits, seed {message.seed}", "code_sha256": message.code.sha256}
    told = Evaluation.model_validate(dict(evaluation("code")) | own | ended)
    await world.store.record(kind(**message.about(), code=message.code, evaluation=told), world.now)


@pytest.mark.parametrize(
    ("accuracies", "mean", "deviation"),
    [([], None, None), ([None], None, None), ([0.5], 0.5, None), ([0.5, None], 0.5, None), ([0.5, 0.5], 0.5, 0.0)],
)
def test_a_spread_is_of_what_is_known(
    accuracies: list[float | None], mean: float | None, deviation: float | None
) -> None:
    found = [
        Score(
            protocol="shapes",
            seed=number,
            candidate_id="c",
            outcome="ok" if accuracy else None,
            accuracy=accuracy,
            test_accuracy=None,
        )
        for number, accuracy in enumerate(accuracies, 1)
    ]
    told = list(rescoring.spreads(Candidate(candidate_id="c", run_id=RUN), found))
    assert [(each.first, each.mean, each.deviation) for each in told] == [(None, mean, deviation)] * bool(found)
