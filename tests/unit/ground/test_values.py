"""Values that messages carry: source code in one form, what an evaluation says, what an answer cost."""

import hashlib
from typing import Any

import pytest
from pydantic import ValidationError

from archloop.contracts.values import AdapterRef, BlobRef, Evaluation, Outcome, SourceCode, Usage, sha256_of

TEXT = "x = 1\n"
BLOB = BlobRef(key="k", sha256=sha256_of(TEXT), bytes=len(TEXT))


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("", b""),
        ("x", b"x"),
        ("é – 字", "é – 字".encode()),
        (b"\0\xff", b"\0\xff"),
        ("\udcff", b"\xff"),
        ("\ud800", b"\xed\xa0\x80"),
    ],
)
def test_a_hash_is_of_the_bytes_that_are_stored(content: str | bytes, stored: bytes) -> None:
    assert sha256_of(content) == hashlib.sha256(stored).hexdigest()


@pytest.mark.parametrize("form", [{"text": TEXT}, {"blob": BLOB}])
def test_source_code_is_text_or_blob(form: dict[str, Any]) -> None:
    code = SourceCode(sha256=sha256_of(TEXT), **form)
    assert (code.text is None) != (code.blob is None)
    assert SourceCode.inline(TEXT) == SourceCode(sha256=sha256_of(TEXT), text=TEXT)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "error, source code is either `text` or `blob`, exactly one of them"),
        ({"text": TEXT, "blob": BLOB}, "error, source code is either `text` or `blob`, exactly one of them"),
        ({"text": "", "blob": BLOB}, "error, source code is either `text` or `blob`, exactly one of them"),
        ({"text": TEXT + "#"}, "error, `sha256` is not the hash of `text`"),
        ({"text": ""}, "error, `sha256` is not the hash of `text`"),
    ],
)
def test_source_code_in_no_form_in_both_or_with_another_hash_is_refused(form: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SourceCode(sha256=sha256_of(TEXT), **form)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_those_alone_that_trained_above_chance_are_valid(outcome: Outcome) -> None:
    hashes = {"protocol_sha256": "0" * 64, "code_sha256": "0" * 64}
    evaluation = Evaluation(outcome=outcome, stage="train", protocol="p", sandbox_level="process", **hashes)
    assert evaluation.valid == (outcome == "ok")
    assert {evaluation.accuracy, evaluation.flops, evaluation.batch, evaluation.heldout_id} == {None}
    assert (evaluation.seconds, evaluation.cpu_seconds, evaluation.device) == (0.0, 0.0, "cpu")
    assert {evaluation.detail, evaluation.uncounted, evaluation.untraced, evaluation.driver} == {""}


@pytest.mark.parametrize(("read", "written"), [(0, 0), (1, 0), (0, 1), (10, 20), (2**40, 5)])
def test_tokens_are_those_read_and_those_written(read: int, written: int) -> None:
    assert Usage(prompt_tokens=read, completion_tokens=written).tokens == read + written
    assert Usage().model_dump() == {"prompt_tokens": 0, "completion_tokens": 0, "seconds": 0.0, "cost": 0.0}


@pytest.mark.parametrize("name", ["a", "run-1-c0", "0", "a-b-c", "x" * 63])
def test_an_adapter_may_be_called_what_a_folder_and_a_server_take(name: str) -> None:
    assert AdapterRef(adapter=name, manifest=BLOB, base_model="tiny").adapter == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "a--b", "A", "a_b", "a/b", "..", "x" * 64, "é"])
def test_or_nothing_else(name: str) -> None:
    with pytest.raises(ValidationError, match="adapter"):
        AdapterRef(adapter=name, manifest=BLOB, base_model="tiny")
