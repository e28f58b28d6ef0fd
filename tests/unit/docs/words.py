"""The texts in which one word has to mean one thing, and what is looked for in them."""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml
from typer.main import get_command

from archloop_cli.commands import app

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "reference"
PAGE = REFERENCE / "glossary.md"
Texts = Mapping[str, str]

# What is not said here, and what is said instead.
BANNED: Mapping[str, str] = {
    "individual": "candidate",
    "specimen": "candidate",
    "genome": "source code",
    "offspring": "candidate",
    "population": "candidates of a cycle",
    "candidate model": "candidate",
    "generated model": "candidate",
    "model architecture": "architecture",
    "sample": "candidate",
    "generations": "cycles",
    "iteration": "cycle",
    "fitness": "accuracy",
    "reward": "accuracy",
    "referee": "evaluator",
    "evaluation worker": "evaluator",
    "worker pod": "evaluator",
    "runner pod": "evaluator",
    "zygote": "fork server",
    "jail level": "sandbox level",
    "holdout": "held-out images",
    "plagiarism": "near copy",
    "dedup": "novelty",
    "fine-tune": "tune",
    "fine-tuning": "training",
    "finetune": "tune",
    "finetuning": "training",
    "checkpoint": "adapter",
    "baseline": "frozen control",
    "experiment": "run or study",
    "dead letter": "parked message",
    "poison message": "parked message",
}
# Words of novelty's, that what is about scoring alone does not use.
NOVELTYS = re.compile(r"\b(?:verdicts?|judge[ds]?|judging|judgements?)\b", re.IGNORECASE)
SCORING = re.compile(r"evaluat|outcome|score", re.IGNORECASE)
_SUFFIXES = re.compile(r"(?:Spec|Ref|Summary|Request|Count|(?<=[a-z])Changes)$")
# What became of a thing, at the end of a message's name.
_ENDS = (
    *("requested", "finished", "closed", "generated", "submitted", "evaluated", "ok", "failed", "lost", "judged"),
    *("trained", "activated", "rejected", "steered"),
)
# Schemas that only HTTP has a name for.
PLUMBING = {"accepted", "mistake"}
# Words of the command that mean what they mean anywhere.
PLAIN = {
    *("archloop", "doctor", "env", "version", "serve", "list", "show", "fetch", "prepare", "import", "export", "build"),
    *(
        "curate",
        "evaluate",
        "debug",
        "force",
        "out",
        "as_json",
        "name",
        "count",
        "file",
        "files",
        "paths",
        "root",
        "side",
    ),
    *(
        "download",
        "prefix",
        "top",
        "at_once",
        "everything",
        "parked_id",
        "parked_ids",
        "all_",
        "sizes",
        "split",
        "quota",
        "epochs",
    ),
    *("base_model", "sample", "port", "shown", "install_completion", "show_completion"),
    *("runs", "diff", "before", "after", "sort", "limit", "min_accuracy", "comment", "directories", "code", "error"),
    *("pause", "cancel", "steer", "pin", "ban", "release", "submit"),
}


class Entry(NamedTuple):
    """One row of the glossary: the term, what it is, and where it stands in the code."""

    term: str
    meaning: str
    place: str


def entries(page: str) -> list[Entry]:
    """Read the rows of the table."""
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [Entry(term, meaning, place.strip("`")) for term, meaning, place in rows[1:]]


def help_texts() -> dict[str, str]:
    """Collect what `--help` says, by command and option."""
    return dict(_help(get_command(app), "archloop"))


def _help(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    yield path, command.help or ""
    yield from ((f"{path} {each.name}", getattr(each, "help", "") or "") for each in command.params)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _help(inner, f"{path} {name}")


def openapi() -> dict[str, Any]:
    """Read the registry's description."""
    found: dict[str, Any] = json.loads((REFERENCE / "openapi.json").read_text())
    return found


def asyncapi() -> dict[str, Any]:
    """Read the messages' description."""
    found: dict[str, Any] = yaml.load((REFERENCE / "asyncapi.yaml").read_text(), yaml.CSafeLoader)
    return found


def command_words(help_of: Iterable[str]) -> set[str]:
    """Return the names of commands and options that are not plain ones."""
    return {word for path in help_of for word in path.split()} - PLAIN


def prose(description: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every title, summary and description below, by its path."""
    if isinstance(description, dict):
        for key, inner in description.items():
            if key in {"title", "summary", "description"} and isinstance(inner, str):
                yield f"{path}/{key}", inner
            else:
                yield from prose(inner, f"{path}/{key}")
    elif isinstance(description, list):
        for place, inner in enumerate(description):
            yield from prose(inner, f"{path}/{place}")


def banned_in(texts: Texts) -> list[str]:
    """Say which text has which banned word, in the singular or the plural, and what to say instead."""
    return [
        f"{where}: `{word}`, say {instead}"
        for where, text in texts.items()
        for word, instead in BANNED.items()
        if re.search(rf"\b{r's?[ -]'.join(map(re.escape, word.split()))}s?\b", text, re.IGNORECASE)
    ]


def of_novelty_in(texts: Texts) -> list[str]:
    """Name the texts about scoring, by their path, that use a word of novelty's."""
    return [where for where, text in texts.items() if SCORING.search(where) and NOVELTYS.search(text)]


def nouns(schemas: Iterable[str]) -> set[str]:
    """Return what the schemas are about: `AdapterRef` is about an adapter, `Page_Run_` about a run."""
    return {noun for name in schemas if (noun := _noun(name)) not in PLUMBING}


def _noun(name: str) -> str:
    inner = re.sub(r"^Page_(\w+)_$", r"\1", name)
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", _SUFFIXES.sub("", inner) or inner)
    while len(words) > 1 and words[-1].lower() in _ENDS:
        words.pop()
    return " ".join(words).lower()


def missing(wanted: Iterable[str], terms: Iterable[str]) -> set[str]:
    """Return the words that are no term, nor the last word of one, in the singular or the plural."""
    known = {word for term in terms for word in (term.lower(), term.lower().split()[-1], term.lower().split()[0])}
    return {word for word in wanted if not known & {word, word.removesuffix("s"), f"{word}s"}}


def stands(place: str) -> bool:
    """Return whether the dotted name is that of a module, or of something on the top level of one."""
    *parts, name = place.split(".")
    module = ROOT.joinpath(*parts)
    files = [file for file in (module.with_suffix(".py"), module / "__init__.py") if file.is_file()]
    if ROOT.joinpath(*parts, f"{name}.py").is_file():
        return True
    return any(name in _defined(file) for file in files)


def _defined(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found
