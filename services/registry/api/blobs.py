"""Code and data by key and hash, for those who may read and no more: the evaluators."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from archloop.contracts.base import Sha256
from archloop.errors import NotFound
from archloop.ops.problems import NOT_FOUND, responses
from services.registry.api.ports import PortsDep, reader

router = APIRouter(
    tags=["blobs"], dependencies=[Depends(reader)], responses=NOT_FOUND | responses(HTTPStatus.UNAUTHORIZED)
)
_BYTES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": {}}}}
_KEY = Path(pattern=r"^(code|data)/", max_length=512, description="Code and data only; adapters are not for reading.")


@router.get("/blobs/{key:path}", response_class=Response, responses=_BYTES)
async def get_blob(ports: PortsDep, key: Annotated[str, _KEY], sha256: Sha256) -> Response:
    """Return the bytes under the key, if they have this hash."""
    ref = await ports.blobs.find(key)
    if ref is None or ref.sha256 != sha256:
        raise NotFound("blob", f"{key} with sha256 {sha256}")
    return Response(
        await ports.blobs.get(ref),
        media_type="application/octet-stream",
        headers={"X-Content-Type-Options": "nosniff"},
    )
