"""Run specs as readable YAML files."""

from functools import cache
from pathlib import Path

from archloop import catalogue, checking
from archloop.checking import parsed
from archloop.contracts.spec import RunSpec

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The presets that ship with the project."""
    return catalogue.names(_FOLDER)


@cache
def load(name: str) -> RunSpec:
    """A shipped preset by name, or any preset file by path. Raises NotFound, InvalidInput naming the field."""
    path, text = catalogue.read("preset", name, _FOLDER)
    return checked(parsed(text, path.name), source=path.name)


def checked(content: object, *, source: str) -> RunSpec:
    """A RunSpec from loose values. Raises InvalidInput that names the source, the field and the value."""
    return checking.checked(RunSpec, content, source)
