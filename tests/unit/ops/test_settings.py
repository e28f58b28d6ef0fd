"""Settings from the environment, from files, and what is said of wrong ones."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from archloop.errors import Misconfigured
from services.novelty.settings import NoveltySettings


def test_a_secret_comes_from_the_file_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("amqp://a:b@broker/\n")
    monkeypatch.setenv("ARCHLOOP_NOVELTY_BROKER_URL_FILE", str(tmp_path / "url"))
    assert NoveltySettings.load().broker_url == SecretStr("amqp://a:b@broker/")


@pytest.mark.parametrize("content", ["\ufeffkey", "\ufeffkey\r\n", "key\r\n", "\n key \n", "key\r", "\ufeff\nkey"])
def test_marks_and_line_ends_around_a_value_are_none_of_it(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_bytes(content.encode())
    monkeypatch.setenv("ARCHLOOP_NOVELTY_S3_SECRET_KEY_FILE", str(tmp_path / "key"))
    assert NoveltySettings.load().s3_secret_key == SecretStr("key")


def test_a_file_that_is_missing_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHLOOP_NOVELTY_S3_SECRET_KEY_FILE", "/nowhere/key")
    with pytest.raises(Misconfigured, match="ARCHLOOP_NOVELTY_S3_SECRET_KEY_FILE: cannot read /nowhere/key"):
        NoveltySettings.load()


def test_a_file_that_is_no_text_is_named_with_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("ARCHLOOP_NOVELTY_S3_SECRET_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(Misconfigured, match=r"ARCHLOOP_NOVELTY_S3_SECRET_KEY_FILE: cannot read .*: no UTF-8"):
        NoveltySettings.load()


def test_a_wrong_value_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHLOOP_NOVELTY_PERMUTATIONS", "many")
    with pytest.raises(Misconfigured, match=r"ARCHLOOP_NOVELTY_PERMUTATIONS: .*integer.* \(got 'many'\)"):
        NoveltySettings.load()


def test_an_empty_variable_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHLOOP_NOVELTY_PORT", "")
    assert NoveltySettings.load().port is None
