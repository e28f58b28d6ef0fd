"""The deployment's one secret, from which everything derives that no candidate may foresee; a key for each purpose."""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from archloop.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

FILE = "heldout.secret"
SHORTEST = 32
# By which the figures in docs/ were measured, for whoever wants to see the same digits. It keeps nothing secret.
PUBLISHED = "for-the-figures-in-the-documentation"
_BYTES = 32
Purpose = Literal["draw", "split", "order", "view"]


@dataclass(frozen=True)
class Secret:
    """Secret that is never shown; who knows the key of one purpose learns nothing of the others.

    `draw` is for the held-out images of procedural data sets, `split` for which images of a public one are held out,
    `order` for the order in which a job sees them, `view` for the changes under which it sees them.
    """

    _value: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str, source: str = "held-out secret") -> Self:
        """Return the secret that is written as this text. Raises InvalidInput, without the text, if it is too short."""
        if len(text) < SHORTEST:
            raise InvalidInput(source, f"{len(text)} characters", f"at least {SHORTEST}, drawn at random")
        return cls(text.encode())

    @classmethod
    def kept(cls, folder: Path) -> Self:
        """Return the secret that is kept in a user's folder; the first use makes it.

        Raises OSError, InvalidInput.
        """
        path = folder / FILE
        if not path.exists():
            _make(path)
        return cls.of(path.read_text().strip(), str(path))

    @property
    def id(self) -> str:
        """Public name of the secret, which goes with results and tells nothing else about it."""
        return self._key("id").hex()[:16]

    def generator(self, purpose: Purpose, subject: str) -> "np.random.Generator":
        """Return a generator of random numbers that are the same for the same purpose and subject anywhere.

        It is a keyed generator: what a candidate sees of the numbers does not lead back to the key.
        """
        import numpy as np  # commands that only need to know of a secret do without

        key = int.from_bytes(self._key(f"{purpose}/{subject}")[:16])
        return np.random.Generator(np.random.Philox(key=key))

    def _key(self, subject: str) -> bytes:
        return hmac.digest(self._value, subject.encode(), hashlib.sha256)


def _make(path: Path) -> None:
    """Write a new secret; a file that is there already stays.

    The file is complete, and private, from the moment that it has its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
