"""nn-dataset from the Python package index: the version that still ships its architectures."""

import tempfile
from pathlib import Path

from archloop_lab.wheels import download, verified

WORD = "nn-dataset"
_PACKAGE = "nn-dataset==2.1.2"
_SHA256 = "1f0b66a4f4de80a27b44a502112d4436eac1f97361ea3aae3266a550f01b07de"


def wheel() -> Path:
    """Return its wheel, 103 MB, downloaded if that was not done before. Raises Unavailable, IntegrityError."""
    path = Path.home() / ".cache" / "archloop" / "lemur" / f"{_PACKAGE}.whl"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            verified(download(_PACKAGE, Path(scratch)), _SHA256, _PACKAGE).rename(path)
    return path
