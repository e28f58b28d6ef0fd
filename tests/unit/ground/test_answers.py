import pytest
from hypothesis import given
from hypothesis import strategies as st

from archloop.answers import extract, render

NET = "import torch\n\nclass Net:\n    pass\n"


@given(st.text(alphabet=st.characters(exclude_characters="`\r", exclude_categories=["Cs"])))
def test_what_is_rendered_is_extracted_byte_for_byte(body: str) -> None:
    code = body.rstrip() + "\n"
    assert extract(render(code)) == (code, "")


def test_prose_around_the_block_is_left_out() -> None:
    assert extract(f"Sure! Here it is:\n```python\n{NET}```\nHope it helps.").code == NET


def test_of_several_blocks_the_one_with_the_net_is_taken() -> None:
    assert extract(f"```python\nx = 1\n```\nthen\n```py\n{NET}```\n").code == NET


def test_an_answer_without_a_block_yields_no_code_and_says_why() -> None:
    assert extract("class Net: pass") == ("", "no fenced code block in the answer")


def test_a_truncated_answer_keeps_what_there_is_and_says_so() -> None:
    code, problem = extract("```python\nimport torch\nclass Net(")
    assert code == "import torch\nclass Net("
    assert "not closed" in problem


@pytest.mark.parametrize(
    "answer", ["", "```", "``````", "```python", "\x00```python\n\x00\n```", "```python\r\nx\r\n```\r\n"]
)
def test_ugly_answers_never_raise(answer: str) -> None:
    assert isinstance(extract(answer).code, str)


def test_a_megabyte_is_extracted() -> None:
    code = "x = 1\n" * 180_000
    assert extract(render(code)).code == code
