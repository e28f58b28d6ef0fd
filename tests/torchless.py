"""Leave out every test that needs torch: `pytest -p tests.torchless`, as `make check` runs it.

Whatever asks for torch is skipped at that import, so there is no list of such tests to keep. Programs that a test
starts are not looked into.
"""

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

HEAVY = ("torch", "torchvision", "transformers", "peft", "trl", "accelerate")


class _Refusal(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in HEAVY:
            raise pytest.skip.Exception(f"needs {fullname}", allow_module_level=True)
        return None


sys.meta_path.insert(0, _Refusal())
