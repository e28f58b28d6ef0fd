import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from archloop_cli.report import showcase, write

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
def page(tmp_path):
    """Writes a report and reads it."""

    def make(summary, candidates=(), **options) -> Page:
        out = tmp_path / "report.html"
        write(summary, list(candidates), out, **options)
        return Page(out.read_text())

    return make


def test_a_whole_run_gives_every_section_with_every_figure(run, manifest, page):
    found = page(*run(), manifest=manifest, control=run(1, frozen=True)[0])
    assert not found.open
    assert (found.count("svg"), found.count("details")) == (10, 8)
    for words in (
        "valid rate",
        "frozen control ends at",
        "6 cycles × 64 candidates",
        "namespaces",
        "tiny cdcdcdcdcdcd",
    ):
        assert words in found.text


def test_the_page_loads_nothing_and_runs_nothing(run, manifest, hostile, page):
    summary, candidates = run()
    found = page(summary, candidates, manifest=manifest, codes=dict.fromkeys(showcase(candidates), hostile))
    policy = next(attrs["content"] for tag, attrs in found.elements if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert not {"script", "img", "iframe", "link", "object", "form", "a"} & {tag for tag, _ in found.elements}
    for _, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on")]
        assert not [v for n, v in attributes.items() if n.endswith(("href", "src")) and not v.startswith("#")]


def test_hostile_code_is_shown_as_the_text_that_it_is(run, hostile, page):
    summary, candidates = run()
    found = page(summary, candidates, codes={showcase(candidates)[0]: hostile})
    assert hostile.strip() in "".join(found.texts)
    assert found.count("script") == 0


@pytest.mark.parametrize("field", ["run_id", "reason"])
def test_hostile_words_anywhere_else_are_escaped_too(run, page, field):
    summary, candidates = run()
    summary[field] = summary["spec"]["preset"] = '"><script>alert(1)</script>'
    candidates[0]["adapter"] = candidates[0]["judgement"] = None
    summary["cycles"][0]["adapter"] = "<script>x</script>"
    assert page(summary, candidates).count("script") == 0


def test_families_and_outcomes_of_unknown_name_do_not_reach_the_figures(run, page):
    summary, candidates = run()
    summary["cycles"][0]["families"] = {"<script>": 3}
    summary["cycles"][0]["outcomes"] = {"<b>": 3}
    assert page(summary, candidates).count("script") == 0


def test_the_headline_compares_first_and_last_cycle(run, page):
    summary, candidates = run()
    summary["cycles"][0]["valid_rate"], summary["cycles"][-1]["valid_rate"] = 0.41, 0.94
    text = page(summary, candidates).text
    assert "41.0 % → 94.0 % +53.0 points" in text.replace(" ", " ")


def test_without_a_control_the_page_says_what_cannot_be_concluded(run, page):
    assert "nothing here tells learning from drift" in page(*run()).text
    assert "changes between cycles are chance" in page(*run(1, frozen=True)).text


def test_the_best_are_the_most_accurate_admitted_ones_with_their_lineage(run, page):
    summary, candidates = run()
    chosen = showcase(candidates)
    accuracy = {c["candidate_id"]: c["evaluation"]["accuracy"] for c in candidates if c["admitted"]}
    assert [accuracy[c] for c in chosen] == sorted(accuracy.values(), reverse=True)[:8]
    last = next(c for c in candidates if c["candidate_id"] == chosen[0])
    text = page(summary, candidates).text
    assert (
        f"Written by {last['adapter']} , tuned on from" in text
        or f"Written by {last['adapter']}, tuned on from" in text
    )


@pytest.mark.parametrize("summary", [{}, {"run_id": "r", "cycles": []}, {"cycles": None, "spec": None}])
def test_a_run_without_cycles_has_a_page_that_says_so(summary, page):
    assert "No cycle of this run has a candidate yet" in page(summary).text


def test_cycles_with_missing_fields_are_shown_as_far_as_they_go(page):
    found = page({"cycles": [{"cycle": 0, "generated": 4}, {"cycle": 1, "generated": 2, "valid_rate": 0.5}]})
    assert "–" in found.text
    assert "50.0 %" in found.text


def test_a_cycle_in_which_nothing_was_valid_is_drawn(run, page):
    summary, candidates = run()
    empty = {key: None for key in summary["cycles"][0] if "accuracy" in key or "share" in key}
    summary["cycles"][0] |= empty | {"families": {}, "valid": 0, "valid_rate": 0.0, "family_entropy_bits": None}
    kept = [c for c in candidates if c["cycle"] or not c["judgement"]]
    assert page(summary, kept).count("svg") == 10


def test_one_cycle_alone_is_drawn(run, page):
    summary, candidates = run()
    summary["cycles"] = summary["cycles"][:1]
    assert page(summary, [c for c in candidates if c["cycle"] == 0]).count("svg") == 10


def test_figures_are_well_formed_and_follow_the_colours_of_the_page(run, tmp_path):
    write(*run(), tmp_path / "r.html")
    figures = re.findall(r"<svg.*?</svg>", (tmp_path / "r.html").read_text(), re.DOTALL)
    for figure in figures:
        ET.fromstring(figure)
        assert "var(--ink)" in figure
        assert not re.findall(r"#[0-9a-f]{6}\b", figure)


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    write(*run(), tmp_path / "a.html")
    write(*run(), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_code_with_lone_surrogates_is_written(run, page):
    summary, candidates = run()
    assert "\\udcff" in page(summary, candidates, codes={showcase(candidates)[0]: "x = '\udcff'"}).text
