"""One table of attacks and of places: wherever text from outside stands, it is text.

The places are all that a candidate, its LLM, another system or a service's refusal can fill. An attack is harmless if
a browser finds the same elements as with plain words, if no character of it hides or turns others, and if no cell of
the CSV is a formula.
"""

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest

from archloop import csv_lines
from archloop.contracts.base import Message, candidate_id
from archloop.contracts.messages import (
    AdapterRejected,
    AdapterTrained,
    CandidateEvaluatedFailed,
    CandidateGenerated,
    CandidateLost,
    RunFinished,
    RunRequested,
)
from archloop.contracts.values import AdapterRef, BlobRef, Evaluation, SourceCode
from archloop_lab import files
from tests.unit.page.pages import Seen, app_of, client_of
from tests.unit.registry.world import RUN, World, spec

ATTACKS = {
    "script": "<script>alert(1)</script>",
    "handler": '"><img src=x onerror=alert(1)>',
    "attribute": "' autofocus onfocus=alert(1) x='",
    "end of data": "</pre></td></textarea></title><svg onload=alert(1)>",
    "htmx": '<div hx-get="/runs" hx-trigger="load"></div>',
    "address": "javascript:alert(1)",
    "template": "{{ 7 * 7 }}{% for x in y %}${7*7}",
    "entity": "&lt;script&gt;&#60;b&#62;",
    "comment": "<!-- --><!--[if IE]><b>x</b><![endif]-->",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x1b[31mred",
    "bidi": "safe\u202etxt.exe\u2066\u2069",
    "hidden": "a\u200bb\u2060c\ufeffd\x00e\x08",
    "formula": '=HYPERLINK("http://evil.example";"click")',
    "command": "@SUM(1+1)*cmd|' /C calc'!A0",
    "minus": "-2+3+cmd|' /C calc'!A0",
    "tab": "\t=1+1",
    "lines": 'first\r\n=second,"third\n+fourth',
}  # fmt: skip
# Whole-width signs, which some spreadsheets take for the others, and signs behind spaces of any width.
WIDE = {"wide": "＝1+1", "wide minus": "－1+1", "behind spaces": "\u3000\xa0 =1+1"}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
AT = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = {"run_id": RUN, "cycle": 0, "index": 0}
CANDIDATE = candidate_id(RUN, 0, 0)


def generated(text: str, **more: str) -> Message:
    fields = {"code": SourceCode.inline(text), "prompt": text, "protocol": "digits"}
    return CandidateGenerated(**PLACE, **{**fields, **more})


def evaluated(text: str, **more: object) -> Message:
    code = SourceCode.inline(text)
    told = Evaluation(
        outcome="train_error", stage="train", detail=text[:200], protocol="digits", protocol_sha256="a" * 64,
        code_sha256=code.sha256, sandbox_level="process", **more,
    )  # fmt: skip
    return CandidateEvaluatedFailed(**PLACE, code=code, evaluation=told)


def tuned(text: str) -> list[Message]:
    manifest = BlobRef(key="adapters/r/manifest.json", sha256="b" * 64, bytes=1)
    adapter = AdapterRef(adapter="run-1-c0", manifest=manifest, base_model="tiny")
    refusal = AdapterRejected(run_id=RUN, adapter="run-1-c0", replica=text, reason=text)
    return [AdapterTrained(run_id=RUN, cycle=0, adapter=adapter, pair_count=1), refusal]


PLACES: dict[str, Callable[[str], list[Message]]] = {
    "code": lambda text: [generated(text)],
    "prompt": lambda text: [generated("x = 1", prompt=text)],
    "problem of the answer": lambda text: [generated("", problem=text)],
    "error": lambda text: [generated(text), evaluated(text)],
    "error at a line": lambda text: [generated(text), evaluated(f"{text} (line 1)")],
    "device": lambda text: [generated(text), evaluated(text, device_name=text, driver=text)],
    "why it has no flops": lambda text: [generated(text), evaluated(text, uncounted=text, stage_seconds={text: 1.0})],
    "refusal of a service": lambda text: [CandidateLost(**PLACE, step="evaluation", asked=3, reason=text)],
    "end of the run": lambda text: [generated(text), RunFinished(run_id=RUN, reason=text)],
    "refusal of an adapter": tuned,
}
VIEWS = (
    "/page/runs",
    f"/page/runs/{RUN}",
    f"/page/runs/{RUN}/candidates",
    f"/page/runs/{RUN}/candidates/{CANDIDATE}",
    f"/page/runs/{RUN}/candidates/{CANDIDATE}/diff/{CANDIDATE}",
    f"/page/runs/{RUN}/lineage",
    "/page/system",
)
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


async def pages_with(folder: Path, messages: list[Message]) -> dict[str, httpx.Response]:
    """Every view, and the CSV, of a run of which this is recorded."""
    world = World(folder)
    await world.store.record(RunRequested(run_id=RUN, spec=spec()), AT)
    await world.store.open_cycle(RUN, 0, None, AT)
    for message in messages:
        await world.store.record(message, AT)
    async with client_of(app_of(world)) as client:
        answers = {view: await client.get(view) for view in (*VIEWS, f"/page/runs/{RUN}/candidates.csv")}
    await world.store.close()
    return answers


def elements(answer: httpx.Response) -> list[tuple[str, list[str]]]:
    """The elements of a page, but for the words and lines that are made of code."""
    found = Seen(answer.text).elements
    return [(tag, sorted(attributes)) for tag, attributes in found if tag not in {"span", "tr", "td"}]


# All at once is quick; one that would hide another stands alone in `make thorough`.
TOGETHER = "\n".join(ATTACKS.values())
TEXTS = [
    pytest.param(TOGETHER, id="together"),
    *(pytest.param(t, id=n, marks=pytest.mark.thorough) for n, t in ATTACKS.items()),
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("place", PLACES)
async def test_what_stands_in_a_place_is_text(tmp_path: Path, place: str, text: str) -> None:
    harmless = await pages_with(tmp_path / "harmless", PLACES[place]("words"))
    answers = await pages_with(tmp_path / "hostile", PLACES[place](text))
    assert answers.keys() == harmless.keys() != set()
    for view, answer in answers.items():
        assert answer.status_code == harmless[view].status_code, view
        assert not _OBEYED.search(answer.text.replace("\r\n", "\n")), view
        if not view.endswith(".csv"):
            assert elements(answer) == elements(harmless[view]), view


async def sent_by_the_page(folder: Path, text: str) -> str:
    answers = await pages_with(folder, [generated(text, problem=text), evaluated(text)])
    sent = answers[f"/page/runs/{RUN}/candidates.csv"]
    assert "attachment" in sent.headers["content-disposition"]
    return sent.text


async def written_as_a_table(folder: Path, text: str) -> str:
    """As reports, studies, transfers and proxies are: names of runs, variants, adapters and protocols are people's."""
    folder.mkdir()
    files.write_csv(folder / "table.csv", [{"name": text, text: 1, "accuracy": -0.5, "flops": None, "valid": True}])
    return (folder / "table.csv").read_bytes().decode()


CSVS = {"page": sent_by_the_page, "table": written_as_a_table}


@pytest.mark.parametrize("made", CSVS)
@pytest.mark.parametrize("attack", [*ATTACKS, *WIDE])
async def test_a_spreadsheet_computes_nothing_of_it(tmp_path: Path, attack: str, made: str) -> None:
    written = await CSVS[made](tmp_path / "csv", (ATTACKS | WIDE)[attack])
    rows = list(csv.reader(io.StringIO(written, newline="")))
    assert [len(row) for row in rows] == [len(rows[0])] * 2
    texts = [cell for row in rows for cell in row if cell != "-0.5"]
    assert [cell for cell in texts if cell.startswith(FORMULA) or _OBEYED.search(cell)] == []


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, ""), (True, "1"), (-3, "-3"), (-0.25, "-0.25"), (float("nan"), "nan"), (np.int64(-7), "-7"),
        ("-0.25", "'-0.25"), (" =1", "' =1"), ("a,b", '"a,b"'), ("a=b", "a=b"), ("", ""),
    ],
    ids=repr,
)  # fmt: skip
def test_a_number_is_a_number_and_a_text_is_a_text(cell: object, shown: str) -> None:
    assert csv_lines.line(["x", cell]) == f"x,{shown}\r\n"


async def test_hostile_text_is_there_to_be_read(tmp_path: Path) -> None:
    """The table above would pass where nothing is shown at all."""
    told = await pages_with(tmp_path, [generated("<b>code</b>", prompt="<b>prompt</b>"), evaluated("<b>code</b>")])
    shown = Seen(told[f"/page/runs/{RUN}/candidates/{CANDIDATE}"].text).text
    assert shown.count("<b>code</b>") == 2
    assert "<b>prompt</b>" in shown
