"""Reference pages that are generated from the code, so that they cannot drift: `python -m archloop_cli.docs`."""

from pathlib import Path

from archloop_cli.docs import asyncapi, messages, openapi, settings

_FOLDER = Path("docs/reference")


def pages() -> dict[Path, str]:
    """Write the text of every generated page."""
    return {
        _FOLDER / "messages.md": messages.text(),
        _FOLDER / "asyncapi.yaml": asyncapi.text(),
        _FOLDER / "openapi.json": openapi.text(),
        _FOLDER / "settings.md": settings.text(),
    }


def drifted() -> list[Path]:
    """List the pages whose file is not what the code says."""
    return [path for path, text in pages().items() if not path.is_file() or path.read_text() != text]
