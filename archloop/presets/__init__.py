"""Run specs as readable YAML files."""

from functools import cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from archloop import shipped
from archloop.contracts.spec import RunSpec
from archloop.errors import InvalidInput

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The presets that ship with the project."""
    return shipped.names(_FOLDER)


@cache
def load(name: str) -> RunSpec:
    """A shipped preset by name, or any preset file by path. Raises NotFound, InvalidInput naming the field."""
    path, text = shipped.read("preset", name, _FOLDER)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(str(path), str(error), "YAML") from error
    return checked(content, source=path.name)


def checked(content: object, *, source: str) -> RunSpec:
    """A RunSpec from loose values. Raises InvalidInput that names the source, the field and the value."""
    try:
        return RunSpec.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "preset"
        raise InvalidInput(f"{source}: {field}", first["input"], first["msg"]) from None
