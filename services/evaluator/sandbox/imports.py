"""Imports where there is no jail: a file that may not be read counts as missing, though its name can be listed."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from services.evaluator.sandbox.contents import Contents


class ReadableFinder(PathFinder):
    """Finder of modules on the path that a candidate may read.

    A library that can do without another package expects ImportError where it is missing, not PermissionError.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def find_spec(  # type: ignore[override]  # a class method there
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module as PathFinder does; None if its file may not be read."""
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not spec.has_location or spec.origin is None:
            return spec
        return spec if self._contents.holds(Path(spec.origin).resolve()) else None


def restrict(contents: Contents) -> None:
    """Use ReadableFinder in this process. It does not protect, as Landlock does; imports fail as in the jail."""
    finder = ReadableFinder(contents)
    sys.meta_path[:] = [finder if found is PathFinder else found for found in sys.meta_path]
