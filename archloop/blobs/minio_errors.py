"""Errors of an S3 server as Archloop's own, with no secret in their texts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError, MaxRetryError

from archloop.errors import ArchloopError, Misconfigured, Unavailable


class Place(Protocol):
    """What messages may tell of a bucket."""

    @property
    def endpoint(self) -> str:
        """The server's URL."""

    @property
    def name(self) -> str:
        """The bucket's name."""

    @property
    def access_key(self) -> str:
        """The access key, which is no secret."""

    @property
    def settings(self) -> str:
        """What the names of the settings begin with."""


# By S3 error code: the setting that is wrong, and how.
_WRONG = {
    "NoSuchBucket": ("BUCKET", "there is no such bucket"),
    "PermanentRedirect": ("REGION", "the bucket is in another region"),
    "AuthorizationHeaderMalformed": ("REGION", "the bucket is in another region"),
    "InvalidAccessKeyId": ("ACCESS_KEY", "the server does not know this access key"),
    "SignatureDoesNotMatch": ("SECRET_KEY", "is not the secret of the access key"),
    "AccessDenied": ("ACCESS_KEY", "this access key may not do what was asked"),
}
_TRANSIENT = {408, 409, 429}


@contextmanager
def translated(place: Place) -> Iterator[None]:
    """Raise the client's errors as Unavailable where the same request may succeed later, else as Misconfigured."""
    try:
        yield
    except S3Error as error:
        raise _of_status(place, error.response.status, error.code or "") from error
    except ServerError as error:
        raise _of_status(place, error.status_code, "") from error
    except InvalidResponseError as error:
        # Its text repeats what was answered, which may be any web page.
        raise _of_status(place, error._code, "answer that is not S3's") from None  # noqa: SLF001
    except (HTTPError, OSError) as error:
        raise _away(place, _reason(error)) from error
    except MinioException as error:
        raise _away(place, type(error).__name__) from error


def refusal(place: Place, code: str) -> Misconfigured:
    """Return the permanent error that an S3 error code stands for."""
    setting, problem = _WRONG.get(code, ("ENDPOINT", "is no S3 server that takes our requests"))
    where = f"{place.endpoint}, bucket {place.name!r}, access key {place.access_key!r}"
    return Misconfigured(f"{place.settings}_{setting}", f"{problem} ({where}; answer: {code or 'no S3 error'})")


def _of_status(place: Place, status: int, code: str) -> ArchloopError:
    if status >= 500 or status in _TRANSIENT:
        return _away(place, f"HTTP {status} {code}".rstrip())
    return refusal(place, code)


def _away(place: Place, problem: str) -> Unavailable:
    return Unavailable(f"{place.settings}_ENDPOINT: object store {place.endpoint}: {problem}")


def _reason(error: Exception) -> str:
    if isinstance(error, MaxRetryError) and error.reason is not None:
        error = error.reason
    return f"{type(error).__name__}: {error}"
