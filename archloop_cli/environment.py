"""`archloop env`: the secrets of a compose deployment, made at random, in a file that only its owner reads.

The standard library suffices, so that `make up` can run it before anything is installed.
"""

import argparse
import os
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from archloop.errors import ArchloopError, Conflict, InvalidInput
from archloop.sanitising import plain

_BYTES = 32
_HEAD = """\
# Secrets of this deployment, made by `archloop env`. Keep them out of version control.
# COMPOSE_PROFILES: cpu, or gpu (docs/how-to/compose.md).
COMPOSE_PROFILES=cpu
"""

# Hexadecimal, for most of them become part of a URL.
SECRETS = (
    "ARCHLOOP_BROKER_PASSWORD",
    "ARCHLOOP_MONGO_PASSWORD",
    "ARCHLOOP_S3_SECRET_KEY",
    "ARCHLOOP_CLI_TOKEN",
    "ARCHLOOP_READ_TOKEN",
    "ARCHLOOP_HELDOUT_SECRET",
)
# By another one, results are not comparable to the digit: new passwords are no reason for that.
_KEPT = "ARCHLOOP_HELDOUT_SECRET"
_VALUE = re.compile(rf"^[ \t]*(?:export[ \t]+)?{_KEPT}[ \t]*[=:][ \t]*(?!''|\"\"|#)(\S.*?)[ \t]*$", re.MULTILINE)


def write(path: Path, *, replace: bool = False) -> None:
    """Write new secrets. Raises Conflict where there is a file and it is not to be replaced.

    Of a file that is replaced, the secret of the held-out images is kept.
    It is complete, and private, from the moment that it has its name.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_HEAD + "".join(_lines(path if replace else None)))
        if replace:
            draft.replace(path)
        else:
            path.hardlink_to(draft)
    except FileExistsError as error:
        raise Conflict(
            f"{path} is there, and its secrets may be in use; to replace them see docs/how-to/compose.md"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _lines(old: Path | None) -> Iterator[str]:
    kept = _kept(old) if old is not None and old.exists() else ""
    for name in SECRETS:
        yield f"{name}={kept if kept and name == _KEPT else secrets.token_hex(_BYTES)}\n"


def _kept(old: Path) -> str:
    """Read the secret that is kept, as compose does: the last line that gives it a value counts."""
    try:
        before = old.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("FILE", str(old), "UTF-8, for the secret of the held-out images is read from it") from None
    given: list[str] = _VALUE.findall(before)
    return given[-1] if given else ""


def main() -> int:
    """Run as `python -m archloop_cli.environment FILE`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=Path(".env"))
    try:
        write(parser.parse_args().file)
    except ArchloopError as error:
        sys.stderr.write(f"error [{error.code}] {plain(error)}\n")  # noqa: TID251
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
