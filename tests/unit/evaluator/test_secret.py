import multiprocessing
import stat

import numpy as np
import pytest
from pydantic import SecretStr

from archloop.errors import InvalidInput, Misconfigured
from services.evaluator.secret import FILE, PUBLISHED, Secret
from services.evaluator.settings import EvaluatorSettings
from tests.support import HELDOUT_SETTING

ONE, OTHER = Secret.of("1" * 64), Secret.of("2" * 64)
KEYS = [
    ("order", "code/protocol"),
    ("view", "code/protocol"),
    ("order", "code2/protocol"),
    ("order", "code/protocol2"),
    ("split", "digits/0"),
    ("draw", "shapes/0/validation"),
    ("draw", "shapes/0/test"),
]


def numbers(secret: Secret, purpose: str, subject: str) -> list[int]:
    return secret.generator(purpose, subject).integers(2**63, size=4).tolist()


@pytest.mark.parametrize(("purpose", "subject"), KEYS)
def test_a_purpose_and_a_subject_have_numbers_of_their_own_and_always_the_same(purpose, subject):
    own = numbers(ONE, purpose, subject)
    assert numbers(Secret.of("1" * 64), purpose, subject) == own
    others = [numbers(ONE, *key) for key in KEYS if key != (purpose, subject)]
    assert own not in [*others, numbers(OTHER, purpose, subject)]


def test_the_numbers_are_the_same_on_any_machine():
    assert Secret.of(PUBLISHED).generator("order", "x").permutation(10).tolist() == [3, 8, 6, 9, 4, 2, 5, 0, 1, 7]
    assert Secret.of(PUBLISHED).id == "9167c2d84c0e1ad5"


def test_numbers_are_of_a_keyed_generator_that_takes_half_of_the_digest():
    """128 bits: not the 64 of a seed, and nothing that state seen from outside would give away."""
    state = ONE.generator("order", "x").bit_generator.state
    assert state["bit_generator"] == "Philox"
    assert np.count_nonzero(state["state"]["key"]) == 2


def test_it_is_never_shown():
    shown = f"{ONE!r} {ONE} {EvaluatorSettings(heldout_secret=SecretStr('1' * 64))!r} {ONE.id}"
    assert "1" * 8 not in shown
    assert ONE.id != OTHER.id


def test_a_users_own_is_made_once_and_private(tmp_path):
    made = Secret.kept(tmp_path / "new" / "folder")
    file = tmp_path / "new" / "folder" / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text().strip()) == 64
    assert Secret.kept(file.parent) == made
    assert Secret.kept(tmp_path / "another") != made
    assert [path.name for path in file.parent.iterdir()] == [FILE]


def test_all_who_make_it_at_the_same_time_have_the_same_one(tmp_path):
    with multiprocessing.get_context("fork").Pool(8) as pool:
        made = set(pool.map(Secret.kept, [tmp_path / "folder"] * 64, chunksize=1))
    assert made == {Secret.kept(tmp_path / "folder")}
    assert [path.name for path in (tmp_path / "folder").iterdir()] == [FILE]


@pytest.mark.parametrize("content", ["", "short", " " * 64])
def test_a_file_that_holds_none_is_named_without_what_it_holds(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(InvalidInput, match=rf"{FILE}: '\d characters' is not valid; expected at least 32"):
        Secret.kept(tmp_path)


def test_the_setting_comes_before_the_users_own(tmp_path, monkeypatch):
    assert EvaluatorSettings.load(data_dir=tmp_path).secret() == Secret.of(PUBLISHED)
    monkeypatch.setenv(HELDOUT_SETTING, "3" * 40)
    assert EvaluatorSettings.load(data_dir=tmp_path).secret() == Secret.of("3" * 40)
    monkeypatch.delenv(HELDOUT_SETTING)
    (tmp_path / "secret").write_text("4" * 40 + "\n")
    monkeypatch.setenv(f"{HELDOUT_SETTING}_FILE", str(tmp_path / "secret"))
    assert EvaluatorSettings.load(data_dir=tmp_path).secret() == Secret.of("4" * 40)
    monkeypatch.delenv(f"{HELDOUT_SETTING}_FILE")
    assert not (tmp_path / FILE).exists()
    assert EvaluatorSettings.load(data_dir=tmp_path).secret() == Secret.kept(tmp_path)


def test_one_that_is_too_short_is_refused_without_being_shown(monkeypatch):
    monkeypatch.setenv(HELDOUT_SETTING, "hunter2")
    with pytest.raises(Misconfigured, match=f"{HELDOUT_SETTING}: 7 characters, must be at least 32") as told:
        EvaluatorSettings.load()
    assert "hunter2" not in str(told.value)


def test_where_none_can_be_kept_the_setting_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv(HELDOUT_SETTING)
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=rf"{HELDOUT_SETTING}: not set, and none is kept: .*{tmp_path}/file"):
        EvaluatorSettings.load(data_dir=tmp_path / "file" / "below").secret()
