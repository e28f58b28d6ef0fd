"""A browser's window in which nothing may go wrong unseen."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

# Where screenshots go, for the documentation; nowhere without it.
_FOLDER = os.environ.get("ARCHLOOP_SCREENSHOTS")
_PATIENCE_MS = 60_000
expect.set_options(timeout=_PATIENCE_MS)


class Look(NamedTuple):
    """A size of the window, and the colours that the user wants."""

    width: int
    theme: Literal["light", "dark"]

    def __str__(self) -> str:
        return f"{self.width}-{self.theme}"


@contextmanager
def window(browser: Browser, url: str, look: Look) -> Iterator[Page]:
    """Open a window; at its end nothing was said on the console, and no script failed."""
    height = 900 if look.width > 600 else 844
    context = browser.new_context(
        base_url=url, viewport={"width": look.width, "height": height}, color_scheme=look.theme
    )
    said: list[str] = []
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        yield page
        assert said == []
    finally:
        context.close()


def keep(page: Page, name: str, look: Look, *, whole: bool = True) -> None:
    """Keep a picture of the page, where somebody wants one."""
    if _FOLDER:
        page.screenshot(path=Path(_FOLDER) / f"{name}-{look}.png", full_page=whole)


def flaws(page: Page) -> list[str]:
    """What axe-core finds that hinders somebody, and what does not fit the window."""
    found = Axe().run(page).response["violations"]
    serious = [
        f"{each['id']}: {node['html'][:160]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"][:3]
    ]
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return serious + ([f"{over} px wider than the window"] if over > 0 else [])
