"""The whole loop in one process with its page, and Debian's Chromium to look at it."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, sync_playwright

from archloop import presets
from archloop.ops.http import listening
from archloop_cli import embedded, layout
from archloop_cli.embedded import Loop
from archloop_lab.needs import ANY
from tests.support import small_preset

_CHROMIUM = shutil.which("chromium")
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


class Running(NamedTuple):
    """A loop that goes on in a thread of its own: its page's address, and itself."""

    url: str
    loop: Loop
    events: asyncio.AbstractEventLoop


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Gone when its module is: while it is there, asyncio has a running loop, which other tests are to make."""
    if _CHROMIUM is None:
        pytest.skip("there is no `chromium` (the distribution's package) to look at the page with")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=_CHROMIUM, headless=True, args=list(_QUIET))
        yield found
        found.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Running]:
    """All services, with nothing to do yet. Not without a browser, for it takes a while."""
    folder = tmp_path_factory.mktemp("loop")
    ready: Future[Running] = Future()
    ending: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_served(folder, ready, ending)))
    thread.start()
    try:
        yield ready.result(120)
    finally:
        events, end = ending.result(1)
        events.call_soon_threadsafe(end.set)
        thread.join(60)


async def _served(
    folder: Path,
    ready: "Future[Running]",
    ending: "Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]",
) -> None:
    end, events = asyncio.Event(), asyncio.get_running_loop()
    ending.set_result((events, end))
    try:
        spec = presets.load(str(small_preset(folder)))
        laid_out = layout.Layout(layout.laid_out(spec, ANY), spec, folder)
        async with embedded.composed(folder, laid_out) as loop, listening(loop.api, "127.0.0.1", 0, "port") as url:
            ready.set_result(Running(url, loop, events))
            await end.wait()
    except BaseException as error:
        if not ready.done():
            ready.set_exception(error)
        raise
