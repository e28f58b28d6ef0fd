"""The registry's HTTP API as an OpenAPI document."""

import json
from typing import Any

from services.registry.api import create


def text() -> str:
    """Write the document as `/openapi.json` of a running registry answers it."""
    unused: Any = None  # behind the endpoints, none of which is called
    return json.dumps(create(unused, unused, unused).openapi(), indent=1, ensure_ascii=False) + "\n"
