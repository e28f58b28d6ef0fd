"""What was given on the command line and would have no effect, or another than was meant, is refused."""

import re
from pathlib import Path

import click
import pytest
import typer

from archloop.errors import InvalidInput, NotFound
from archloop_cli.asking import limits
from archloop_cli.commands import app
from archloop_cli.options import once
from archloop_lab.folders import refuse_shared

TWICE = [
    ["run", "--seed", "1", "--seed", "2"],
    ["run", "--cycles=1", "--cycles=1"],
    ["run", "--protocol", "digits", "--protocol", "shapes"],
    ["run", "--out", "a", "--out", "b"],
    ["study", "none", "--at-once", "1", "--at-once", "2"],
    ["novelty", "net.py", "--threshold", "0.5", "--threshold", "0.9"],
    ["lemur", "curate", "c.sqlite", "--quota", "1", "--quota", "2"],
    ["model", "build", "--seed", "1", "--seed", "2"],
    ["run", "--plan", "--plan"],
]
EMPTY = [
    ["run", "--pairs", ""],
    ["run", "--out="],
    ["run", "--server", ""],
    ["run", "--from-manifest", ""],
    ["resume", ""],
    ["report", "run", "--control", ""],
    ["evaluate", "net.py", ""],
    ["novelty", ""],
    ["lemur", "curate", ""],
    ["env", ""],
]
IN_VAIN = [
    (["run", "--plan", "--out", "there"], "--out"),
    (["study", "ablations", "--plan", "--at-once", "2"], "--at-once"),
    (["run", "--plan", "--server", "http://localhost:1"], "--server"),
    (["run", "--plan", "--name", "mine"], "--name"),
    (["run", "--plan", "--json"], "--json"),
    (["run", "--from-manifest", "manifest.json", "--preset", "demo"], "--preset"),
    (["novelty", "net.py", "--protocol", "digits"], "--protocol"),
]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def invoked(arguments):
    command = typer.main.get_command(app)
    once(command)
    with command.make_context("archloop", list(arguments)) as context:
        command.invoke(context)


@pytest.mark.parametrize("arguments", TWICE, ids=" ".join)
def test_an_option_that_is_given_twice_is_refused(arguments):
    with pytest.raises(typer.BadParameter, match="it is given twice"):
        invoked(arguments)
    assert not [*Path().iterdir()]


@pytest.mark.parametrize("arguments", EMPTY, ids=" ".join)
def test_an_empty_value_is_refused(arguments):
    with pytest.raises(typer.BadParameter, match="it is empty"):
        invoked(arguments)
    assert not [*Path().iterdir()]


@pytest.mark.parametrize(("arguments", "option"), IN_VAIN, ids=[" ".join(given) for given, _ in IN_VAIN])
def test_an_option_that_would_have_no_effect_is_refused(arguments, option):
    with pytest.raises(InvalidInput, match=rf"^{option}\b.*none with"):
        invoked(arguments)
    assert not [*Path().iterdir()]


def test_an_option_that_may_be_repeated_still_may():
    with pytest.raises(InvalidInput, match="tokens"):
        invoked(["run", "--budget", "candidates=1", "--budget", "tokens=x", "--plan"])


@pytest.mark.parametrize(
    "given",
    [
        ["tokens=1", "tokens=2"],
        ["tokens=1", "tokens=1"],
        ["cost=1", "tokens=2", "cost=3"],
        ["wall_seconds=1", "wall_seconds=1.0"],
        ["candidates=9", "candidates=8", "candidates=7"],
    ],
)
def test_a_limit_that_is_given_twice_is_refused(given):
    with pytest.raises(InvalidInput, match="each limit once"):
        limits(given)


@pytest.mark.parametrize("path", ["/", "//", "/./", "/tmp/..", "/..", "~", "~/.", "link"])
def test_a_run_does_not_go_into_the_root_or_a_home(path, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(InvalidInput, match="a folder of its own"):
        refuse_shared(Path(path).expanduser())


@pytest.mark.parametrize("path", ["there", "/tmp/there", "~/runs", "."])
def test_a_folder_of_its_own_is_taken(path):
    refuse_shared(Path(path).expanduser())


@pytest.mark.parametrize("template", ["edit", "memory", "nope", "../brief", ""])
@pytest.mark.parametrize("more", [[], ["--edits", "1"], ["--edits", "1", "--memory", "1"]], ids=" ".join)
def test_pairs_are_asked_for_by_a_template_that_is_a_whole_one(template, more, tmp_path):
    with pytest.raises((NotFound, typer.BadParameter, click.BadParameter)):
        invoked(["model", "pairs", "made.jsonl", "--count", "1", "--template", template, *more])
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("frozen", [[], ["--frozen"]], ids=["tuned", "frozen"])
def test_a_plan_knows_of_pairs_that_the_preset_does_not_ask_for(frozen, tmp_path, capsys):
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 7)
    with pytest.raises(typer.Exit):
        invoked(["run", "--pairs", "pairs.jsonl", "--plan", *frozen])
    told = capsys.readouterr().out
    assert "tunes on 7 pairs first" in told
    assert "nothing to train" not in told
    assert re.search(r"^ trainer +on the CPU", told, re.MULTILINE)


def test_what_learns_nothing_begins_with_no_pairs(tmp_path):
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    with pytest.raises(InvalidInput, match="the seed program learns nothing"):
        invoked(["run", "--model", "seed-program", "--frozen", "--pairs", "pairs.jsonl", "--out", "made"])
    assert not (tmp_path / "made").exists()
