"""Pages of a long list, by links."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode


class Pager(NamedTuple):
    """Where a page is in its list: `path` with the `query` leads to it."""

    path: str
    query: Mapping[str, str]
    offset: int
    limit: int
    total: int

    @property
    def first(self) -> int:
        """The number of its first item, from 1."""
        return min(self.offset + 1, self.total)

    @property
    def last(self) -> int:
        """The number of its last item."""
        return min(self.offset + self.limit, self.total)

    @property
    def before(self) -> str:
        """The address of the page before; empty where there is none."""
        return self.at(max(0, self.offset - self.limit)) if self.offset else ""

    @property
    def after(self) -> str:
        """The address of the page after; empty where there is none."""
        return self.at(self.offset + self.limit) if self.last < self.total else ""

    def at(self, offset: int) -> str:
        """Return the address of the page that begins here."""
        return self.with_(offset=str(offset) if offset else "")

    def with_(self, **changes: str) -> str:
        """Return the address with other conditions; an empty one is left out."""
        query = {name: value for name, value in {**self.query, **changes}.items() if value}
        return f"{self.path}?{urlencode(query)}" if query else self.path
