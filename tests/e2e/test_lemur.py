"""The how-to on LEMUR, with a LEMUR of eight networks."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from archloop import answers
from tests.support import refusal, shell_of, without_settings
from tests.unit.lemur import miniature

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to/lemur.md"

pytestmark = pytest.mark.timeout(300)


def test_every_command_of_the_how_to_does_what_it_says(tmp_path):
    miniature.stat(miniature.folder(tmp_path / "lemur"), "img-classification_svhn_acc_ga-1", "[]")
    env = without_settings() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    result = subprocess.run(shell_of(HOW_TO), cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    told = result.stdout.splitlines()
    assert told[:4] == [
        "added 8 architectures, 12 records; the corpus holds 8 architectures, 12 records",
        "1 left out: empty list",
        "added 0 architectures, 0 records; the corpus holds 8 architectures, 12 records",
        "1 left out: empty list",
    ]
    assert told[4] == "empty list  ab/nn/stat/train/img-classification_svhn_acc_ga-1/1.json"
    assert told[5] == "cifar-10 12 0.6"
    assert "1 left out: never trained to classify images" in result.stderr
    assert "1 left out: class Net has no learn" in result.stderr
    assert_pairs_are_answers(tmp_path / "pairs.jsonl")
    assert_came_back(tmp_path)
    assert not (tmp_path / "ran").exists()


def assert_pairs_are_answers(path):
    pairs = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(pairs) == 4
    assert all(answers.extract(pair["completion"]).problem == "" for pair in pairs)


def assert_came_back(folder):
    with closing(sqlite3.connect(folder / "runs/small/registry.sqlite")) as db:
        valid = db.execute("SELECT DISTINCT code ->> 'text' FROM candidate_rows WHERE outcome = 'ok'").fetchall()
        tested = db.execute("SELECT evaluation ->> 'test_accuracy' FROM evaluations WHERE outcome = 'ok'").fetchall()
    with closing(sqlite3.connect(folder / "back.sqlite")) as db:
        assert set(db.execute("SELECT code FROM architectures")) == set(valid) != set()
        assert {round(a, 9) for (a,) in db.execute("SELECT accuracy FROM records")} == {round(a, 9) for (a,) in tested}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["import", "nowhere", "--out", "c.sqlite"], "nowhere"),
        (["curate", "nowhere.sqlite"], "archloop lemur import"),
        (["pairs", "nowhere.sqlite", "p.jsonl"], "archloop lemur import"),
        (["export", "nowhere", "out"], "manifest.json"),
    ],
)
def test_what_is_not_there_is_one_line(arguments, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named in refusal("lemur", *arguments)
    assert list(tmp_path.iterdir()) == []
