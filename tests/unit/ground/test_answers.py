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


@pytest.mark.parametrize("word", ["Python", "python3", "PY", "py ", ""])
def test_the_fence_s_word_may_be_written_in_any_way(word: str) -> None:
    assert extract(f"Here:\n```{word}\n{NET}```\n") == (NET, "")


def test_a_block_in_another_language_is_no_code() -> None:
    assert extract("```bash\npip install torch\n```\n").code == ""


def test_unicode_in_code_stays_as_it_is() -> None:
    code = "class Net:\n    größe = '网络 🧠'\n"
    assert extract(render(code)) == (code, "")


def test_the_first_of_several_nets_counts_and_a_draft_without_one_does_not() -> None:
    second = NET.replace("pass", "x = 2")
    assert extract(f"Draft:\n```\nx = 1\n```\nFinal:\n```python\n{NET}```\nOr:\n```python\n{second}```").code == NET


def test_a_megabyte_is_extracted() -> None:
    code = "x = 1\n" * 180_000
    assert extract(render(code)).code == code
