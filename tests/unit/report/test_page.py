import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from archloop.contracts.values import Outcome
from archloop_lab.remembered import Line
from archloop_lab.report import plots, versions, view
from archloop_lab.report.page import write
from archloop_lab.report.primitives import Run
from archloop_lab.summary import AnalysedCycle

pytestmark = pytest.mark.slow

VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """The page as a browser would see it: elements with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@pytest.fixture
def page(read, tmp_path):
    """Writes the report of a run in its JSON form, and reads the page."""

    def make(summary, candidates=(), **options) -> Page:
        out = tmp_path / "report.html"
        write(*read(summary, candidates), out, **options)
        return Page(out.read_text())

    return make


@pytest.fixture
def tables(page, monkeypatch):
    """The page without its figures, which take a second to draw."""
    monkeypatch.setattr("archloop_lab.report.page.all_plots", lambda run: {section: [] for section in plots._PLOTS})
    return page


@pytest.fixture(scope="module")
def standard(run, read, manifest, hostile, tmp_path_factory) -> str:
    """A whole run beside its control, some of its words and all of its code hostile."""
    content, found = run()
    content["cycles"][0] |= {"valid_rate": 0.41, "outcomes": {"<b>": 3}}
    content["cycles"][-1]["valid_rate"] = 0.94
    content["reason"] = content["cycles"][2]["adapter"] = hostile
    summary, candidates = read(content, found)
    summary = summary.model_copy(update={"spec": summary.spec.model_copy(update={"preset": hostile})})
    out = tmp_path_factory.mktemp("standard") / "report.html"
    codes = dict.fromkeys(view.showcase(candidates), hostile)
    write(summary, candidates, out, codes=codes, manifest=manifest, control=view.Control(*read(*run(1, frozen=True))))
    return out.read_text()


def test_every_outcome_is_drawn_in_a_colour_of_its_own(run, read):
    summary, candidates = run(1)
    summary["cycles"][0]["outcomes"] = dict.fromkeys(Outcome, 2)
    drawn = plots.outcomes(Run(*read(summary, candidates)))
    assert all(f"--c{number})" in drawn for number in range(len(Outcome)))
    assert "suspect" in drawn


def test_a_whole_run_gives_every_section_with_every_figure(standard):
    found = Page(standard)
    assert not found.open
    assert (found.count("svg"), found.count("details")) == (18, 8)
    for words in (
        "valid rate",
        "frozen control ends at",
        "6 cycles × 64 candidates",
        "namespaces",
        "tiny cdcdcdcdcdcd",
    ):
        assert words in found.text


def test_the_page_loads_nothing_and_runs_nothing(standard):
    found = Page(standard)
    policy = next(attrs["content"] for tag, attrs in found.elements if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert not {"script", "img", "iframe", "link", "object", "form", "a"} & {tag for tag, _ in found.elements}
    for _, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert not [v for n, v in attributes.items() if n.endswith(("href", "src")) and not v.startswith("#")]


def test_hostile_code_is_shown_as_the_text_that_it_is(standard, hostile):
    assert "".join(Page(standard).texts).count(hostile.strip()) >= 8


def test_the_headline_compares_first_and_last_cycle(standard):
    assert "41.0 % → 94.0 % +53.0 points" in Page(standard).text


def test_figures_are_well_formed_and_follow_the_colours_of_the_page(standard):
    figures = re.findall(r"<svg.*?</svg>", standard, re.DOTALL)
    assert figures
    for figure in figures:
        ET.fromstring(figure)
        assert "var(--muted)" in figure
        assert not re.findall(r"#[0-9a-f]{6}\b", figure)


def test_a_cycle_that_still_runs_is_in_no_headline(run, read):
    summary, _ = run()
    summary["cycles"][-2]["valid_rate"], summary["cycles"][-1]["closed"] = 0.77, False
    assert view.tiles(read(summary)[0], None)[0].last == "77.0 %"


def test_a_cycle_that_still_runs_is_in_the_table_and_in_no_figure(run, read, page):
    summary, candidates = run(cycles=3, size=8)
    summary["cycles"][-1]["closed"] = False
    assert Run(*read(summary, candidates)).numbers == [0, 1]
    assert str(summary["cycles"][-1]["seconds"]["total"]) in page(summary, candidates).text


def test_without_a_control_the_page_says_what_cannot_be_concluded(run, tables):
    summary, _ = run(cycles=2, size=8)
    assert "Nothing here tells learning from drift" in tables(summary).text
    summary["spec"]["frozen"] = True
    assert "changes between cycles are chance" in tables(summary).text


def test_the_best_are_the_most_accurate_admitted_ones_with_their_lineage(run, read):
    summary, candidates = run()
    accuracy = {c["candidate_id"]: c["evaluation"]["accuracy"] for c in candidates if c["admitted"]}
    chosen = view.best(*read(summary, candidates), {})
    assert [float(a.accuracy) for a in chosen] == [round(a, 3) for a in sorted(accuracy.values(), reverse=True)[:8]]
    last = next(a for a in chosen if a.where.startswith("cycle 5"))
    assert (last.adapter, last.parent) == ("demo-s0-c4", "demo-s0-c3")


def test_lineage_tells_the_pairs_that_each_version_was_tuned_on(run, read):
    summary, _ = run()
    first, second, *_ = versions.lineage(read(summary)[0])
    assert (first["adapter"], first["pairs"]) == ("base model", "–")
    assert (second["adapter"], second["pairs"]) == ("demo-s0-c0", str(summary["cycles"][0]["pairs"]))


LEARNT = [
    ("sft", "tuned on pairs", "LoRA after every cycle"),
    ("dpo", "tuned on preferences", "by preferences (DPO)"),
    ("negatives", "tuned on examples", "with rejected answers as bad ones"),
]


@pytest.mark.parametrize(("method", "column", "fact"), LEARNT)
def test_what_was_rejected_is_told_where_it_was_learnt_from(run, tables, method, column, fact):
    summary, candidates = run(cycles=3, size=8)
    summary["spec"] |= {"training": {"method": method}, "generation": {"answers": 4}}
    if method != "sft":
        summary["cycles"][0] |= {"chosen": 1234, "rejected": 5678}
    shown = tables(summary, candidates).text
    assert column in shown
    assert fact in shown
    assert ["1 234" in shown, "5 678" in shown, "chosen rejected" in shown] == [method != "sft"] * 3


def test_lineage_tells_how_long_each_version_was_trained(run, read, page, trainings):
    summary, candidates = run(cycles=3)
    first, second, _ = versions.lineage(read(summary)[0], trainings(summary))
    assert (first["tokens"], first["loss"]) == ("–", "–")
    assert (second["steps"], second["tokens"], second["speed"]) == ("160", "175\u2009000", "25\u2009000")
    assert second["loss"] == "1.60 → 0.33"
    shown = page(summary, candidates, trainings=trainings(summary)).text
    assert "175 000" in shown
    assert "tokens trained on, all trainings" in shown


def test_a_training_whose_tokens_are_unknown_is_drawn_over_steps(run, page, trainings):
    summary, candidates = run(cycles=3)
    known = trainings(summary)
    del known[1]
    shown = page(summary, candidates, trainings=known).text
    assert "optimisation steps, all trainings" in shown
    assert "tokens trained on, all" not in shown


def test_many_trainings_are_not_all_labelled(run, page, trainings):
    summary, candidates = run(cycles=22)
    shown = page(summary, candidates, trainings=trainings(summary)).text
    assert "after 3" in shown
    assert "after 5" not in shown


@pytest.mark.parametrize("generated", [[], [0], [0, 0]])
def test_a_run_without_candidates_has_a_page_that_says_so(generated, run, page):
    summary, _ = run(cycles=2, size=8)
    summary["cycles"] = [row | {"generated": n} for row, n in zip(summary["cycles"], generated, strict=False)]
    assert "No cycle of this run has a candidate yet" in page(summary).text


def test_a_run_of_before_some_numbers_were_told_is_shown_as_far_as_it_goes(run, page):
    summary, candidates = run(cycles=2, size=8)
    added = {name for name, field in AnalysedCycle.model_fields.items() if not field.is_required()}
    summary["cycles"] = [{key: value for key, value in row.items() if key not in added} for row in summary["cycles"]]
    found = page(summary, candidates)
    assert "–" in found.text
    assert f"{100 * summary['cycles'][1]['valid_rate']:.1f} %" in found.text


def test_a_cycle_in_which_nothing_was_valid_is_drawn(run, page):
    summary, candidates = run()
    empty = {key: None for key in summary["cycles"][0] if "accuracy" in key or "share" in key}
    summary["cycles"][0] |= empty | {"families": {}, "valid": 0, "valid_rate": 0.0, "family_entropy_bits": None}
    kept = [c for c in candidates if c["cycle"] or not c["judgement"]]
    assert page(summary, kept).count("svg") == 14


def test_one_cycle_alone_is_drawn_but_what_the_untuned_llm_memorized(run, page):
    summary, candidates = run()
    summary["cycles"] = summary["cycles"][:1]
    assert page(summary, [c for c in candidates if c["cycle"] == 0]).count("svg") == 13


def test_the_same_run_gives_the_same_bytes(run, read, tmp_path):
    write(*read(*run(cycles=2, size=8)), tmp_path / "a.html")
    write(*read(*run(cycles=2, size=8)), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_code_with_lone_surrogates_is_written(run, read, tables):
    summary, candidates = run(cycles=2, size=16)
    codes = {view.showcase(read(summary, candidates)[1])[0]: "x = '\udcff'"}
    assert "\\xff" in tables(summary, candidates, codes=codes).text


def test_what_prompts_were_told_is_a_table_in_which_nothing_is_markup(tables, run):
    line = Line(1, 'failed 2 times, build_error in build: "<script>alert(1)</script>"', 5, 6)
    told = tables(*run(), memory=[line])
    assert "What was it told of earlier cycles?" in told.text
    assert line.text in told.text
    assert "5 of 6" in told.text
    assert not told.count("script")
    assert "What was it told" not in tables(*run()).text


def test_collapse_is_told_where_a_run_is_watched(run, tables):
    summary, candidates = run(cycles=3, size=8)
    assert "from then on" not in tables(summary, candidates).text
    summary["spec"] |= {
        "generation": {"mode": "mixed", "temperature": 0.8},
        "collapse": {"below": 0.4, "temperature": 0.15, "replay": 4, "parents": "archive"},
    }
    for cycle, found in zip(summary["cycles"], [(0.25, 1), (0.125, 2), (None, 2)], strict=True):
        cycle["collapse"] = dict(zip(("novelty", "step"), found, strict=True))
    shown = tables(summary, candidates).text
    assert "0 25.0 % 1 temperature 0.95, 100 replayed, parents: archive" in shown
    assert "1 12.5 % 2 temperature 1.1, 104 replayed, parents: archive" in shown
    assert "2 – 2 temperature 1.1" in shown
    assert "less than 40.0 % of the valid are novel" in shown
