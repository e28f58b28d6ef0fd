"""One word for each thing: glossary, `--help`, OpenAPI and AsyncAPI agree, and say nothing that was decided against."""

import re
from collections.abc import Collection
from enum import StrEnum
from itertools import pairwise
from typing import get_args

import pytest

from archloop.contracts.values import Family, Outcome, SandboxLevel, Verdict
from archloop.ops.health import Health
from services.evaluator.reading import STAGES
from services.registry.records import Status, Step
from tests.unit.docs import words
from tests.unit.docs.words import REFERENCE, ROOT, banned_in, missing, nouns, of_novelty_in

ENTRIES = words.entries(words.PAGE.read_text())
TERMS = [entry.term for entry in ENTRIES]
OPENAPI, ASYNCAPI = words.openapi(), words.asyncapi()
HELP = words.help_texts()
TEXTS = {
    **HELP,
    **{f"openapi{path}": text for path, text in words.prose(OPENAPI)},
    **{f"asyncapi{path}": text for path, text in words.prose(ASYNCAPI)},
    **{f"glossary {entry.term}": entry.meaning for entry in ENTRIES},
}


def values(of: type[StrEnum]) -> list[str]:
    return [each.value for each in of]


def test_terms_stand_once_in_alphabetical_order() -> None:
    assert len(TERMS) >= 60
    assert [(one, other) for one, other in pairwise(TERMS) if one.casefold() >= other.casefold()] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=TERMS)
def test_an_entry_is_one_or_two_sentences_about_something_in_the_code(entry: words.Entry) -> None:
    assert 1 <= len(re.findall(r"\.(?= |$)", entry.meaning)) <= 2
    assert words.stands(entry.place), f"{entry.place}: nothing is called so"


@pytest.mark.parametrize(
    "place",
    [
        "archloop.contracts.values.Outcomes",
        "archloop.contracts.value.Outcome",
        "services.evaluator.evaluators",
        "services.judge.Judge",
        "Outcome",
        "archloop.contracts.values.Outcome.OK",
    ],
)
def test_a_name_that_is_not_in_the_code_is_found(place: str) -> None:
    assert not words.stands(place)


def test_what_messages_and_schemas_are_about_is_a_term() -> None:
    schemas = {*OPENAPI["components"]["schemas"], *ASYNCAPI["components"]["schemas"]}
    families = {name.split(".")[0] for name in ASYNCAPI["components"]["messages"]}
    tags = {tag for path in OPENAPI["paths"].values() for operation in path.values() for tag in operation["tags"]}
    assert {"adapter", "bootstrap", "training", "source code"} <= nouns(schemas)
    assert len(families) >= 8
    assert missing({*nouns(schemas), *families, *tags}, TERMS) == set()


def test_commands_and_options_are_called_by_terms_or_plain_words() -> None:
    found = words.command_words(HELP)
    assert {"run", "protocol", "frozen", "parked", "lemur"} <= found
    assert missing(found, TERMS) == set(), "a new word: into docs/reference/glossary.md, or PLAIN in words.py"


@pytest.mark.parametrize(
    ("schema", "noun"),
    [
        ("GadgetSpec", "gadget"),
        ("Page_Gadget_", "gadget"),
        ("GadgetRequested", "gadget"),
        ("GadgetEvaluatedOk", "gadget"),
        ("GadgetRef", "gadget"),
        ("BigGadgetRequest", "big gadget"),
        ("Gadget", "gadget"),
    ],
)
def test_a_schema_about_something_unknown_is_found(schema: str, noun: str) -> None:
    assert missing(nouns(["RunSpec", schema, "Accepted"]), TERMS) == {noun}


@pytest.mark.parametrize(
    ("term", "known"),
    [
        ("family", values(Family)),
        ("outcome", values(Outcome)),
        ("sandbox level", values(SandboxLevel)),
        ("verdict", values(Verdict)),
        ("stage", STAGES),
        ("step", get_args(Step)),
        ("run", get_args(Status)),
        ("health", get_args(Health.model_fields["status"].annotation)),
    ],
)
def test_an_entry_names_the_values_that_there_are_and_no_others(term: str, known: Collection[str]) -> None:
    (meaning,) = [entry.meaning for entry in ENTRIES if entry.term == term]
    assert re.findall(r"`(\w+)`", meaning) == list(known)


def test_nothing_says_what_was_decided_against() -> None:
    assert len(TEXTS) > 800
    assert banned_in(TEXTS) == []
    assert words.BANNED.keys() & set(TERMS) == set()


@pytest.mark.parametrize("word", words.BANNED)
def test_a_banned_word_is_found_wherever_it_is_planted(word: str) -> None:
    for planted in (f"the {word} of a run", f"{word.upper()}s", f"{word.capitalize()}: one.", word.replace(" ", "-")):
        assert [found.partition(":")[0] for found in banned_in({"there": "a candidate", "here": planted})] == [
            "here"
        ], planted


@pytest.mark.parametrize(
    "text",
    [
        "sampling noise",
        "gradient_checkpointing",
        "individually",
        "the generation of one candidate",
        "a language model that generated it",
        "the model server",
        "deduced",
    ],
)
def test_what_only_contains_a_banned_word_is_not_taken_for_it(text: str) -> None:
    assert banned_in({"here": text}) == []


def test_what_is_about_scoring_leaves_novelty_its_words() -> None:
    assert sum(bool(words.SCORING.search(where)) for where in TEXTS) > 50
    assert of_novelty_in(TEXTS) == []


@pytest.mark.parametrize("text", ["The verdict.", "Judges the code", "judged at once", "its judgement", "a Judge"])
@pytest.mark.parametrize("where", ["archloop evaluate", "openapi/Evaluation/description", "glossary outcome"])
def test_a_word_of_noveltys_is_found_where_scoring_is_spoken_of(where: str, text: str) -> None:
    assert of_novelty_in({where: text, "archloop novelty": text}) == [where]


def test_the_front_page_leads_to_every_reference_page() -> None:
    front = (ROOT / "README.md").read_text()
    pages = [page.name for page in sorted(REFERENCE.iterdir()) if page.suffix in {".md", ".yaml", ".json"}]
    assert [page for page in pages if f"docs/reference/{page}" not in front] == []
