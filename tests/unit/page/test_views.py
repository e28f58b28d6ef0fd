"""What each view shows of a run that has ended, and that a browser is given nothing that it would run."""

import gzip
import json
from importlib.resources import files

import httpx
import pytest

from archloop.contracts.values import sha256_of
from services.registry.records import CandidateQuery
from tests.unit.page.pages import Seen
from tests.unit.registry.world import RUN, World

HOME = f"/page/runs/{RUN}"
# Every view by its address: words that it shows of this run.
VIEWS = {
    "/page/runs": (RUN, "finished", "18/18", "Compare the chosen"),
    HOME: ("First cycle → last cycle", "Valid rate", "All numbers", "What was asked for"),
    f"{HOME}?control=": ("By cycle", "Bands are 95 % intervals"),
    f"{HOME}/candidates": ("1–18 of 18", "cycle 0, no. 0", "build error", "CSV of these 18"),
    f"{HOME}/candidates?outcome=ok&sort=-accuracy": ("novel", "accuracy ↓"),
    f"{HOME}/lineage": ("run-1-c0", "the base model", "not yet served"),
    "/page/system": ("Where candidates ran", "process"),
}
REFUSED = {
    "/page/runs/nobody": 404,
    "/page/runs/nobody/candidates": 404,
    f"{HOME}/candidates?outcome=great": 422,
    f"{HOME}/candidates?cycle=first": 422,
    f"{HOME}/candidates?min_accuracy=2": 422,
    f"{HOME}/candidates?min_accuracy=nan": 422,
    f"{HOME}/candidates?offset=-1": 422,
    f"{HOME}/candidates?sort=code": 422,
    f"{HOME}/candidates.csv?verdict=x": 422,
    f"{HOME}/candidates/{'0' * 8}-0000-0000-0000-{'0' * 12}": 404,
    f"{HOME}/candidates/me": 422,
    "/page/compare": 422,
    f"/page/compare?run={RUN}": 422,
    f"/page/compare?run={RUN}&run=nobody": 404,
    "/page/static/page.py": 404,
    "/page/static/routing.py": 404,
}


async def seen(client: httpx.AsyncClient, address: str) -> Seen:
    answer = await client.get(address)
    assert answer.status_code == 200, (address, answer.text)
    return Seen(answer.text)


async def one_candidate(world: World, **conditions: object) -> str:
    found = await world.store.candidates(CandidateQuery(run_id=RUN, **conditions))
    return found.items[0].candidate_id


@pytest.mark.parametrize("address", VIEWS)
async def test_a_view_shows_what_is_recorded(client: httpx.AsyncClient, address: str) -> None:
    text = " ".join((await seen(client, address)).text.split())
    assert not [words for words in VIEWS[address] if words not in text]


@pytest.mark.parametrize(("address", "status"), REFUSED.items())
async def test_what_there_is_not_is_said_on_a_page(client: httpx.AsyncClient, address: str, status: int) -> None:
    answer = await client.get(address)
    assert answer.status_code == status
    assert Seen(answer.text).all("p")[0]["role"] == "alert"
    part = await client.get(address, headers={"HX-Request": "true"})
    assert (part.status_code, Seen(part.text).all("html")) == (status, [])


@pytest.mark.parametrize("address", [*VIEWS, "/page/runs/nobody"])
async def test_nothing_in_a_page_runs_but_the_pages_own_files(client: httpx.AsyncClient, address: str) -> None:
    answer = await client.get(address)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    found = Seen(answer.text)
    for tag, attributes in found.elements:
        assert not [name for name in attributes if name.startswith(("on", "style", "hx-on", "hx-vals"))], tag
    scripts = [each["src"] for each in found.all("script")]
    sheets = [each["href"] for each in found.all("link")]
    assert scripts
    for file in (*scripts, *sheets):
        assert file is not None
        assert file.startswith("/page/static/")
        assert (await client.get(file)).status_code == 200


async def test_all_that_views_link_to_is_there(client: httpx.AsyncClient) -> None:
    followed, left = set[str](), {"/"}
    while left:
        address = left.pop()
        followed.add(address)
        answer = await client.get(address, follow_redirects=True)
        assert answer.status_code == 200, address
        if answer.headers["content-type"].startswith("text/html"):
            links = {link for link in Seen(answer.text).links if link.startswith("/")}
            left |= {link for link in links if "sort=" not in link and "/diff/" not in link} - followed
    assert len(followed) > 18


async def test_charts_are_data_that_the_script_draws(client: httpx.AsyncClient) -> None:
    found = await seen(client, HOME)
    charts = [json.loads(each["data-chart"] or "") for each in found.all("div") if "data-chart" in each]
    kinds = [chart["kind"] for chart in charts]
    assert set(kinds) == {"lines", "bars", "cloud"}
    for chart in charts:
        for line in chart.get("series", ()):
            assert len(line["values"]) == len(chart["x"])
    (cloud,) = [chart for chart in charts if chart["kind"] == "cloud"]
    assert cloud["x"] == sorted(cloud["x"])
    assert len(cloud["x"]) == len(cloud["y"]) > 5


async def test_a_candidate_its_code_and_its_difference_from_another(client: httpx.AsyncClient, world: World) -> None:
    one = await one_candidate(world, outcome="ok")
    other = await one_candidate(world, outcome="build_error")
    shown = await seen(client, f"{HOME}/candidates/{one}")
    assert "write #" in shown.text
    code = (await client.get(f"{HOME}/candidates/{one}/code")).text
    assert code in shown.text
    assert "Content-Disposition" in (await client.get(f"{HOME}/candidates/{one}/code")).headers
    beside = await seen(client, f"{HOME}/candidates/{one}/diff/{other}")
    assert [row["class"] for row in beside.all("tr")] == ["changed"]
    same = await seen(client, f"{HOME}/candidates/{one}/diff/{one}")
    assert [row["class"] for row in same.all("tr")] == ["same"]


async def test_parts_are_sent_where_the_rest_is_there_already(client: httpx.AsyncClient) -> None:
    for address in ("/page/runs", HOME, f"{HOME}/candidates"):
        whole = Seen((await client.get(address)).text)
        part = Seen((await client.get(address, headers={"HX-Request": "true"})).text)
        assert (len(whole.all("main")), len(part.all("main"))) == (1, 0)
        assert part.elements


def test_files_of_others_are_as_they_were_published() -> None:
    folder = files("services.registry.page") / "static" / "vendor"
    sums = dict(line.split()[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    found = {each.name for each in folder.iterdir()} - {"README.md", "SHA256SUMS"}
    assert {name: sha256_of((folder / name).read_bytes()) for name in found} == sums
    assert all(name in (folder / "README.md").read_text() for name in found)


async def test_a_page_with_all_its_files_is_light(client: httpx.AsyncClient) -> None:
    answer = await client.get(HOME)
    found = Seen(answer.text)
    linked = [each["src"] or "" for each in found.all("script")] + [each["href"] or "" for each in found.all("link")]
    loaded = [answer.content, *[(await client.get(file)).content for file in linked]]
    assert sum(len(gzip.compress(content)) for content in loaded) < 500_000


async def test_a_run_that_has_ended_is_not_followed(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{HOME}/live")).status_code == 204
    assert not [each for each in (await seen(client, HOME)).all("div") if "data-live" in each]
