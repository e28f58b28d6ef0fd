"""Folders that are made for a run are gone again where it could not begin."""

import pytest

from archloop_lab import folders


def _begin(path, *, fails=True, leaves=()):
    with folders.begun(path, unless="manifest.json"):
        for name in leaves:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).touch()
        if fails:
            raise KeyboardInterrupt


@pytest.mark.parametrize("leaves", [(), (".lock",), ("blobs/a/b", "registry.sqlite"), ("deep/manifest.json",)])
@pytest.mark.parametrize("place", ["run", "runs/run", "a/b/c/run"])
@pytest.mark.parametrize("before", ["", "a", "runs"])
def test_what_could_not_begin_leaves_what_was_there(before, place, leaves, tmp_path):
    (tmp_path / before).mkdir(exist_ok=True)
    found = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        _begin(tmp_path / place, leaves=leaves)
    assert sorted(tmp_path.rglob("*")) == found


@pytest.mark.parametrize("fails", [True, False])
def test_what_has_begun_stays(fails, tmp_path):
    if fails:
        with pytest.raises(KeyboardInterrupt):
            _begin(tmp_path / "a/run", leaves=["manifest.json"])
    else:
        _begin(tmp_path / "a/run", fails=False)
    assert (tmp_path / "a/run").is_dir()


def test_what_others_put_beside_it_meanwhile_stays(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _begin(tmp_path / "a/b/run", leaves=["../../other"])
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["other"]


def test_a_folder_that_was_there_keeps_what_is_in_it(tmp_path):
    (tmp_path / "notes").touch()
    with pytest.raises(KeyboardInterrupt):
        _begin(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
