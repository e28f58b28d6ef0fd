"""YAML files that ship in a folder and are known by name; any other is given by its path."""

from pathlib import Path

from archloop.errors import InvalidInput, NotFound


def names(folder: Path) -> list[str]:
    """Return the names of the folder's files, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read(kind: str, name: str, folder: Path) -> tuple[Path, str]:
    """Return the file's path and its text.

    Raises NotFound that names those there are, InvalidInput where it is there and cannot be read.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    try:
        return path, path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InvalidInput(kind, name, f"valid UTF-8; byte {byte:#04x} at place {error.start} is not") from None
    except (IsADirectoryError, PermissionError) as error:
        raise InvalidInput(kind, name, f"a file that can be read: {error.strerror}") from None
    except (OSError, ValueError):  # A name may be too long for a file, or hold what no file's name can.
        raise NotFound(kind, name, ", ".join(names(folder))) from None
