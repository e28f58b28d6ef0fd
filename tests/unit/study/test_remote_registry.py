"""Which URLs a registry may have, and what is told of one."""

import pytest

from archloop.errors import InvalidInput, Unavailable
from archloop.ops import web
from archloop_lab.remote_registry import RemoteRegistry


@pytest.mark.parametrize("url", ["http://h:99999", "http://h:0", "https://h:-1", "http://h:x", "http://[::1]:65536/"])
def test_a_port_that_cannot_be_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInput, match="--server"):
        web.client(url, "--server")


@pytest.mark.parametrize("user", ["u:secret", ":secret", "secret", "a%40b:secret", "secret:"])
async def test_a_password_in_its_url_is_never_told(user: str) -> None:
    async with web.client(f"http://{user}@127.0.0.1:9/", "--server") as client:
        with pytest.raises(Unavailable, match=r"registry at http://127\.0\.0\.1:9") as told:
            await RemoteRegistry(client)._once("GET", "/runs")
    assert "secret" not in str(told.value)
