"""The page over a registry, as browsers see it, and what a browser makes of an answer."""

from html.parser import HTMLParser

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from archloop.bus.port import Bus
from archloop.contracts.envelope import Envelope
from services.registry import page
from services.registry.api import bounded, create
from services.registry.counting import Counts
from services.registry.page.access import Access
from services.registry.page.library import Shelf, StoreLibrary
from services.registry.page.routing import Desk
from tests.unit.registry.world import World


async def publish(_: Envelope) -> None:
    """Nobody listens."""


def app_of(
    world: World,
    token: str | None = None,
    read_token: str | None = None,
    *,
    bus: Bus | None = None,
    counts: Counts | None = None,
    served: bool = True,
) -> FastAPI:
    """The registry's API with the page; or the page over what is recorded alone."""
    given = {"token": token, "read_token": read_token}
    tokens = {name: SecretStr(value) if value else None for name, value in given.items()}
    app = create(world.store, world.blobs, publish, **tokens)
    shelf = Shelf(world.store, world.blobs, bounded(app))
    ports = app.state.ports if served else None
    page.install(app, Desk(StoreLibrary(shelf), Access(**tokens), ports=ports, bus=bus, counts=counts or Counts()))
    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """A browser that follows no redirect by itself."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://registry")


class Seen(HTMLParser):
    """What a browser finds in a document: its elements, their attributes, and all text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def links(self) -> list[str]:
        return [address for each in self.all("a") if (address := each.get("href"))]
