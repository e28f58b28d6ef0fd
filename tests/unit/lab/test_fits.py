"""The table of what fits, on the page for one workstation."""

import re
from pathlib import Path

import pytest

from archloop_cli.docs import fits

PAGE = (Path(__file__).parents[3] / fits.PAGE).read_text()


def test_the_page_holds_the_table_that_the_placement_makes() -> None:
    assert fits.BEGIN + fits.table() + fits.END in PAGE


@pytest.mark.parametrize("size", fits.SIZES)
def test_what_fits_on_less_fits_on_more(size: int) -> None:
    pairs = [(model, quantization) for model in fits._MODELS for quantization in ("none", "nf4")]
    fitting = [pair for pair in pairs if not fits.cell(*pair, size).startswith("no")]
    assert fitting
    assert [pair for pair in fitting if not re.match(r"\d slot", fits.cell(*pair, 2 * size))] == []


@pytest.mark.parametrize(
    ("model", "quantization", "size", "words"),
    [
        ("a-1b", "none", 8, "no: 8 GB to train"),
        ("a-70b", "nf4", 80, "no: 182 GB to serve"),
        ("a-8b", "nf4", 24, "4 slots, each alone"),
        ("a-3b", "nf4", 16, "1 slot, training alone"),
        ("a-33b", "none", 141, "1 slot, training alone"),
        ("a-7b", "none", 48, "2 slots, training alone"),
    ],
)
def test_other_models_and_sizes(model: str, quantization: str, size: float, words: str) -> None:
    assert fits.cell(model, quantization, size) == words
