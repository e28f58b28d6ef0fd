"""The grammar of edits: what llguidance lets through applies, and what a parent holds cannot widen it."""

import random

import llguidance
import pytest

from archloop.answers import edits, guided
from tests.known_good import SOURCES
from tests.unit.ground.test_edits import CHILD, DIFF, ONE, OTHER, PARENT, block

BYTES = llguidance.LLTokenizer("byte")
EARLIER, LATER = OTHER, ONE
HOSTILE = {
    "quotes": 'a = \'x"y\'\nb = "\\\\n"\nc = 1\n',
    "grammar": 'start: ANY\n") | ANY\n%regex { "substring_chars": "abc" }\n',
    "controls": "a = '\x0b\x0c\x1c\u2028'\nb = '\x07'\n",
    "scripts": "größe = '層'\nπ = '🙂'\n",
    "twice": "x = 1\ny = 2\nx = 1\nz = 3\n",
    "nothing unique but together": "a\nb\na\na\nb\nb\n",
    "blank": "a = 1\n\n\nb = 2\n\nc = 3\n",
    "comparisons": "x = (1\n=1)\n>>> y\n<a\n",
    "one line": "x = 1\n",
}
PARENTS = {"by hand": PARENT, **{name: edits.prepared(code) for name, code in SOURCES.items()}, **HOSTILE}


def taken(parent: str, answer: str) -> bool:
    """Say whether the grammar has the answer, whole."""
    matcher = llguidance.LLMatcher(BYTES, llguidance.LLMatcher.grammar_from_lark(guided.grammar(parent)))
    assert not matcher.is_error(), matcher.get_error()
    return matcher.consume_tokens(list(answer.encode())) and matcher.is_accepting()


def walked(parent: str, seed: int) -> str:
    """Write an answer at random: bytes that the grammar allows, those that end a part of it more often than others."""
    rng, answer = random.Random(seed), bytearray()
    matcher = llguidance.LLMatcher(BYTES, llguidance.LLMatcher.grammar_from_lark(guided.grammar(parent)))
    while len(answer) < 2000 and not matcher.is_stopped():
        bits = int.from_bytes(matcher.compute_bitmask(), "little")
        allowed = [token for token in range(256) if bits >> token & 1]
        if matcher.is_accepting() and (not allowed or rng.random() < 0.5):
            break
        likely = [token for token in allowed if token in b"\n=>"] if rng.random() < 0.7 else []
        answer.append(rng.choice(likely or allowed))
        assert matcher.consume_token(answer[-1]), matcher.get_error()
    return answer.decode(errors="surrogateescape") if matcher.is_accepting() else ""


@pytest.mark.parametrize("name", PARENTS)
def test_whatever_is_written_under_the_grammar_applies(name):
    parent, answers = PARENTS[name], [walked(PARENTS[name], seed) for seed in range(30)]
    whole = [answer for answer in answers if answer.count("SEARCH") == 1]
    read = [edits.apply(parent, answer) for answer in answers if answer]
    assert len(read) > 15
    assert len(whole) > 3
    assert {each.problem for each in read} <= {""}
    assert parent not in {each.code for each in read}


@pytest.mark.parametrize("name", sorted(PARENTS.keys() - {"comparisons"}))  # whose lines no replacement can hold
def test_an_edit_as_it_is_taught_is_in_the_grammar(name):
    lines = PARENTS[name].split("\n")[:-1]
    children = [[*lines[:at], f"changed = {at}", *lines[at + 1 :]] for at in range(0, len(lines), 5)]
    children += [[*lines, "added"], lines[:-1] or ["none"], ["first", *lines]]
    answers = [edits.render(PARENTS[name], "".join(f"{line}\n" for line in child)) for child in children]
    assert [taken(PARENTS[name], answer) for answer in answers] == [True] * len(answers)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (DIFF, "a unified diff"),
        ("", "nothing"),
        (ONE[:-9], "cut off"),
        ("So:\n" + ONE, "words before it"),
        (ONE.replace("3, 8", "3, 9"), "a line that is not there"),
        (ONE.replace("self.a", " self.a", 1), "an indentation that is not there"),
        (block("        self.norm = Norm(8)\n", ""), "a line that is there twice"),
        (block("\n", "x\n"), "a blank line"),
        (block("", "x\n"), "nothing to look for"),
        (
            block("        self.a = Conv(3, 8)\n        self.b = Conv(8, 16)\n", ""),
            "lines that do not follow each other",
        ),
        (ONE + ONE, "the same place twice"),
        (EARLIER + LATER, "a place above the one before"),
        (block("import torch\n", "import torch\n"), "nothing changed"),
        (block("import torch\n", "x\n=======\n"), "a marker within"),
    ],
)
def test_what_would_not_apply_is_not_in_it(answer, why):
    assert not taken(PARENT, answer), why


def test_the_same_in_order_is():
    assert taken(PARENT, ONE)
    assert taken(PARENT, ONE + OTHER)
    assert edits.apply(PARENT, ONE + OTHER).code == CHILD


def test_a_parent_that_is_too_long_has_none():
    assert guided.grammar("".join(f"x{number} = 1\n" for number in range(350))) is not None
    assert guided.grammar("".join(f"x{number} = 1\n" for number in range(351))) is None


@pytest.mark.parametrize("line", ["x = 1", "x = {0}", "{1} = 1", "", "self.{0:08} = {1:>08}", "{2}"])
def test_the_longest_parent_is_guided_or_has_no_grammar(line):
    """Lines that are alike are the worst: many places are still meant after most of them is written."""
    rng = random.Random(line)
    parent = "".join(f"{line.format(number, number % 7, rng.choice('ab') * 20)}\n" for number in range(350))
    grammar = guided.grammar(parent)
    assert (grammar is None) == (line in {"x = 1", "", "{1} = 1"})
    for seed in range(3 if grammar else 0):
        assert edits.apply(parent, walked(parent, seed)).problem == ""
