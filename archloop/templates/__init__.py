"""Prompt templates: the generator fills them in, and who takes a run's request knows which there are."""

from pathlib import Path

from archloop.errors import NotFound

FOLDER = Path(__file__).parent


EDIT = "edit"
"""The template that shows a parent and asks for an edit of it; the others ask for a whole network."""

_PARTS = frozenset({"memory", EDIT})


def names() -> list[str]:
    """Return the names of the templates that a run may ask whole networks with."""
    return sorted(path.stem for path in FOLDER.glob("*.j2") if path.stem not in _PARTS)


def known(template: str) -> None:
    """Raise NotFound, which names those there are, where the template is none of them."""
    if template not in names():
        raise unknown(template)


def unknown(template: str) -> NotFound:
    """Return the error to raise at a name that no template has."""
    return NotFound("prompt template", template, ", ".join(names()))
