"""Paths that are shown and hidden by turns, and the symbolic links on the way to them."""

import os
from pathlib import PurePath

import pytest

from services.evaluator.sandbox.contents import Contents, needed, resolve

NESTED = Contents(
    frozenset({"/py/lib", "/py/lib/site/net", "/lone.so"}), frozenset({"/py/lib/site", "/py/lib/site/net/t"})
)


@pytest.mark.parametrize(
    ("path", "held"),
    [("/", False),
     ("/py", False),
     ("/py/lib", True),
     ("/py/lib/os.py", True),
     ("/py/library", False),
     ("/py/lib/site", False),
     ("/py/lib/site/data", False),
     ("/py/lib/site/net/a/b", True),
     ("/py/lib/site/network", False),
     ("/py/lib/site/net/t/x.csv", False),
     ("/py/lib/site/net/tests", True),
     ("/lone.so", True),
     ("/lone.so.1", False)],
)  # fmt: skip
def test_the_innermost_entry_decides(path, held):
    assert NESTED.holds(PurePath(path)) is held


def test_whoever_cannot_take_away_is_told_what_holds_nothing_hidden(tmp_path):
    for name in (
        "lib/os.py",
        "lib/json/x.py",
        "lib/site/data.csv",
        "lib/site/net/a.py",
        "lib/site/net/t/b.csv",
        "lib/c/t/d",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "lib/away").symlink_to("site")
    entries = ("lib", "lib/site/net", "lib/c/t"), ("lib/site", "lib/site/net/t", "lib/c")
    contents = Contents(*(frozenset(str(tmp_path / name) for name in names) for names in entries))
    assert {os.path.relpath(path, tmp_path) for path in contents.spread()} == {
        "lib/os.py", "lib/json", "lib/site/net/a.py", "lib/c/t"
    }  # fmt: skip
    assert [os.path.relpath(path, tmp_path) for path in contents.partly()] == ["lib", "lib/site/net"]


@pytest.mark.parametrize(
    ("path", "real", "links"),
    [("a/file", "a/file", {}),
     ("to_a/file", "a/file", {"to_a": "a"}),
     ("a/to_file", "a/file", {"a/to_file": "file"}),
     ("twice/to_file", "a/file", {"twice": "to_a", "to_a": "a", "a/to_file": "file"}),
     ("a/b/up/file", "a/file", {"a/b/up": ".."}),
     ("a/b/across", "a/file", {"a/b/across": "../../to_a/file", "to_a": "a"}),
     ("absolute", "a/file", {"absolute": "{}/to_a/file", "to_a": "a"}),
     ("a/../a/b/../file", "a/file", {})],
)  # fmt: skip
def test_links_on_the_way_are_met_each_once(tmp_path, path, real, links):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/file").touch()
    made = {"to_a": "a", "a/to_file": "file", "twice": "to_a", "a/b/up": "..", "a/b/across": "../../to_a/file"}
    for name, target in {**made, "absolute": f"{tmp_path}/to_a/file"}.items():
        (tmp_path / name).symlink_to(target)
    met: dict[str, str] = {}
    assert resolve(f"{tmp_path}/{path}", met) == str(tmp_path / real)
    assert met == {str(tmp_path / name): target.format(tmp_path) for name, target in links.items()}


def test_of_this_machine_some_tens_of_entries_are_needed():
    contents = needed()
    assert 10 < len(contents.shown | contents.hidden) < 150
    assert all(os.path.realpath(path) == path for path in contents.shown | contents.hidden)
    assert not any(contents.holds(PurePath(path).parent) for path in contents.shown)
