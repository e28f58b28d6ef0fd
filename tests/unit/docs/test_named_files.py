"""A Python file that a page names is there: who renames one renames it there too."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_FOLDERS = ("archloop", "archloop_cli", "archloop_lab", "services", "tests", "benchmarks", "examples", "deploy")
# Not ours: what a user may have, and what LEMUR has.
_OTHERS = {"x.py", "net.py", "Train.py"}
# A decision and the log of changes speak of what was.
PAGES = [
    page
    for pattern in ("*.md", "docs/**/*.md", "services/*/README.md")
    for page in ROOT.glob(pattern)
    if page.parent.name != "adr" and page.name != "CHANGELOG.md"
]
FILES = {file.relative_to(ROOT).as_posix() for folder in _FOLDERS for file in (ROOT / folder).rglob("*.py")}


def not_there(pages: Mapping[str, str]) -> list[str]:
    """Name the page and every file in it that there is not; a part of its path, from the end, will do."""
    named = [(page, name) for page, text in pages.items() for name in re.findall(r"`([a-zA-Z_./]+\.py)`", text)]
    return [
        f"{page}: {name}"
        for page, name in named
        if name not in _OTHERS and "NAME" not in name and not any(f"/{file}".endswith(f"/{name}") for file in FILES)
    ]


def test_every_file_that_a_page_names_is_there() -> None:
    texts = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
    assert sum(text.count(".py`") for text in texts.values()) > 50
    assert not_there(texts) == []


@pytest.mark.parametrize(
    "name",
    [
        "conduct.py",
        "archloop/bus/once.py",
        "sandbox/launch.py",
        "services/evaluator/registry.py",
        "nearly_reading.py",
        "evaluator.reading.py",
    ],
)
def test_one_that_is_not_there_is_found(name: str) -> None:
    assert not_there({"page": f"`reading.py`, `evaluator/reading.py` and `{name}`"}) == [f"page: {name}"]
