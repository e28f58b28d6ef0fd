"""The HTTP API as a client sees it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from archloop.blobs.programs import INLINE_LIMIT
from archloop.contracts.base import Message, candidate_id
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateSubmitted, RunRequested
from archloop.contracts.spec import NoveltySpec
from archloop.contracts.values import SourceCode, sha256_of
from services.registry.api import create
from services.registry.records import utc_now
from tests.unit.registry.world import RUN, World, evaluation, spec

PUBLISHED: list[Envelope] = []
SUBMISSION = {"batch": "theirs", "submission": "net-1", "code": "class Net: ...", "protocol": "digits"}


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("api"))
    await world.request(spec())
    await world.run_to_end()
    return world


def client_of(world: World, token: str | None = None, read_token: str | None = None) -> httpx.AsyncClient:
    async def publish(envelope: Envelope) -> None:
        PUBLISHED.append(envelope)

    tokens = {"token": token, "read_token": read_token}
    api = create(world.store, world.blobs, publish, **{k: SecretStr(v) for k, v in tokens.items() if v})
    return httpx.AsyncClient(transport=httpx.ASGITransport(api, raise_app_exceptions=False), base_url="http://registry")


def published() -> Message:
    """The one message that was said."""
    (envelope,) = PUBLISHED
    return envelope.message()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    PUBLISHED.clear()
    async with client_of(world) as client:
        yield client


async def test_a_run_its_cycles_and_its_summary(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/runs")).json()
    assert (listed["total"], listed["items"][0]["run_id"], listed["items"][0]["status"]) == (1, RUN, "finished")
    run = (await client.get(f"/runs/{RUN}")).json()
    assert run["spec"]["candidates"] == 6
    cycles = (await client.get(f"/runs/{RUN}/cycles")).json()
    assert [c["cycle"] for c in cycles] == [0, 1, 2]
    summary = (await client.get(f"/runs/{RUN}/summary")).json()
    assert [c["generated"] for c in summary["cycles"]] == [6, 6, 6]


async def test_candidates_are_filtered_sorted_and_paged(client: httpx.AsyncClient) -> None:
    url = f"/runs/{RUN}/candidates"
    everything = (await client.get(url)).json()
    assert everything["total"] == len(everything["items"]) == 18
    valid = (await client.get(url, params={"outcome": "ok", "sort": "-accuracy"})).json()["items"]
    accuracies = [c["evaluation"]["accuracy"] for c in valid]
    assert accuracies == sorted(accuracies, reverse=True)
    assert {c["evaluation"]["outcome"] for c in valid} == {"ok"}
    bar = accuracies[len(accuracies) // 2]
    above = (await client.get(url, params={"min_accuracy": bar})).json()
    assert above["total"] == sum(a >= bar for a in accuracies)
    pages = [(await client.get(url, params={"offset": o, "limit": 5})).json()["items"] for o in (0, 5, 10, 15)]
    assert [c for page in pages for c in page] == everything["items"]


async def test_every_filter_meets_its_condition(client: httpx.AsyncClient) -> None:
    url = f"/runs/{RUN}/candidates"
    novel = (await client.get(url, params={"verdict": "novel", "cycle": 1})).json()["items"]
    assert novel
    assert {(c["cycle"], c["judgement"]["verdict"]) for c in novel} == {(1, "novel")}
    family = novel[0]["judgement"]["family"]
    of_family = (await client.get(url, params={"family": family})).json()["items"]
    assert {c["judgement"]["family"] for c in of_family} == {family}


async def test_code_is_plain_text_that_no_browser_takes_for_more(client: httpx.AsyncClient) -> None:
    name = candidate_id(RUN, 0, 0)
    known = (await client.get(f"/candidates/{name}")).json()
    response = await client.get(f"/candidates/{name}/code")
    assert sha256_of(response.text) == known["code_sha256"]
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_architectures_are_the_admitted_best_first(client: httpx.AsyncClient) -> None:
    page = (await client.get("/architectures", params={"run_id": RUN})).json()
    accuracies = [a["accuracy"] for a in page["items"]]
    assert page["total"] == len(accuracies) > 0
    assert accuracies == sorted(accuracies, reverse=True)
    assert (await client.get("/architectures", params={"run_id": "other"})).json() == {"total": 0, "items": []}


async def test_adapters_tell_their_lineage(client: httpx.AsyncClient) -> None:
    adapters = (await client.get("/adapters")).json()
    assert [(a["adapter"]["adapter"], a["parent"]) for a in adapters] == [
        ("run-1-c0", None),
        ("run-1-c1", "run-1-c0"),
    ]


async def test_an_earlier_evaluation_is_found_by_hashes(client: httpx.AsyncClient, world: World) -> None:
    source = await world.store.source(candidate_id(RUN, 0, 0))
    assert source is not None
    expected = evaluation(source.code.text or "")
    hashes = {"code_sha256": expected.code_sha256, "protocol_sha256": expected.protocol_sha256}
    assert (await client.get("/evaluations", params=hashes)).json()["outcome"] == expected.outcome
    assert (await client.get("/evaluations", params=hashes | {"code_sha256": "0" * 64})).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/runs/nobody",
        "/runs/nobody/summary",
        "/runs/nobody/cycles",
        "/runs/nobody/candidates",
        "/runs/nobody/events",
        f"/candidates/{'0' * 8}-0000-0000-0000-{'0' * 12}",
        f"/candidates/{'0' * 8}-0000-0000-0000-{'0' * 12}/code",
        "/no/such/path",
    ],
)
async def test_what_is_not_there_is_a_404_problem(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"/runs/{RUN}/candidates?limit=0", "query.limit"),
        (f"/runs/{RUN}/candidates?offset=-1", "query.offset"),
        (f"/runs/{RUN}/candidates?offset={10**40}", "query.offset"),
        (f"/runs/{RUN}/candidates?cycle={2**63}", "query.cycle"),
        (f"/runs/{RUN}/candidates?min_accuracy=nan", "query.min_accuracy"),
        (f"/runs/{RUN}/candidates?outcome=fine", "query.outcome"),
        (f"/runs/{RUN}/candidates?sort=%00", "query.sort"),
        ("/runs/%00", "path.run_id"),
        ("/runs/..%5C..%5Cetc", "path.run_id"),
        ("/runs/%F0%9F%92%A9", "path.run_id"),
        ("/candidates/xyz", "path.candidate_id"),
        ("/evaluations?code_sha256=1&protocol_sha256=2", "query.code_sha256"),
        ("/evaluations", "query.code_sha256"),
    ],
)
async def test_bad_input_names_field_value_and_what_is_right(client: httpx.AsyncClient, path: str, field: str) -> None:
    response = await client.get(path)
    problem = response.json()
    assert response.status_code == 422
    assert problem["code"] == "invalid_input"
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["expected"]


@pytest.mark.parametrize("family", ["\x00", "💩", "'; drop table runs", "x" * 100])
async def test_odd_text_finds_nothing(client: httpx.AsyncClient, family: str) -> None:
    response = await client.get(f"/runs/{RUN}/candidates", params={"family": family})
    assert (response.status_code, response.json()["total"]) == (200, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"run_id": "\\ud800", "spec": {}}',
        b'{"run_id": "x", "spec": {"cycles": 1e999}}',
        b'{"run_id": "x", "spec": {"cycles": NaN}}',
        b'{"run_id": "x\\u0000", "spec": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"run_id": "x", "spec": {"cycles": ' + b"9" * 5000 + b"}}",
        b"[" * 100_000,
        b'{"run_id": "x", "spec": {"cycles": 1, "candidates": 1000000000000, "protocol": "digits"}}',
    ],
)
@pytest.mark.parametrize("path", ["/runs", "/submissions"])
async def test_no_body_however_odd_is_more_than_the_clients_mistake(
    client: httpx.AsyncClient, path: str, body: bytes
) -> None:
    response = await client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"
    assert PUBLISHED == []


async def test_a_run_request_is_published_as_a_message(client: httpx.AsyncClient) -> None:
    response = await client.post("/runs", json={"run_id": "next", "spec": spec(seed=9).model_dump(mode="json")})
    assert response.status_code == 202
    assert response.headers["location"] == response.json()["location"] == "/runs/next"
    assert published() == RunRequested(run_id="next", spec=spec(seed=9))


async def test_a_run_name_taken_by_another_spec_is_a_409(client: httpx.AsyncClient) -> None:
    same = await client.post("/runs", json={"run_id": RUN, "spec": spec().model_dump(mode="json")})
    other = await client.post("/runs", json={"run_id": RUN, "spec": spec(seed=9).model_dump(mode="json")})
    assert (same.status_code, other.status_code) == (202, 409)


@pytest.mark.parametrize("protocol", ["nonsense", "/etc/passwd.yaml", "../protocols/digits.yaml"])
async def test_protocols_are_taken_by_name_only(client: httpx.AsyncClient, protocol: str) -> None:
    response = await client.post("/submissions", json=SUBMISSION | {"protocol": protocol})
    assert response.status_code == 422
    assert "digits" in response.json()["detail"]
    assert PUBLISHED == []


async def test_a_submission_is_published_and_says_where_its_result_will_be(client: httpx.AsyncClient) -> None:
    response = await client.post("/submissions", json=SUBMISSION)
    message = published()
    assert isinstance(message, CandidateSubmitted)
    assert response.json()["location"] == f"/candidates/{message.candidate_id}"
    assert message.code.text == "class Net: ..."


async def test_large_code_travels_by_blob(client: httpx.AsyncClient, world: World) -> None:
    code = "#" * (INLINE_LIMIT + 1)
    await client.post("/submissions", json=SUBMISSION | {"submission": "large", "code": code})
    message = published()
    assert isinstance(message, CandidateSubmitted)
    assert message.code.blob is not None
    assert await world.blobs.get(message.code.blob) == code.encode()


@pytest.mark.parametrize(
    "content", [b"x = '\xe9'", b"\xff\xfe", b"\xed\xa0\x80", "x = 'é'\r\n".encode(), b"\xef\xbb\xbfx"]
)
async def test_code_is_answered_to_the_byte(client: httpx.AsyncClient, world: World, content: bytes) -> None:
    ref = await world.blobs.put(f"code/{sha256_of(content)}.py", content)
    code = SourceCode(sha256=ref.sha256, blob=ref)
    submitted = CandidateSubmitted(
        run_id="odd", submission=ref.sha256[:8], code=code, protocol="shapes", novelty=NoveltySpec()
    )
    await world.store.record(submitted, utc_now())
    response = await client.get(f"/candidates/{submitted.candidate_id}/code")
    assert (response.status_code, response.content) == (200, content)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/submissions", SUBMISSION), ("/runs", {"run_id": "next", "spec": spec(seed=9).model_dump(mode="json")})],
)
async def test_what_a_request_sets_going_continues_the_callers_trace(
    client: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    theirs = f"00-{'a' * 32}-{'b' * 16}-00"
    await client.post(path, json=body, headers={"traceparent": theirs})
    (envelope,) = PUBLISHED
    assert envelope.traceparent.startswith(f"00-{'a' * 32}-")
    assert "b" * 16 not in envelope.traceparent
    PUBLISHED.clear()
    assert (await client.post(path, json=body, headers={"traceparent": "00-xyz"})).status_code == 202
    (envelope,) = PUBLISHED
    assert envelope.traceparent == Envelope.of(published(), source="registry").traceparent


@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic c2VjcmV0"}])
async def test_writing_needs_the_token_where_one_is_set(world: World, given: dict[str, str]) -> None:
    PUBLISHED.clear()
    async with client_of(world, token="secret") as client:
        refused = await client.post("/submissions", json=SUBMISSION, headers=given)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert (await client.get("/runs")).status_code == 200
        assert PUBLISHED == []
        right = await client.post("/submissions", json=SUBMISSION, headers={"Authorization": "Bearer secret"})
        assert right.status_code == 202


async def test_blobs_are_read_by_hash_with_either_token_and_by_no_other(world: World) -> None:
    ref = await world.blobs.put("code/net.py", b"class Net: ...")
    await world.blobs.put("adapters/secret", b"weights")
    async with client_of(world, token="write", read_token="read") as client:

        async def status(key: str, sha256: str, token: str | None) -> int:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return (await client.get(f"/blobs/{key}", params={"sha256": sha256}, headers=headers)).status_code

        assert [await status(ref.key, ref.sha256, token) for token in ("read", "write", "other", None)] == [
            200,
            200,
            401,
            401,
        ]
        assert await status(ref.key, "0" * 64, "read") == 404
        assert await status("code/none.py", ref.sha256, "read") == 404
        assert await status("adapters/secret", ref.sha256, "read") == 422
        assert await status("code/../adapters/secret", ref.sha256, "read") in {404, 422}
        bytes_read = await client.get(
            f"/blobs/{ref.key}", params={"sha256": ref.sha256}, headers={"Authorization": "Bearer read"}
        )
        assert bytes_read.content == b"class Net: ..."
        refused = await client.post("/submissions", json=SUBMISSION, headers={"Authorization": "Bearer read"})
        assert refused.status_code == 401


async def test_health_and_metrics_are_part_of_the_api(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == (await client.get("/readyz")).json() == {"status": "ok", "checks": {}}
    assert "archloop_deliveries_total" in (await client.get("/metrics")).text


async def test_openapi_refers_only_to_schemas_that_it_has(client: httpx.AsyncClient) -> None:
    text = (await client.get("/openapi.json")).text
    names = set((await client.get("/openapi.json")).json()["components"]["schemas"])
    assert {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]} <= names


async def test_pairs_are_kept_and_a_run_begins_with_them(world: World) -> None:
    PUBLISHED.clear()
    async with client_of(world) as client:
        kept = (await client.post("/pairs", json={"pairs": [{"prompt": "a", "completion": "b"}]})).json()
        assert kept["count"] == 1
        content = spec(bootstrap=kept).model_dump(mode="json")
        answer = await client.post("/runs", json={"run_id": "with-pairs", "spec": content})
    assert answer.status_code == 202
    assert isinstance(message := published(), RunRequested)
    assert message.spec.bootstrap is not None
    assert message.spec.bootstrap.pairs is not None
    assert await world.blobs.get(message.spec.bootstrap.pairs) == b'{"prompt": "a", "completion": "b"}\n'


@pytest.mark.parametrize("pairs", [None, {"key": "pairs/none.jsonl", "sha256": "a" * 64, "bytes": 1}])
async def test_a_run_cannot_begin_with_pairs_that_are_not_kept(world: World, pairs: dict | None) -> None:
    content = spec().model_dump(mode="json") | {"bootstrap": {"pairs": pairs, "count": 1}}
    async with client_of(world) as client:
        answer = await client.post("/runs", json={"run_id": "with-pairs", "spec": content})
    assert answer.status_code == 422
    assert "spec.bootstrap.pairs" in answer.text
