"""The file of secrets."""

import stat

import pytest

from archloop.errors import Conflict, InvalidInput
from archloop_cli import environment


def values(path):
    return dict(line.split("=") for line in path.read_text().splitlines() if not line.startswith("#"))


def test_secrets_are_long_and_each_its_own(tmp_path):
    environment.write(tmp_path / ".env")
    secrets = [values(tmp_path / ".env")[name] for name in environment.SECRETS]
    assert len(set(secrets)) == len(secrets)
    assert all(len(secret) == 64 for secret in secrets)


def test_only_its_owner_reads_it(tmp_path):
    environment.write(tmp_path / ".env")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_what_is_there_stays(tmp_path):
    environment.write(tmp_path / ".env")
    before = (tmp_path / ".env").read_text()
    with pytest.raises(Conflict, match="may be in use"):
        environment.write(tmp_path / ".env")
    assert (tmp_path / ".env").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_it_is_replaced_when_told(tmp_path):
    path = tmp_path / ".env"
    path.write_text("old")
    path.chmod(0o644)
    environment.write(path, replace=True)
    assert set(environment.SECRETS) <= set(values(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_secret_of_the_held_out_images_outlives_the_others(tmp_path):
    path = tmp_path / ".env"
    environment.write(path)
    before = values(path)
    environment.write(path, replace=True)
    after = values(path)
    assert {name for name in environment.SECRETS if after[name] == before[name]} == {"ARCHLOOP_HELDOUT_SECRET"}


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("ARCHLOOP_HELDOUT_SECRET=abc\n", "abc"),
        ("\ufeffARCHLOOP_HELDOUT_SECRET=abc\n", "abc"),
        ("A=1\r\nARCHLOOP_HELDOUT_SECRET=abc\r\n", "abc"),
        ("A=1\rARCHLOOP_HELDOUT_SECRET=abc\r", "abc"),
        ("export ARCHLOOP_HELDOUT_SECRET=abc", "abc"),
        ("  ARCHLOOP_HELDOUT_SECRET = 'a b # c'  \n", "'a b # c'"),
        ("ARCHLOOP_HELDOUT_SECRET: abc\n", "abc"),
        ("ARCHLOOP_HELDOUT_SECRET=old\nARCHLOOP_HELDOUT_SECRET=abc\n", "abc"),
        ("ARCHLOOP_HELDOUT_SECRET=größe=1\n", "größe=1"),
    ],
)
def test_it_is_kept_however_it_is_written(tmp_path, before, kept):
    path = tmp_path / ".env"
    path.write_bytes(before.encode())
    environment.write(path, replace=True)
    assert f"\nARCHLOOP_HELDOUT_SECRET={kept}\n" in path.read_text("utf-8")


@pytest.mark.parametrize("content", [b"ARCHLOOP_HELDOUT_SECRET=\xe9\n", "A=1\n".encode("utf-16"), b"\x80"])
def test_a_file_that_is_no_text_stays(tmp_path, content):
    path = tmp_path / ".env"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"\.env.*expected UTF-8"):
        environment.write(path, replace=True)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [(".env", content)]


@pytest.mark.parametrize(
    "line",
    [
        *("", "ARCHLOOP_HELDOUT_SECRET=\n", "# ARCHLOOP_HELDOUT_SECRET=abc\n", "ARCHLOOP_HELDOUT_SECRET=''\n"),
        *('ARCHLOOP_HELDOUT_SECRET=""  # none', "ARCHLOOP_HELDOUT_SECRET= # none\n", "X_ARCHLOOP_HELDOUT_SECRET=a\n"),
    ],
)
def test_where_there_was_none_it_is_made(tmp_path, line):
    path = tmp_path / ".env"
    path.write_text(f"ARCHLOOP_CLI_TOKEN=old\n{line}")
    environment.write(path, replace=True)
    assert len(values(path)["ARCHLOOP_HELDOUT_SECRET"]) == 64
