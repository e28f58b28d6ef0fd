import json

import pytest

from archloop.contracts.spec import TrainingSpec
from archloop.errors import InvalidInput
from archloop.prompting import extract, render
from services.trainer.pairs import IGNORED, Pair, encode, read

CHAT = "{% for m in messages %}<s>{{ m.role }}:{{ m.content }}</s>{% endfor %}<s>assistant:"


def test_what_is_trained_on_decodes_to_the_prompt_and_the_rendered_code(base, pairs):
    for pair, example in zip(pairs, encode(pairs, base.tokenizer, 512).examples, strict=True):
        tokens = example.input_ids
        assert tokens[0] == base.tokenizer.bos_token_id
        assert tokens[-1] == base.tokenizer.eos_token_id
        assert base.tokenizer.decode(tokens[1:-1]) == pair.prompt + pair.completion


def test_the_loss_is_on_an_answer_from_which_generation_extracts_the_code_again(base, pairs):
    for pair, example in zip(pairs, encode(pairs, base.tokenizer, 512).examples, strict=True):
        answer = base.tokenizer.decode([t for t in example.labels if t != IGNORED], skip_special_tokens=True)
        assert answer == pair.completion == render(extract(answer).code)
        assert extract(answer).problem == ""


def test_code_that_spells_a_special_token_is_trained_on_as_text(base):
    completion = render("x = '</s><s>'")
    (example,) = encode([Pair(prompt="p", completion=completion)], base.tokenizer, 512).examples
    assert example.input_ids.count(base.tokenizer.eos_token_id) == 1
    assert base.tokenizer.decode(example.input_ids, skip_special_tokens=True) == "p" + completion


def test_a_model_with_a_chat_template_sees_the_prompt_as_a_user_turn(base):
    base.tokenizer.chat_template = CHAT
    (example,) = encode([Pair(prompt="p", completion="c")], base.tokenizer, 512).examples
    assert base.tokenizer.decode(example.input_ids) == "<s>user:p</s><s>assistant:c</s>"


def test_pairs_that_are_too_long_are_dropped_and_counted_never_cut(base, pairs):
    long = Pair(prompt="p", completion="x = 1\n" * 500)
    encoded = encode([*pairs, long], base.tokenizer, 512)
    assert (len(encoded.examples), encoded.dropped) == (len(pairs), 1)


def test_no_pair_that_fits_is_refused_with_the_length_that_would(base, pairs):
    with pytest.raises(InvalidInput, match=r"training\.max_length: 10 is not valid; expected at least \d{3}"):
        encode(pairs, base.tokenizer, 10)


GOOD = {"prompt": "p", "completion": "c"}


def _is_named(path, line):
    """The second line of a file is refused by its number, in few words that can be read."""
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line + b"\n")
    with pytest.raises(InvalidInput, match=r"pairs\.jsonl:2: ") as raised:
        read(path)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"prompt": "p"}',
        '{"prompt": 1, "completion": "c"}',
        '{"prompt": "p", "completion": null}',
        '{"prompt": "p", "completion": ["c"]}',
        '{"prompt": "p", "completion": true}',
        '{"prompt": "p", "completion": ""}',
        '{"prompt": "p", "completion": " \\n\\t"}',
        '{"prompt": "", "completion": "c"}',
        '{"prompt": "p", "completion": "\\ud800"}',
        '{"prompt": "\\udfff\\ud800", "completion": "c"}',
        '{"messages": [{"role": "user", "content": "p"}]}',
        "[]",
        "null",
        "7",
        '"text"',
        "NaN",
        "9" * 5000,
        "[" * 100_000,
        '{"prompt": "p", "completion": "c"} {"prompt": "p", "completion": "c"}',
        '{"prompt": "p", "completion": "a\tb"}',
        "prompt,completion",
    ],
)
def test_a_bad_line_is_named_with_its_file(tmp_path, line):
    _is_named(tmp_path / "pairs.jsonl", line.encode("utf-8"))


@pytest.mark.parametrize(
    "line",
    [
        '{"prompt": "é", "completion": "c"}'.encode("latin-1"),
        json.dumps(GOOD).encode("utf-16"),
        json.dumps(GOOD).encode("utf-32-be"),
        b'{"prompt": "\xff", "completion": "c"}',
        b'{"prompt": "\xed\xa0\x80", "completion": "c"}',
        b"\x1f\x8b\x08\x00",
        b'{"prompt": "p", "completion": "' + b"c" * (4 * 1024**2) + b'"}',
    ],
)
def test_bytes_that_are_no_text_or_too_many_are_named_too(tmp_path, line):
    _is_named(tmp_path / "pairs.jsonl", line)


@pytest.mark.parametrize(
    "content",
    [
        b"%s\r\n%s\r\n",
        b"\n\n%s\n \t\n%s",
        b"\xef\xbb\xbf%s\n%s\n",
        b"  %s  \n\t%s\t\n",
        b"%s\n%s\n\n\n",
    ],
)
def test_line_ends_blank_lines_and_a_mark_are_no_pairs(tmp_path, content):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(content % ((json.dumps(GOOD).encode(),) * 2))
    assert read(path) == [Pair(**GOOD)] * 2


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e", "\r\n", "\0"])
@pytest.mark.parametrize("escaped", [True, False])  # control characters are escaped either way
def test_what_unicode_calls_a_line_break_within_a_text_ends_no_line(tmp_path, mark, escaped):
    path = tmp_path / "pairs.jsonl"
    pair = {"prompt": "p", "completion": f"a{mark}b"}
    path.write_text(json.dumps(pair, ensure_ascii=escaped) + "\n", newline="")
    assert read(path) == [Pair(**pair)]


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n")
    with pytest.raises(InvalidInput, match="at least one pair"):
        read(path)


@pytest.mark.parametrize(
    ("pairs", "passes"),
    [(1, 90), (4, 90), (5, 45), (16, 23), (60, 6), (600, 6)],
)
def test_few_pairs_are_gone_through_more_often_until_the_least_number_of_steps(pairs: int, passes: int) -> None:
    assert TrainingSpec(epochs=6, minimum_steps=90, batch_size=4).passes(pairs) == passes
