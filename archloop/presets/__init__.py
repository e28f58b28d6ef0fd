"""Run specs as readable YAML files."""

from functools import cache
from pathlib import Path

from archloop import catalogue, protocols, templates, validation
from archloop.contracts.spec import RunSpec
from archloop.errors import InvalidInput
from archloop.validation import parsed

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the presets that ship with the project."""
    return catalogue.names(_FOLDER)


@cache
def load(name: str) -> RunSpec:
    """Read a shipped preset by name, or any preset file by path. Raises NotFound, InvalidInput naming the field."""
    path, text = catalogue.read("preset", name, _FOLDER)
    return checked(parsed(text, path.name), source=path.name)


def checked(content: object, *, source: str) -> RunSpec:
    """Make a RunSpec of loose values. Raises InvalidInput that names the source, the field and the value."""
    spec = validation.checked(RunSpec, content, source)
    if not spec.base_model.strip() or not spec.base_model.isprintable():
        raise InvalidInput(f"{source}: base_model", spec.base_model, "a model that ships, a folder or a hub id")
    return spec


def resolved(content: object, *, source: str) -> RunSpec:
    """Make a RunSpec whose protocol and template are there. Raises InvalidInput as `checked`, and NotFound."""
    spec = checked(content, source=source)
    protocols.load(spec.protocol)
    templates.known(spec.generation.template)
    return spec
