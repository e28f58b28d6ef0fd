"""`archloop env`: the secrets of a compose deployment, made at random, in a file that only its owner reads.

The standard library suffices, so that `make up` can run it before anything is installed.
"""

import argparse
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from archloop.errors import ArchloopError, Conflict

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
_KEPT = "ARCHLOOP_HELDOUT_SECRET="


def write(path: Path, *, replace: bool = False) -> None:
    """Write new secrets. Raises Conflict where there is a file and it is not to be replaced.

    Of a file that is replaced, the secret of the held-out images is kept.
    It is complete, and private, from the moment that it has its name.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
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
    before = old.read_text().splitlines() if old is not None and old.exists() else []
    kept = next((f"{line}\n" for line in before if line.startswith(_KEPT) and line != _KEPT), None)
    for name in SECRETS:
        yield kept if kept and kept.startswith(f"{name}=") else f"{name}={secrets.token_hex(_BYTES)}\n"


def main() -> int:
    """Run as `python -m archloop_cli.environment FILE`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=Path(".env"))
    try:
        write(parser.parse_args().file)
    except ArchloopError as error:
        sys.stderr.write(f"error [{error.code}] {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
