"""A small run from its start to its end, as somebody sees it who has nothing but a browser."""

import asyncio
import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from archloop.bus.port import Parked
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateSubmitted
from archloop.contracts.values import SourceCode
from tests.browser.conftest import Running
from tests.browser.looking import Look, flaws, keep, window

RUN = "seen"
HOME = f"/page/runs/{RUN}"
DESK = Look(1280, "light")
LOOKS = [
    DESK,
    Look(390, "dark"),
    *(pytest.param(look, marks=pytest.mark.thorough) for look in (Look(1280, "dark"), Look(390, "light"))),
]
VIEWS = {
    "runs": "/page/runs",
    "run": HOME,
    "candidates": f"{HOME}/candidates",
    "lineage": f"{HOME}/lineage",
    "parked": "/page/parked",
    "system": "/page/system",
    "start": "/page/start",
    "steer": f"{HOME}/steer",
}
_END_MS = 500_000

pytestmark = pytest.mark.timeout(600)


def filled_in(page: Page, run: str, cycles: int = 2) -> None:
    """Fill in the form for a small run."""
    page.goto("/page/start")
    for name, value in (("name", run), ("cycles", str(cycles)), ("candidates", "6"), ("seed", "5")):
        page.fill(f"input[name={name}]", value)
    page.select_option("select[name=protocol]", "digits")
    page.get_by_text("Selection").click()
    page.fill("input[name='selection.threshold']", "0.15")
    page.fill("input[name='selection.fallback_threshold']", "0.12")
    page.locator("summary", has_text="training").click()
    page.fill("input[name='training.minimum_steps']", "20")


@pytest.fixture(scope="module")
def ended(browser: Browser, running: Running) -> list[str]:
    """A run that was asked for with the form, and watched to its end: what its progress was said to be, in order."""
    with window(browser, running.url, DESK) as page:
        filled_in(page, RUN)
        page.get_by_role("button", name="What it will come to").click()
        expect(page.get_by_role("status")).to_contain_text("At most 12 candidates and 1 training.")
        assert page.input_value("input[name='selection.threshold']") == "0.15"
        page.get_by_role("button", name="Start").click()
        expect(page).to_have_url(re.compile(f"{HOME}$"))
        return watched(page)


def watched(page: Page) -> list[str]:
    """Look on until the run is over, without ever loading the page again."""
    page.evaluate("window.neverLoadedAgain = true")
    said: list[str] = []
    state = page.locator("#run .state").first
    while not said or "finished" not in said[-1]:
        page.wait_for_function(
            "(before) => document.querySelector('#run dl')?.innerText !== before", arg=said[-1] if said else "",
            timeout=_END_MS,
        )  # fmt: skip
        said.append(page.locator("#run dl").first.inner_text())
    expect(state).to_have_text("finished")
    assert page.evaluate("window.neverLoadedAgain")
    return said


def test_a_run_is_watched_live_to_its_end(ended: list[str]) -> None:
    counts = [int(found[1]) for text in ended if (found := re.search(r"(\d+)/12", text))]
    assert counts == sorted(counts)
    assert counts[-1] == 12
    assert len(set(counts)) >= 3


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_serves_everybody(ended: list[str], browser: Browser, running: Running, view: str, look: Look) -> None:
    assert ended
    with window(browser, running.url, look) as page:
        page.goto(VIEWS[view])
        if view == "run":
            expect(page.locator(".uplot").first).to_be_visible()
        keep(page, view, look)
        if (view, look) == ("run", DESK):
            keep(page, "page", look, whole=False)
        assert flaws(page) == []


def best(page: Page) -> None:
    page.goto(f"{HOME}/candidates")
    page.get_by_role("link", name="accuracy", exact=True).click()
    expect(page.get_by_role("link", name="accuracy ↓")).to_be_visible()
    page.locator("#candidates tbody a").first.click()


def like_another(page: Page) -> None:
    """Open the candidate that is nearest to one before it: the best may be the first of all, and like none."""
    page.goto(f"{HOME}/candidates?sort=-similarity")
    page.locator("#candidates tbody a").first.click()


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_best_candidate_its_code_and_what_it_is_like(
    ended: list[str], browser: Browser, running: Running, look: Look
) -> None:
    assert ended
    with window(browser, running.url, look) as page:
        best(page)
        expect(page.get_by_role("region", name="code of the candidate")).to_contain_text("class Net")
        expect(page.locator(".k-k").first).to_be_visible()
        keep(page, "candidate", look)
        assert flaws(page) == []
        like_another(page)
        page.get_by_role("link", name="differences").click()
        expect(page.get_by_role("region", name="differences")).to_be_visible()
        keep(page, "diff", look)
        assert flaws(page) == []


def test_filters_put_what_they_find_in_place(ended: list[str], browser: Browser, running: Running) -> None:
    assert ended
    with window(browser, running.url, DESK) as page:
        page.goto(f"{HOME}/candidates")
        page.evaluate("window.neverLoadedAgain = true")
        page.select_option("select[name=outcome]", "ok")
        expect(page).to_have_url(re.compile("outcome=ok"))
        outcomes = page.locator("#candidates tbody .outcome")
        expect(page.locator("#candidates tbody .outcome.bad")).to_have_count(0)
        assert set(outcomes.all_inner_texts()) == {"ok"}
        assert page.evaluate("window.neverLoadedAgain")
        page.go_back()
        expect(page.locator("#candidates")).to_contain_text("of 12")


def test_the_keyboard_is_enough(ended: list[str], browser: Browser, running: Running) -> None:
    assert ended
    with window(browser, running.url, DESK) as page:
        page.goto("/page/runs")
        page.keyboard.press("Tab")
        expect(page.get_by_text("To the content")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("region", name="runs")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("checkbox").first).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=RUN)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(HOME))


def test_a_run_is_paused_changed_given_a_network_and_cancelled_mid_cycle(
    ended: list[str], browser: Browser, running: Running
) -> None:
    assert ended
    with window(browser, running.url, DESK) as page:
        filled_in(page, "steered")
        page.get_by_role("button", name="Start").click()
        page.get_by_role("link", name="Steer").click()
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".state")).to_have_text("paused")
        page.fill("input[name='generation.temperature']", "0.5")
        page.get_by_label("residual").check()
        page.get_by_role("button", name="Change").click()
        page.fill("textarea[name=code]", "class Net: ...")
        page.get_by_role("button", name="Submit").click()
        acts = page.get_by_role("region", name="what was done").locator("tbody tr")
        expect(acts).to_have_count(3)
        keep(page, "steering", DESK)
        assert flaws(page) == []
        page.get_by_role("button", name="Resume").click()
        expect(page.locator(".state")).to_have_text("running")
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel the run").click()
        expect(acts).to_have_count(5)
        page.get_by_role("link", name="Overview").click()
        expect(page.locator(".state").first).to_have_text("cancelled")


def test_a_run_is_reverted_to_an_earlier_version_of_its_llm(
    ended: list[str], browser: Browser, running: Running
) -> None:
    assert ended
    with window(browser, running.url, DESK) as page:
        filled_in(page, "back", cycles=3)
        page.get_by_role("button", name="Start").click()
        lineage = "/page/runs/back/lineage"
        while page.goto(lineage) and not page.get_by_role("button", name="Revert to back-c0").is_visible():
            page.wait_for_timeout(500)
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Revert to tiny").click()
        expect(page.get_by_text("page reverted to tiny: the next cycle takes it up.")).to_be_visible()
        keep(page, "reverting", DESK)
        assert flaws(page) == []
        page.get_by_role("link", name="Overview").click()
        expect(page.locator("#run .state").first).to_have_text("finished", timeout=_END_MS)
        page.goto(lineage)
        expect(page.get_by_text("page reverted to tiny: cycle 2 took it up.")).to_be_visible()
        expect(page.locator(".versions li").first).to_contain_text(re.compile("cycle 0.*cycle 2", re.DOTALL))


def test_the_best_candidate_is_evaluated_again_with_other_seeds(
    ended: list[str], browser: Browser, running: Running
) -> None:
    assert ended
    with window(browser, running.url, DESK) as page:
        best(page)
        page.get_by_label("other training seeds").fill("2")
        page.get_by_role("button", name="Evaluate again").click()
        row = page.get_by_role("region", name="scores").locator("tbody tr")
        expect(row).to_contain_text("digits")
        address = page.url
        while page.goto(address) and "awaited" in row.inner_text():
            page.wait_for_timeout(500)
        _, own, _, mean, deviation = row.locator("td").all_inner_texts()
        assert all(re.fullmatch(r"0\.\d{3}", each) for each in (own, mean, deviation))
        keep(page, "seeds", DESK)
        assert flaws(page) == []


def test_a_parked_message_is_looked_at_handed_over_again_or_dropped(
    ended: list[str], browser: Browser, running: Running
) -> None:
    assert ended
    message = CandidateSubmitted(
        run_id="others", submission="mine", code=SourceCode.inline("class Net: ..."), protocol="digits"
    )
    bodies = {"sound": Envelope.of(message, source="test").encode(), "broken": b"?"}
    for name, body in bodies.items():
        parked = Parked(id=name, queue="evaluator", reason="no", stack="", first_failed=datetime.now(UTC), body=body)
        asyncio.run_coroutine_threadsafe(running.loop.bus.park(parked), running.events).result(60)
    with window(browser, running.url, DESK) as page:
        page.goto("/page/parked/sound")
        expect(page.get_by_text("class Net")).to_be_visible()
        keep(page, "parked-one", DESK)
        assert flaws(page) == []
        page.get_by_role("button", name="Hand it over again").click()
        page.goto("/page/parked/broken")
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Drop it").click()
        expect(page.locator("main")).not_to_contain_text("look at it")
