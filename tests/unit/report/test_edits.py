"""The table of edits, and the parents of candidates in the files beside the page."""

import csv

import pytest

from archloop_lab.report import edits
from archloop_lab.report.page import write

SECTIONS = ("control", "invented", "spent", "worked")
EDITS = {"asked": 8, "applied": 6, "valid": 4, "better": 3, "mean_gain": -0.0125, "best_gain": 0.25, "depth": 2}


@pytest.fixture
def page(read, tmp_path, monkeypatch):
    """Writes the report of a run without its figures, and reads the page."""
    monkeypatch.setattr("archloop_lab.report.page.all_plots", lambda _: dict.fromkeys(SECTIONS, ()))

    def make(summary, candidates=()) -> str:
        write(*read(summary, candidates), tmp_path / "report.html")
        return (tmp_path / "report.html").read_text()

    return make


@pytest.fixture
def edited(run):
    summary, candidates = run(cycles=3, size=8)
    summary["cycles"][1] |= {"edits": EDITS | {"mean_gain_low": -0.1, "mean_gain_high": 0.075}, "cells": 12}
    summary["cycles"][2] |= {"edits": {"asked": 1, "applied": 0, "valid": 0, "better": 0}, "qd_score": 3.456}
    return summary, candidates


def test_each_cycle_tells_what_its_edits_gained(edited, read):
    first, second, third = edits.rows(read(*edited)[0].begun)
    assert (first["asked"], first["gain"], first["interval"]) == ("0", "–", "")
    assert (second["asked"], second["applied"], second["better"], second["depth"]) == ("8", "6", "3", "2")
    assert (second["gain"], second["interval"]) == ("\u22120.013", "\u22120.100 to +0.075")
    assert (second["best"], second["cells"], third["score"]) == ("+0.250", "12", "3.46")


def test_the_page_shows_the_table_only_where_something_was_edited(edited, run, page):
    assert "+0.250" in page(*edited)
    assert "longest<br>lineage" not in page(*run(cycles=3, size=8))


def test_the_files_and_the_best_name_the_parent(run, page, tmp_path):
    summary, candidates = run(cycles=3, size=8)
    child = max((c for c in candidates if c["admitted"]), key=lambda c: c["evaluation"]["accuracy"])
    child["parent"] = "c-0-3"
    shown = page(summary, candidates)
    assert "An edit of cycle 0, no. 3." in shown
    for name, others in (("candidates", 23), ("architectures", sum(c["admitted"] for c in candidates) - 1)):
        with (tmp_path / f"{name}.csv").open() as file:
            parents = [row["parent"] for row in csv.DictReader(file)]
        assert sorted(parents) == [*[""] * others, "c-0-3"]
