"""The HTTP client of every service; which parts of the environment it obeys depends on where it connects to.

docs/reference/environment.md has the table.
"""

import ssl
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import httpx2

from archloop.addresses import place_of, proxy_for
from archloop.errors import InvalidInput, Misconfigured

_PROXIES = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY"
_CERTIFICATES = "SSL_CERT_FILE, SSL_CERT_DIR"
_FORM = "http://host:port or https://host:port"


def client(url: str, setting: str, *, verify: ssl.SSLContext | None = None, **options: Any) -> httpx2.AsyncClient:
    """Make a client for the server at `url`, which `setting` names.

    It uses no proxy and reads no certificates where none are needed. Raises InvalidInput for what is no URL,
    Misconfigured for an environment that cannot be obeyed.
    """
    _check(url, setting)
    proxy = proxy_for(url)
    context = verify or trusted(url, proxy or "")
    return httpx2.AsyncClient(
        base_url=url, trust_env=False, verify=context, proxy=_proxy(proxy, context) if proxy else None, **options
    )


def trusted(*urls: str) -> ssl.SSLContext:
    """Return the certificates that the environment trusts; where no URL is of TLS none, without reading any."""
    if not any(url.startswith("https:") for url in urls):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        raise Misconfigured(_CERTIFICATES, f"no certificates to trust can be read there: {error}") from error


def address_of(client: httpx2.AsyncClient) -> str:
    """Return where a client leads, without the user and password that its URL may hold."""
    return str(client.base_url.copy_with(userinfo=b""))


def _check(url: str, setting: str) -> None:
    try:
        parts = urlsplit(url)  # Says of a port whether there can be one.
        sound = parts.scheme in {"http", "https"} and parts.port != 0 and bool(httpx2.URL(url).host)
    except (httpx2.InvalidURL, ValueError):
        sound = False
    if not sound:
        raise InvalidInput(setting, url.rpartition("@")[2], _FORM)


def _proxy(url: str, context: ssl.SSLContext) -> httpx2.Proxy:
    try:
        proxy = httpx2.Proxy(url, ssl_context=context if url.startswith("https:") else None)
    except (httpx2.InvalidURL, ValueError):
        raise Misconfigured(_PROXIES, f"{place_of(url)} is no proxy; expected http://host:port") from None
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise Misconfigured(_PROXIES, f"a SOCKS proxy ({place_of(url)}) needs `pip install socksio`")
    return proxy
