"""A database, a store or a bucket is emptied or damaged under a run: it ends as it would have, or with a reason."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import RunRequested
from archloop.contracts.spec import RunSpec
from services.registry.control import controller
from tests.chaos.forgetful import Forgetful
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import S3
from tests.support import sampled
from tests.unit.registry.world import RUN, spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ASKED = spec(cycles=2, candidates=6)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluator here answers at once: what is lost need not be waited for as long as the protocol gives it."""
    monkeypatch.setattr(controller, "_longest_evaluation_s", lambda _: 5.0)


@pytest.fixture
def made(tmp_path: Path, mongo_url: str, s3: S3, broker: RabbitMQ | None) -> Callable[[str], Forgetful]:
    """Makes servers' parts that are empty."""

    def make(name: str) -> Forgetful:
        folder = tmp_path / name
        folder.mkdir()
        return Forgetful(folder, broker, mongo_url, s3)

    return make


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> RabbitMQ | None:
    """A real one where messages of before matter; in memory where what is tried is in the stores."""
    real: RabbitMQ | None = request.getfixturevalue("mortal_broker") if request.param else None
    return real


REAL = pytest.mark.parametrize("broker", [True], indirect=True, ids=["broker"])
NONE = pytest.mark.parametrize("broker", [False], indirect=True, ids=["memory"])
_CALM: dict[str, list[tuple[object, ...]]] = {}


async def undisturbed(made: Callable[[str], Forgetful], asked: RunSpec) -> list[tuple[object, ...]]:
    """What a run comes to where nothing happens."""
    key = asked.model_dump_json()
    if key not in _CALM:
        calm = made("calm")
        async with calm.up():
            assert await calm.request(asked) == 202
            assert await calm.ended() == "completed"
            _CALM[key] = await calm.results()
    return _CALM[key]


OTHERS = {
    "the same spec": ASKED,
    "another seed": spec(cycles=2, candidates=6, seed=7),
    "more candidates": spec(cycles=2, candidates=9),
    "fewer candidates, and frozen": spec(cycles=2, candidates=5, frozen=True),
    "another training": spec(cycles=2, candidates=6, training={"epochs": 1}),
}


@REAL
@pytest.mark.parametrize(
    ("other", "when"),
    [
        ("the same spec", 8),
        pytest.param("another seed", 2, marks=pytest.mark.thorough),
        *(pytest.param(other, 8, marks=pytest.mark.thorough) for other in [*OTHERS][1:]),
    ],
)
async def test_a_run_of_the_name_after_the_database_was_emptied_is_as_on_empty_servers(
    made: Callable[[str], Forgetful], other: str, when: int
) -> None:
    """The second life begins while messages of the first are under way; novelty, broker and bucket keep theirs."""
    expected = await undisturbed(made, OTHERS[other])
    stage, emptied = made("emptied"), asyncio.Event()

    def empty(_: object, count: int) -> None:
        if count == when:
            stage.empty_database()
            emptied.set()

    stage.evaluator.before = empty
    async with stage.up():
        assert await stage.request(ASKED) == 202
        async with asyncio.timeout(60):
            while not emptied.is_set():
                await asyncio.sleep(0.02)
        assert await stage.request(OTHERS[other]) == 202
        assert await stage.ended() == "completed"
        assert await stage.results() == expected
        assert await stage.bus.parked() == []


DAMAGES: dict[str, Callable[[Forgetful], None]] = {
    "other bytes": lambda stage: stage.overwrite(f"runs/{RUN}/pairs/", b"damaged"),
    "other bytes beside the hash of the first": lambda stage: stage.overwrite(
        f"runs/{RUN}/pairs/", b"damaged", keep_hash=True
    ),
    "cut to nothing": lambda stage: stage.overwrite(f"runs/{RUN}/pairs/", b""),
    "pairs of another run": lambda stage: stage.overwrite(
        f"runs/{RUN}/pairs/", b'{"prompt": "p", "completion": "c"}\n'
    ),
    "deleted": lambda stage: stage.delete(f"runs/{RUN}/pairs/"),
    "the bucket emptied": lambda stage: stage.delete(""),
}


@NONE
@pytest.mark.parametrize("damage", sampled(DAMAGES, 3))
async def test_damaged_pairs_are_made_again_from_the_rows(made: Callable[[str], Forgetful], damage: str) -> None:
    expected = await undisturbed(made, ASKED)
    stage = made("damaged")

    def harm(_: object, count: int) -> None:
        if count == 1:
            DAMAGES[damage](stage)

    stage.trainer.before = harm
    async with stage.up():
        assert await stage.request(ASKED) == 202
        assert await stage.ended() == "completed"
        assert await stage.results() == expected
        assert stage.trainer.count == 2
        assert await stage.bus.parked() == []


@NONE
@pytest.mark.parametrize("damage", ["other bytes", "deleted"])
async def test_pairs_that_are_damaged_each_time_end_the_run_with_the_reason(
    made: Callable[[str], Forgetful], damage: str
) -> None:
    stage = made("hopeless")
    stage.trainer.before = lambda *_: DAMAGES[damage](stage)
    async with stage.up():
        assert await stage.request(ASKED) == 202
        reason = await stage.ended()
        assert reason.startswith("cycle 0: no adapter after 4 requests for training, which was rejected: ")
        assert f"runs/{RUN}/pairs/c0-" in reason
        assert await stage.bus.parked() == []


@NONE
async def test_bootstrap_pairs_that_are_gone_end_the_run_with_the_reason(made: Callable[[str], Forgetful]) -> None:
    stage = made("bootstrap")
    async with stage.up():
        body = {"pairs": [{"prompt": "p", "completion": "c"}]}
        start = (await stage.client.post("/pairs", json=body)).json()
        stage.trainer.before = lambda *_: stage.delete("pairs/")
        assert await stage.request(spec(cycles=1, candidates=3, bootstrap=start)) == 202
        assert "bootstrap: no adapter after 4 requests for training, which was rejected: not_found" in (
            await stage.ended()
        )


@NONE
async def test_an_emptied_novelty_store_is_told_again_what_the_open_cycle_has(made: Callable[[str], Forgetful]) -> None:
    stage = made("novelty")
    async with stage.up():
        assert await stage.request(spec(cycles=1, candidates=6)) == 202
        async with asyncio.timeout(60):
            while stage.evaluator.count < 3:
                await asyncio.sleep(0.01)
    for path in stage.folder.glob("novelty.sqlite*"):
        path.unlink()
    async with stage.up():
        assert await stage.ended() == "completed"
    expected = made("beside")
    async with expected.up():
        assert await expected.request(spec(cycles=1, candidates=6)) == 202
        assert await expected.ended() == "completed"
        calm = await expected.results()
    async with stage.up():
        assert await stage.results() == calm


@REAL
async def test_of_requests_at_once_for_one_name_one_is_taken(made: Callable[[str], Forgetful]) -> None:
    stage = made("races")
    async with stage.up():
        specs = [spec(cycles=1, candidates=2, seed=seed) for seed in range(6)]
        over_the_queue = Envelope.of(RunRequested(run_id=RUN, spec=specs[0]), source="others")
        *answers, _ = await asyncio.gather(*map(stage.request, specs), stage.bus.publish(over_the_queue))
        run = await stage.store.run(RUN)
        assert run is not None
        assert answers == [202 if each == run.spec else 409 for each in specs]
        sent = [{"batch": "b", "submission": "s", "code": f"x = {n}", "protocol": "digits"} for n in range(6)]
        posted = await asyncio.gather(*(stage.client.post("/submissions", json=each) for each in sent))
        codes = [answer.status_code for answer in posted]
        assert sorted(codes) == [202, 409, 409, 409, 409, 409]
        again = await stage.client.post("/submissions", json=sent[codes.index(202)])
        assert again.status_code == 202


UNKNOWN = {
    "template": ({"generation": {"template": "nope"}}, "brief"),
    "template of another case": ({"generation": {"template": "Brief"}}, "brief"),
    "path as a template": ({"generation": {"template": "../brief"}}, "brief"),
    "no template": ({"generation": {"template": ""}}, "brief"),
    "protocol": ({"protocol": "nope"}, "digits"),
    "path as a protocol": ({"protocol": "/etc/passwd.yaml"}, "digits"),
}


@REAL
async def test_what_no_service_could_do_is_refused_and_over_the_queue_parked_once(
    made: Callable[[str], Forgetful],
) -> None:
    stage = made("unknown")
    async with stage.up():
        for number, (wrong, known) in enumerate(UNKNOWN.values()):
            asked = spec(cycles=1, candidates=2, **wrong)
            body = {"run_id": f"u{number}", "spec": asked.model_dump(mode="json")}
            answer = await stage.client.post("/runs", json=body)
            assert answer.status_code in {404, 422}
            assert known in answer.json()["detail"]
            await stage.bus.publish(Envelope.of(RunRequested(run_id=f"u{number}", spec=asked), source="others"))
        async with asyncio.timeout(30):
            while len(parked := await stage.bus.parked()) < len(UNKNOWN):
                await asyncio.sleep(0.05)
        assert {each.queue for each in parked} == {"registry"}
        assert (await stage.store.runs()).total == 0
        assert stage.generator.count == 0
