"""The sizing guide's figures are those of the estimates that it names."""

import re
from pathlib import Path

import pytest

from archloop import presets, protocols
from archloop_lab import estimate
from archloop_lab.study.plan import merged

GUIDE = (Path(__file__).parents[3] / "docs/how-to/sizing.md").read_text()
PAIRS = 1_700
PAPER = presets.load("paper")
PROTOCOL = protocols.load(PAPER.protocol)
WHOLE = estimate.of(PAPER, PROTOCOL, PAIRS)
LIMITED = estimate.of(
    presets.checked(
        merged(PAPER.model_dump(), {"selection": {"replay": 96}, "bootstrap": {"replay": False}}), source="here"
    ),
    PROTOCOL,
    PAIRS,
)
PER_CANDIDATE = WHOLE.evaluate_hours * 3600 / (PAPER.cycles * PAPER.candidates)


def said(label: str) -> list[float]:
    """The figures of the row that begins so."""
    row = re.search(rf"^\| {re.escape(label)} \|(.*)\|$", GUIDE, re.MULTILINE)
    assert row is not None, label
    return [float(cell.replace(",", "")) for cell in row[1].split("|") if re.fullmatch(r"\s*[\d.,]+\s*", cell)]


def test_the_parts_are_those_of_the_plan() -> None:
    assert said("an evaluator: seconds per candidate, half of them valid") == [round(PER_CANDIDATE)]
    assert said("candidates per GPU-hour of an evaluator") == [round(3600 / PER_CANDIDATE)]
    assert said("GPU-hours to evaluate") == [round(WHOLE.evaluate_hours)]
    assert said("GPU-hours to write") == [pytest.approx(WHOLE.generate_hours, abs=0.051)]
    assert said("GPU-hours to train, everything replayed as in the paper") == [round(WHOLE.train_hours)]
    assert said("GPU-hours to train, `replay: 96` and the bootstrap pairs once") == [round(LIMITED.train_hours)]


@pytest.mark.parametrize("evaluators", [1, 4, 16, 64])
def test_the_hours_follow_from_the_parts(evaluators: int) -> None:
    hours = [e.generate_hours + e.evaluate_hours / evaluators + e.train_hours for e in (WHOLE, LIMITED)]
    assert said(str(evaluators))[:2] == [round(each) for each in hours]


@pytest.mark.parametrize("evaluators", [1, 100, 10_000])
def test_the_load_follows_from_the_evaluators(evaluators: int) -> None:
    row = re.findall(rf"^\| {evaluators:,} \| ([\d.,]+) \| ([\d.,]+) \| ([\d.,]+) \|", GUIDE, re.MULTILINE)
    (candidates, messages, gigabytes) = (float(cell.replace(",", "")) for cell in row[-1])
    rate = evaluators / PER_CANDIDATE
    assert candidates == pytest.approx(rate, rel=0.06)
    assert messages == pytest.approx(4 * rate, rel=0.2)
    assert gigabytes == pytest.approx(rate * 14e3 * 86_400 / 1e9, rel=0.05)
