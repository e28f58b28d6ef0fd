"""Parked messages of the in-process bus: one JSON file each, so that they outlive the process."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from archloop.bus.port import Parked
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.errors import IntegrityError, NotFound


class ParkingLot:
    """Parked messages in a directory, or in memory where there is none."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._parked: dict[str, Parked] = {}
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            for path in directory.glob("*.json"):
                parked = _read(path)
                self._parked[parked.id] = parked

    def put(self, parked: Parked) -> None:
        """Keep the message; one that was parked before keeps the time of its first failure."""
        if parked.id in self._parked:
            return
        self._parked[parked.id] = parked
        if self._directory is not None:
            path = self._directory / f"{parked.id}.json"
            draft = path.with_suffix(".partial")
            draft.write_text(parked.model_dump_json(indent=1), encoding="utf-8", errors="backslashreplace")
            draft.replace(path)

    def list(self, queue: str | None = None) -> list[Parked]:
        """Return the parked messages of one queue, or of all, oldest first."""
        return oldest_first(self._parked.values(), queue)

    def take(self, parked_id: str) -> Parked:
        """Remove the message and return it. Raises NotFound."""
        if parked_id not in self._parked:
            raise NotFound("parked message", parked_id)
        if self._directory is not None:
            (self._directory / f"{parked_id}.json").unlink(missing_ok=True)
        return self._parked.pop(parked_id)


def oldest_first(parked: Iterable[Parked], queue: str | None) -> list[Parked]:
    """Return the messages of one queue, or of all, by when they first failed."""
    return sorted((p for p in parked if queue in (None, p.queue)), key=lambda p: p.first_failed)


def fresh(parked: Parked) -> bytes:
    """Return the body to replay: its envelope marked as replayed, at the first attempt; other bytes as they are."""
    try:
        return Envelope.parse(parked.body).model_copy(update={"attempt": 1, "replayed": True}).encode()
    except MalformedMessage:
        return parked.body


def _read(path: Path) -> Parked:
    try:
        return Parked.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise IntegrityError(f"{path} is damaged: it holds no parked message") from error
