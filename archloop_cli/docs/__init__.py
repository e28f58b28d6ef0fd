"""Reference pages that are generated from the code, so that they cannot drift: `python -m archloop_cli.docs`."""

import json
from pathlib import Path
from typing import Any

from archloop_cli.docs import asyncapi, fits, messages, settings
from services.registry.api import create

_FOLDER = Path("docs/reference")


def pages() -> dict[Path, str]:
    """Write the text of every generated page."""
    return {
        _FOLDER / "messages.md": messages.text(),
        _FOLDER / "asyncapi.yaml": asyncapi.text(),
        _FOLDER / "openapi.json": openapi(),
        _FOLDER / "settings.md": settings.text(),
        fits.PAGE: fits.text(),
    }


def openapi() -> str:
    """Write the registry's HTTP API as `/openapi.json` of a running registry answers it."""
    unused: Any = None  # behind the endpoints, none of which is called
    return json.dumps(create(unused, unused, unused).openapi(), indent=1, ensure_ascii=False) + "\n"


def drifted() -> list[Path]:
    """List the pages whose file is not what the code says."""
    return [path for path, text in pages().items() if not path.is_file() or path.read_text() != text]
