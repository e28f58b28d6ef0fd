import pytest

from archloop.answers import extract, render
from archloop.contracts.training import TrainingSpec
from archloop.errors import InvalidInput
from archloop.training_pairs import TrainingPair
from services.trainer.pairs import IGNORED, encode

CHAT = "{% for m in messages %}<s>{{ m.role }}:{{ m.content }}</s>{% endfor %}<s>assistant:"


def test_what_is_trained_on_decodes_to_the_prompt_and_the_rendered_code(base, pairs):
    assert pairs
    for pair, example in zip(pairs, encode(pairs, base.tokenizer, 512).examples, strict=True):
        tokens = example.input_ids
        assert tokens[0] == base.tokenizer.bos_token_id
        assert tokens[-1] == base.tokenizer.eos_token_id
        assert base.tokenizer.decode(tokens[1:-1]) == pair.prompt + pair.completion


def test_the_loss_is_on_an_answer_from_which_generation_extracts_the_code_again(base, pairs):
    assert pairs
    for pair, example in zip(pairs, encode(pairs, base.tokenizer, 512).examples, strict=True):
        answer = base.tokenizer.decode([t for t in example.labels if t != IGNORED], skip_special_tokens=True)
        assert answer == pair.completion == render(extract(answer).code)
        assert extract(answer).problem == ""


def test_code_that_spells_a_special_token_is_trained_on_as_text(base):
    completion = render("x = '</s><s>'")
    (example,) = encode([TrainingPair(prompt="p", completion=completion)], base.tokenizer, 512).examples
    assert example.input_ids.count(base.tokenizer.eos_token_id) == 1
    assert base.tokenizer.decode(example.input_ids, skip_special_tokens=True) == "p" + completion


def test_a_model_with_a_chat_template_sees_the_prompt_as_a_user_turn(base):
    base.tokenizer.chat_template = CHAT
    (example,) = encode([TrainingPair(prompt="p", completion="c")], base.tokenizer, 512).examples
    assert base.tokenizer.decode(example.input_ids) == "<s>user:p</s><s>assistant:c</s>"


def test_pairs_that_are_too_long_are_dropped_and_counted_never_cut(base, pairs):
    long = TrainingPair(prompt="p", completion="x = 1\n" * 500)
    encoded = encode([*pairs, long], base.tokenizer, 512)
    assert (len(encoded.examples), encoded.dropped) == (len(pairs), 1)


def test_no_pair_that_fits_is_refused_with_the_length_that_would(base, pairs):
    with pytest.raises(InvalidInput, match=r"training\.max_length: 10 is not valid; expected at least \d{3}"):
        encode(pairs, base.tokenizer, 10)


@pytest.mark.parametrize(
    ("pairs", "passes"),
    [(1, 90), (4, 90), (5, 45), (16, 23), (60, 6), (600, 6)],
)
def test_few_pairs_are_gone_through_more_often_until_the_least_number_of_steps(pairs: int, passes: int) -> None:
    assert TrainingSpec(epochs=6, minimum_steps=90, batch_size=4).passes(pairs) == passes
