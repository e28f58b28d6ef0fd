"""LEMUR into the corpus, from each of its forms, and what is left out on the way."""

import json
import sqlite3
from contextlib import closing

import pytest

from archloop.errors import IntegrityError, InvalidInput, NotFound
from archloop_lab.lemur import sources
from archloop_lab.lemur.corpus import Corpus
from archloop_lab.lemur.importing import into
from tests.unit.lemur import miniature

FORMS = ("folder", "wheel", "database")


@pytest.fixture
def lemur(tmp_path):
    return miniature.folder(tmp_path / "lemur")


def source(form, lemur):
    match form:
        case "wheel":
            return miniature.wheel(lemur, lemur.parent / "lemur.whl")
        case "database":
            return miniature.database(lemur.parent / "lemur.db")
    return lemur


def imported(path, corpus):
    shown = []
    with closing(Corpus(corpus)) as opened:
        result = into(opened, sources.opened(path), lambda *step: shown.append(step))
    assert shown[-1][1] == shown[-1][2]
    return result


def rows(corpus, sql):
    with closing(sqlite3.connect(corpus)) as db:
        return db.execute(sql).fetchall()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_corpus_and_a_second_time_nothing(form, lemur, tmp_path):
    corpus = tmp_path / "corpus.sqlite"
    result = imported(source(form, lemur), corpus)
    assert (result.added, result.held, result.problems) == ((8, 12), (8, 12), [])
    assert dict(rows(corpus, "SELECT name, code FROM architectures")) == miniature.CODES
    best = rows(corpus, "SELECT nn, max(accuracy), dataset, epoch, uid FROM records GROUP BY nn ORDER BY nn")
    assert best == [(nn, a, "cifar-10", 1, f"u{a}") for nn, a in sorted(miniature.ACCURACIES.items())]
    ((prm,),) = rows(corpus, "SELECT prm FROM records WHERE nn = 'ga-1' AND accuracy = 0.6")
    assert json.loads(prm) == {"batch": 64, "dropout": 0.2, "lr": 0.01, "momentum": 0.9, "transform": "norm_32"}
    again = imported(source(form, lemur) if form != "database" else tmp_path / "lemur.db", corpus)
    assert (again.added, again.held) == ((0, 0), (8, 12))


def test_the_forms_agree_on_what_is_the_same_trial(lemur, tmp_path):
    corpus = tmp_path / "corpus.sqlite"
    imported(lemur, corpus)
    assert imported(source("database", lemur), corpus).added == (0, 0)


@pytest.mark.parametrize("accuracy", [93.7, 1.0000001, 2, 100, 1e6])
def test_percents_and_whatever_is_no_share_are_told_and_never_ranked(accuracy, lemur, tmp_path):
    name = "ab/nn/stat/train/img-classification_cifar-10_acc_ga-1/1.json"
    miniature.write(lemur, name, json.dumps([miniature.trial(0.25), miniature.trial(accuracy)]).encode())
    result = imported(source("folder", lemur), tmp_path / "corpus.sqlite")
    assert result.kinds == {"accuracy above 1": 1}
    assert str(accuracy) in result.problems[0].detail


@pytest.mark.parametrize("accuracy", [0, 0.0, 1, 1.0, 1e-9])
def test_shares_are_taken_at_either_end(accuracy, lemur, tmp_path):
    name = "ab/nn/stat/train/img-classification_cifar-10_acc_ga-1/1.json"
    miniature.write(lemur, name, json.dumps([miniature.trial(accuracy)]).encode())
    assert imported(source("folder", lemur), tmp_path / "corpus.sqlite").kinds == {}


def test_another_metric_may_be_above_1(lemur, tmp_path):
    name = "ab/nn/stat/train/img-denoising_bsd_psnr_ga-1/1.json"
    miniature.write(lemur, name, json.dumps([miniature.trial(31.5)]).encode())
    assert imported(source("folder", lemur), tmp_path / "corpus.sqlite").kinds == {}


def test_a_mark_before_records_is_none_of_them(lemur, tmp_path):
    name = "ab/nn/stat/train/img-classification_cifar-10_acc_ga-1/1.json"
    miniature.write(lemur, name, b"\xef\xbb\xbf" + json.dumps([miniature.trial(0.5)]).encode())
    assert imported(source("folder", lemur), tmp_path / "corpus.sqlite").kinds == {}


def test_code_is_never_run(lemur, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imported(lemur, tmp_path / "corpus.sqlite")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("ab/nn/nn/bytes.py", b"\xff\xfe", "no text"),
        ("ab/nn/nn/latin.py", b"x = '\xe9'", "no text"),
        ("ab/nn/nn/huge.py", b"#" * (sources.LARGEST + 1), "too large"),
        ("ab/nn/nn/a\nb.py", b"", "name"),
        ("ab/nn/nn/nothing.py", b"", "empty"),
        ("ab/nn/nn/blank.py", b" \n\t\r\n\x0c", "empty"),
        ("ab/nn/nn/mark.py", b"\xef\xbb\xbf", "empty"),
        ("ab/nn/nn/comments.py", b"# -*- coding: utf-8 -*-\n  # to be written\n", "empty"),
        ("ab/nn/nn/separator.py", "\u2028\u3000\n".encode(), "empty"),
        ("ab/nn/stat/train/a_b_c_ga-1/1.json", b"[{", "not JSON"),
        ("ab/nn/stat/train/a_b_c_ga-1/1.json", b"[" * 100_000, "not JSON"),
        ("ab/nn/stat/train/a_b_c_ga-1/1.json", b"[]", "empty list"),
        ("ab/nn/stat/train/a_b_c_ga-1/1.json", b'{"accuracy": 1}', "no list of trials"),
        ("ab/nn/stat/train/a_b_c_ga-1/1.json", b"[7]", "malformed trial"),
        ("ab/nn/stat/train/a_b_ga-1/1.json", b"[]", "folder name"),
        ("ab/nn/stat/train/a_b_c_nobody/1.json", json.dumps([miniature.trial(0.5)]).encode(), "no such architecture"),
    ],
)
@pytest.mark.parametrize("form", ["folder", "wheel"])
def test_what_is_malformed_is_told_and_the_rest_is_taken(form, name, content, kind, lemur, tmp_path):
    miniature.write(lemur, name, content)
    result = imported(source(form, lemur), tmp_path / "corpus.sqlite")
    assert (result.added, result.kinds) == ((8, 12), {kind: 1})
    assert result.as_json()["problems"][0]["kind"] == kind


@pytest.mark.parametrize(
    "changes",
    [
        {"accuracy": float("nan")},
        {"accuracy": "high"},
        {"accuracy": None},
        {"accuracy": True},
        {"accuracy": False},
        {"accuracy": -0.1},
        {"accuracy": float("inf")},
        {"accuracy": [0.5]},
        {"duration": True},
        {"duration": -1},
        {"accuracy": 10**400},
        {"duration": 2**63},
        {"duration": 1.5},
        {"uid": 7},
        {"uid": "\ud800"},
        {"transform": None},
    ],
)
def test_a_trial_without_its_numbers_is_left_out_and_its_neighbours_are_not(changes, lemur, tmp_path):
    trials = [miniature.trial(0.25), miniature.trial(0.5) | changes, miniature.trial(0.75)]
    miniature.stat(lemur, "img-classification_svhn_acc_ga-1", json.dumps(trials))
    result = imported(lemur, tmp_path / "corpus.sqlite")
    assert (result.added, result.kinds) == ((8, 14), {"malformed trial": 1})
    assert result.problems[0].place.endswith("/1.json[1]")


def test_other_code_under_a_known_name_is_told_and_changes_nothing(lemur, tmp_path):
    imported(lemur, tmp_path / "corpus.sqlite")
    miniature.write(lemur, "ab/nn/nn/ga-1.py", miniature.PLAIN + "# newer\n")
    assert imported(lemur, tmp_path / "corpus.sqlite").kinds == {"other code under this name": 1}
    assert rows(tmp_path / "corpus.sqlite", "SELECT code FROM architectures WHERE name = 'ga-1'") == [
        (miniature.PLAIN,)
    ]


def test_an_archive_with_a_damaged_member_gives_the_rest(lemur, tmp_path):
    wheel = source("wheel", lemur)
    content = wheel.read_bytes()
    wheel.write_bytes(content.replace(b"raise SystemExit(3)", b"raise SystemExit(4)"))
    assert imported(wheel, tmp_path / "corpus.sqlite").kinds == {"cannot be read": 1}


def test_what_is_no_source_is_told_with_what_would_be_one(tmp_path):
    (tmp_path / "text").write_text("hello")
    (tmp_path / "other.db").write_bytes(b"")
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE t (a)")
    with pytest.raises(NotFound):
        sources.opened(tmp_path / "nothing")
    for wrong in (tmp_path, tmp_path / "text", tmp_path / "other.db"):
        with pytest.raises(InvalidInput, match="nn-dataset"):
            sources.opened(wrong)


def test_a_file_that_is_no_corpus_is_not_touched(tmp_path):
    miniature.database(tmp_path / "lemur.db")
    before = (tmp_path / "lemur.db").read_bytes()
    (tmp_path / "text").write_text("hello, this is no database at all")
    for wrong in (tmp_path / "lemur.db", tmp_path / "text"):
        with pytest.raises(IntegrityError):
            Corpus(wrong)
    assert (tmp_path / "lemur.db").read_bytes() == before
    with pytest.raises(NotFound, match="lemur import"):
        Corpus.existing(tmp_path / "nothing")
