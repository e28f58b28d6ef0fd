import pytest

from services.generator.modelserver.texts import StopWatch, Tail, Texts, cut
from tests.unit.generator.tiny_model import CHAT_TEMPLATE, tokenizer

BOS = 1


@pytest.fixture
def texts():
    return Texts(tokenizer())


def test_bos_is_put_before_a_raw_prompt_once(texts):
    assert texts.encode("ab")[0] == BOS
    assert texts.encode("<s>ab") == texts.encode("ab")


def test_a_model_with_chat_template_gets_no_bos_of_ours():
    assert BOS not in Texts(tokenizer(CHAT_TEMPLATE)).encode("ab")


def test_special_tokens_are_no_text(texts):
    assert texts.decode([*texts.encode("a b"), 2]) == "a b"
    assert texts.special(2)
    assert texts.piece(2) == "</s>"


def test_pieces_add_up_to_the_text_and_no_character_is_torn(texts):
    text = "nn.Conv2d – Größe 🜁!"
    tail = Tail(texts)
    pieces = [tail.push(token) for token in texts.encode(text)[1:]]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_stop_sequence_is_seen_when_its_last_token_comes(texts):
    watch = StopWatch(texts, ["``", "end"])
    seen = [watch(token) for token in texts.encode("a`b``c")[1:]]
    assert seen.index(True) == len("a`b``") - 1


def test_text_is_cut_behind_the_stop_sequence_that_ends_first():
    assert cut("one two three", ["three", "two"]) == "one two"
    assert cut("one two", ["four"]) == "one two"
