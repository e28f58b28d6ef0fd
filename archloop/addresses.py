"""Which addresses are this machine's own, by which proxy any other is reached, and what may be told of a URL."""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

Address = IPv4Address | IPv6Address
_PLAIN = re.compile(r"[\w.-]+(?::\d+)?(?:/[\w.-]*)?")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach what listens on `host`, by how the name or address is written."""
    address = _address(host)
    return address.is_loopback if address else _is_localhost(host)


def is_address(host: str) -> bool:
    """Return whether it is an address, and no name."""
    return _address(host) is not None


def is_own(host: str) -> bool:
    """Return whether a connection to `host` stays on this machine: loopback, or the unspecified address."""
    address = _address(host)
    return is_loopback(host) or (address is not None and address.is_unspecified)


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for a URL; None for this machine's own, and for those in NO_PROXY."""
    parts, known = urlsplit(url), getproxies()
    host, proxy = parts.hostname or "", known.get(parts.scheme) or known.get("all")
    if not proxy or is_own(host) or _is_excepted(host, parts.netloc.rpartition("@")[2], known.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def place_of(url: str) -> str:
    """Return where a URL leads, if that is plain to see however garbled it is; never its user and password."""
    _, found, place = url.rpartition("@")
    if not found:
        _, found, place = url.partition("://")
    return repr(place) if found and _PLAIN.fullmatch(place) else "its value, which is not shown,"


def _address(host: str) -> Address | None:
    """Parse an address, or one like 127.1, which a resolver takes for one; of a mapped one return the IPv4 address."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return _old_form(host)
    return getattr(address, "ipv4_mapped", None) or address


def _old_form(host: str) -> IPv4Address | None:
    if not host[:1].isdigit() or " " in host:
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _is_localhost(host: str) -> bool:
    """Return whether it is the name localhost, or one beneath it (RFC 6761)."""
    return f".{host.rstrip('.').lower()}".endswith(".localhost")


def _is_excepted(host: str, place: str, excepted: str) -> bool:
    """Read NO_PROXY as curl and Go do: names with all beneath them, `*.name`, networks, and `*`."""
    entries = [entry.strip().lower() for entry in excepted.split(",") if entry.strip()]
    beneath = any(entry.startswith("*") and host.endswith(entry[1:]) for entry in entries)
    if beneath or proxy_bypass(place):
        return True
    address = _address(host)
    return address is not None and any(_holds(entry, address) for entry in entries)


def _holds(entry: str, address: Address) -> bool:
    try:
        return address in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return False
