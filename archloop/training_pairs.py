"""Training pairs, and the JSON lines that they travel in: read and written here alone."""

import codecs
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import ValidationError

from archloop.contracts.base import Frozen, absent
from archloop.contracts.texts import Said
from archloop.errors import InvalidInput
from archloop.validation import expected

_LONGEST = 4 * 1024**2
_FORM = '{"prompt": text, "completion": text}, and "rejected": text if there is such an answer'
_SPACED, _COMPACT = (", ", ": "), (",", ":")


class TrainingPair(Frozen):
    """A prompt as it was asked, and the completion as the LLM should have answered it (archloop.answers.render).

    `rejected` is a worse answer to the same prompt, in the same form, for trainings that learn from both.
    """

    prompt: Said
    completion: Said
    rejected: Annotated[Said | None, absent(None)] = None

    def line(self, *, compact: bool = False) -> str:
        """Write the pair as one JSON object, without the line feed.

        Runs record the hash of these bytes. What they choose themselves is written with spaces, and what a run on this
        machine begins with without them.
        """
        content = self.model_dump()
        return json.dumps(content, ensure_ascii=False, separators=_COMPACT if compact else _SPACED)


def encoded(lines: Iterable[str]) -> bytes:
    """Put lines of pairs together, as the content of a file or blob."""
    return "".join(f"{line}\n" for line in lines).encode()


def read(path: Path) -> list[TrainingPair]:
    """Read the pairs of a file, blank lines left out. Raises InvalidInput that names file and line."""
    with path.open("rb") as file:
        return _read(file, str(path))


def decoded(content: bytes, name: str) -> list[TrainingPair]:
    """Read the pairs of a blob of this name, as those of a file. Raises InvalidInput that names blob and line."""
    return _read(io.BytesIO(content), name)


def _read(file: BinaryIO, name: str) -> list[TrainingPair]:
    pairs = [_parse(place, line) for place, line in _lines(file, name) if line.strip()]
    if not pairs:
        raise InvalidInput(name, "no lines", "at least one pair")
    return pairs


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield each with its place. Only a line feed ends one: other line breaks of Unicode may stand within a text."""
    for number in itertools.count(1):
        line = file.readline(_LONGEST + 1)
        if not line:
            return
        if len(line) > _LONGEST:
            raise InvalidInput(f"{name}:{number}", line[:200], f"a line of at most {_LONGEST} bytes")
        yield f"{name}:{number}", line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def _parse(place: str, line: bytes) -> TrainingPair:
    try:
        text = line.decode().strip()
        return TrainingPair.model_validate(json.loads(text))
    except UnicodeDecodeError as error:
        raise InvalidInput(place, line, f"UTF-8; byte {line[error.start]:#04x} is not") from error
    except ValidationError as error:
        raise InvalidInput(place, text, f"{_FORM}; {_wrong(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(place, text, f"{_FORM}; {error}") from error


def _wrong(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return " ".join((*map(str, first["loc"]), "has to be", expected(first)))
