"""What the endpoints need, and the parameters that many of them share."""

import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from archloop.blobs.port import Blobs
from archloop.contracts.base import RunId
from archloop.contracts.envelope import Envelope
from archloop.errors import ArchloopError
from services.registry.counting import Counts
from services.registry.stores.port import Store

Publish = Callable[[Envelope], Awaitable[None]]
LARGEST = 2**31 - 1
WRITING = "writing needs the header `Authorization: Bearer <the registry's token>`"


class Unauthorized(ArchloopError):
    """The operation needs a token of the registry."""

    code = "unauthorized"


@dataclass(frozen=True)
class Ports:
    """The store, the blobs and the bus behind the API, and the tokens that it takes."""

    store: Store
    blobs: Blobs
    publish: Publish
    counts: Counts
    token: SecretStr | None = None
    read_token: SecretStr | None = None
    base_models: Collection[str] = ()


async def _ports(request: Request) -> Ports:
    ports: Ports = request.app.state.ports
    return ports


async def _store(request: Request) -> Store:
    return (await _ports(request)).store


_bearer = HTTPBearer(auto_error=False, description="The registry's write token, where one is set.")


def bears(token: SecretStr, authorization: str) -> bool:
    """Return whether the header has this token."""
    scheme, _, given = authorization.partition(" ")
    return _is(token, given.strip()) and scheme.lower() == "bearer"


async def authorized(
    ports: Annotated[Ports, Depends(_ports)],
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Raise Unauthorized where a token is set and the request has another or none."""
    if ports.token is not None and not _gives(given, ports.token):
        raise Unauthorized(WRITING)


async def role(ports: Annotated[Ports, Depends(_ports)]) -> str:
    """Return by what right the caller may write: a token, or being on this machine."""
    return "operator" if ports.token is None else "operate"


async def reader(
    ports: Annotated[Ports, Depends(_ports)],
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Raise Unauthorized where tokens are set and the request has none of them."""
    tokens = [each for each in (ports.read_token, ports.token) if each is not None]
    if tokens and not _gives(given, *tokens):
        raise Unauthorized("reading code and data needs the header `Authorization: Bearer <a token of the registry>`")


def _gives(given: HTTPAuthorizationCredentials | None, *tokens: SecretStr) -> bool:
    return given is not None and any(_is(token, given.credentials) for token in tokens)


def _is(token: SecretStr, given: str) -> bool:
    return secrets.compare_digest(given.encode(), token.get_secret_value().encode())


PortsDep = Annotated[Ports, Depends(_ports)]
StoreDep = Annotated[Store, Depends(_store)]
RunPath = Annotated[RunId, Path(description="The run's name.")]
CandidatePath = Annotated[str, Path(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Offset = Annotated[int, Query(ge=0, le=LARGEST, description="How many to skip.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many to return at most.")]
Traceparent = Annotated[
    str | None,
    Header(description="W3C trace context, which all that follows continues; ignored where it is not valid."),
]
