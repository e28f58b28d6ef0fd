"""Imports where there is no jail: what may not be read is not there, though its name can be listed."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from services.evaluator.sandbox.contents import Contents


class ReadableFinder(PathFinder):
    """Finds what lies on the path, if a candidate may read it.

    A library that can do without another package expects ImportError where it is missing, not PermissionError.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def find_spec(  # type: ignore[override]  # a class method there
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not spec.has_location or spec.origin is None:
            return spec
        return spec if self._contents.holds(Path(spec.origin).resolve()) else None


def restrict(contents: Contents) -> None:
    """For this process: no protection, which is Landlock's, but the same answer as in the jail."""
    finder = ReadableFinder(contents)
    sys.meta_path[:] = [finder if found is PathFinder else found for found in sys.meta_path]
