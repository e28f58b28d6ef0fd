"""Prompt templates: the generator fills them in, and who takes a run's request knows which there are."""

from pathlib import Path

from archloop.errors import NotFound

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the templates that ship with the project."""
    return sorted(path.stem for path in FOLDER.glob("*.j2"))


def known(template: str) -> None:
    """Raise NotFound, which names those there are, where the template is none of them."""
    if template not in names():
        raise unknown(template)


def unknown(template: str) -> NotFound:
    """Return the error to raise at a name that no template has."""
    return NotFound("prompt template", template, ", ".join(names()))
