"""What servers and habits put around an answer: tokens that end a turn, tags on the line of a fence, no fence."""

import textwrap
import time

import pytest

from archloop.answers import extract

PROGRAM = """import torch
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return x


def supported_hyperparameters():
    return {"lr"}
"""
DRAFT = PROGRAM.replace("return x", "return -x")
BLOCK, DRAFTED = f"```python\n{PROGRAM}```", f"```python\n{DRAFT}```"


@pytest.mark.parametrize(
    "token",
    ["<|im_end|>", "<|eot_id|>\n", "<|endoftext|><|endoftext|>", "</s>", "<｜end▁of▁sentence｜>", "<end_of_turn>\n\n"],
)
@pytest.mark.parametrize("answer", [f"{BLOCK}\n", BLOCK, f"```python\n{PROGRAM}", f"Here it is:\n\n{PROGRAM}"])
def test_tokens_that_end_a_turn_are_no_code(answer: str, token: str) -> None:
    assert extract(answer + token).code == PROGRAM


def test_such_a_token_within_code_is_code() -> None:
    code = PROGRAM.replace('"lr"', '"</s>", "<|im_end|>"')
    assert extract(f"```python\n{code}```").code == extract(f"```python\n{code}").code == code


@pytest.mark.parametrize(
    "thought",
    [
        f"<think>\n{DRAFTED}</think>\n",
        f"<think>first {DRAFTED}</think>\n",
        f"{DRAFTED}</think>",
        f"<thinking>\n{DRAFTED}\n```</thinking> ",
        f"[THINK]{DRAFTED}[/THINK]",
        f"<think>\n~~~\n{DRAFT}~~~</think>\n",
    ],
)
def test_a_thought_may_end_on_the_line_of_a_fence(thought: str) -> None:
    assert extract(f"{thought}\n{BLOCK}") == (PROGRAM, "")
    assert extract(f"{thought}The net:\n\n{BLOCK}") == (PROGRAM, "")


@pytest.mark.parametrize(
    "shell",
    ["<code>{}</code>", "<s> {}</s>", "[INST] a net [/INST] {}", "[/INST]{}", '<file path="net.py">{}\n</file>'],
)
def test_a_program_may_begin_behind_a_tag(shell: str) -> None:
    found = extract(shell.format(PROGRAM))
    assert found.code == PROGRAM
    assert "no fenced code block" in found.problem


@pytest.mark.parametrize("indentation", ["    ", "\t", "        "])
@pytest.mark.parametrize("before", ["The net:\n\n", "Here::\n\n.. code-block:: python\n\n", "", "1. Do\n2. this\n\n"])
@pytest.mark.parametrize("after", ["", "\nThat is all.\n"])
def test_an_indented_program_is_code(before: str, indentation: str, after: str) -> None:
    found = extract(before + textwrap.indent(PROGRAM, indentation) + after)
    assert found.code.rstrip() == PROGRAM.rstrip()
    assert "no fenced code block" in found.problem


@pytest.mark.parametrize("language", ["bash", "sh", "json", "diff", "console", "yaml"])
@pytest.mark.parametrize("info", ["python", "py", "python title=net.py"])
def test_python_begins_where_a_block_of_another_language_was_not_closed(language: str, info: str) -> None:
    assert extract(f"```{language}\npip install torch\n\n```{info}\n{PROGRAM}```\n") == (PROGRAM, "")


@pytest.mark.parametrize("piece", ["<|im_end|>", "<|im_end|>x", "    x\n", "```</think>\n", "> import x", "```bash\n"])
def test_a_megabyte_of_them_takes_no_long_time(piece: str) -> None:
    begun = time.process_time()
    extract(piece * (1_000_000 // len(piece)))
    assert time.process_time() - begun < 60
