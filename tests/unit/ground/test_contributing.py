"""What those who carry on are told is there: files, targets, hooks."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PAGES = {
    name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md")
}
GUIDE = PAGES["CONTRIBUTING.md"]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
OWN = re.compile(r"(?:archloop\w*|services|tests|docs|deploy|\.ci)/[\w/.-]+|[\w-]+\.(?:md|yaml|toml)")
FOLDER = {"handlers.py", "app.py", "settings.py"}


def _spans(page: str) -> set[str]:
    """What stands between backticks, and where links lead."""
    return {*re.findall(r"`([^`\n]+)`", page), *re.findall(r"\]\(([^)]+)\)", page)}


def _paths(page: str) -> set[str]:
    found = {path for span in _spans(page) for path in OWN.findall(span)}
    return {path for path in found if "NAME" not in path}


def _targets(page: str) -> set[str]:
    spans = (span for span in _spans(page) if span.startswith("make "))
    lines = re.findall(r"^make [a-z ]+$", page, re.MULTILINE)
    return {word for command in (*spans, *lines) for word in command.split()[1:]}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_is_there(page: str) -> None:
    assert _paths(PAGES[page])
    assert {path for path in _paths(PAGES[page]) if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("name", sorted(FOLDER))
def test_every_service_has_the_anatomy_that_is_promised(name: str) -> None:
    services = [folder for folder in (ROOT / "services").iterdir() if (folder / "__main__.py").is_file()]
    assert len(services) == 5
    assert f"`{name}`" in GUIDE
    assert all((service / name).is_file() for service in services)


def test_every_command_is_a_target() -> None:
    for page in PAGES.values():
        assert _targets(page) <= TARGETS
    assert {"setup", "check", "lint", "types", "test", "docs"} <= _targets(GUIDE)


def test_every_extension_has_a_list() -> None:
    headings = re.findall(r"^## Add a (\w+)", GUIDE, re.MULTILINE)
    assert headings == ["protocol", "backend", "message", "setting", "command"]
    for section in re.split(r"^## ", GUIDE, flags=re.MULTILINE):
        if section.startswith("Add a "):
            assert len(re.findall(r"^\d\. ", section, re.MULTILINE)) >= 3
            assert "tests/" in section or "make docs" in section


def test_hooks_run_the_programs_that_setup_installs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    assert {hook["entry"].split()[0] for hook in hooks} == {".venv/bin/ruff", ".venv/bin/mypy"}
