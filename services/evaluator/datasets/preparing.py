"""Decode a source once and keep the arrays. What was decoded before an interruption is not decoded again."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from pydantic import ValidationError

from archloop.contracts.base import Frozen
from archloop.errors import Conflict, InvalidInput
from services.evaluator.datasets import prepared
from services.evaluator.datasets.prepared import Manifest
from services.evaluator.datasets.sources import Source

CHUNK = 1024
_RECORD = "progress.json"
Advance = Callable[[str, int, int], None]


class _Record(Frozen):
    """Number of images of each split that are on disk, and their source; written after the images themselves."""

    identity: str
    done: dict[str, int]


def prepare(root: Path, name: str, source: Callable[[], Source], advance: Advance) -> Manifest:
    """Prepare a data set from `source`, unless it is prepared already; return its manifest.

    `advance` is called with (split, done, total). Raises InvalidInput, Conflict while another process prepares it,
    IntegrityError where files were damaged, and whatever `source` raises.
    """
    final = prepared.folder(root, name)
    if final.exists():
        return prepared.verified(final)
    partial = root / f".{name}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    with _alone(partial):
        manifest = _Decoding(partial, source()).run(name, advance)
        partial.rename(final)
    return manifest


class _Decoding:
    """Decodes one source into one folder."""

    def __init__(self, folder: Path, source: Source) -> None:
        self._folder, self._source = folder, source
        self._shape = source.pixels("train", 0).shape
        self._done = self._resumed()

    def run(self, name: str, advance: Advance) -> Manifest:
        """Decode every split, then write the manifest and remove the record of the progress."""
        for split in prepared.SPLITS:
            self._decode(split, advance)
        manifest = Manifest(
            name=name,
            source=self._source.origin,
            classes=self._source.classes,
            shape=self._shape,
            counts={split: self._source.count(split) for split in prepared.SPLITS},
            files={file: prepared.hash_of(self._folder / file) for file in prepared.array_files()},
        )
        (self._folder / prepared.MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
        (self._folder / _RECORD).unlink()
        return manifest

    def _decode(self, split: str, advance: Advance) -> None:
        total, done = self._source.count(split), self._done.get(split, 0)
        images = self._array(prepared.images_file(split), np.uint8, (total, *self._shape), fresh=not done)
        labels = self._array(prepared.labels_file(split), np.int64, (total,), fresh=not done)
        advance(split, done, total)
        while done < total:
            end = min(done + CHUNK, total)
            for index in range(done, end):
                images[index], labels[index] = self._pixels(split, index), self._source.label(split, index)
            images.flush()
            labels.flush()
            done = end
            self._note(split, done)
            advance(split, done, total)

    def _array(self, file: str, dtype: type, shape: tuple[int, ...], *, fresh: bool) -> "np.memmap[Any, Any]":
        path = self._folder / file
        return open_memmap(path, "w+", dtype, shape) if fresh else open_memmap(path, "r+")

    def _pixels(self, split: str, index: int) -> NDArray[np.uint8]:
        pixels = self._source.pixels(split, index)
        if pixels.shape != self._shape:
            known = f"{self._shape} as of the first image; `--side` brings all to one size"
            raise InvalidInput(f"shape of {self._source.named(split, index)}", pixels.shape, known)
        return pixels

    def _resumed(self) -> dict[str, int]:
        """Return what an interrupted run of this very source left; forget the record of any other source."""
        path = self._folder / _RECORD
        with suppress(OSError, ValidationError):
            record = _Record.model_validate_json(path.read_bytes())
            if record.identity == self._source.identity:
                return dict(record.done)
        path.unlink(missing_ok=True)
        return {}

    def _note(self, split: str, done: int) -> None:
        self._done[split] = done
        fresh = self._folder / f"{_RECORD}.new"
        fresh.write_text(_Record(identity=self._source.identity, done=self._done).model_dump_json())
        fresh.replace(self._folder / _RECORD)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process. Raises Conflict."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict(f"{folder}: another process is preparing this data set") from error
    finally:
        os.close(fd)
