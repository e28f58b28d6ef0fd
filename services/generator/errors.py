"""Errors between the generator and its model server."""

from archloop.errors import ArchloopError, InvalidInput, Unavailable


class ServerOverloaded(Unavailable):
    """The model server has as many requests as it accepts at a time."""

    code = "server_overloaded"


class GenerationFailed(Unavailable):
    """The model server accepted the request and did not finish it."""

    code = "generation_failed"


class TooLong(InvalidInput):
    """Prompt and answer together are more than the model server accepts; a shorter answer may fit."""

    code = "too_long"


class Unguided(InvalidInput):
    """The model server cannot decode under a grammar, which the whole run asks for."""


class AdapterMissing(Unavailable):
    """The model server does not know an adapter that it had loaded: it has been restarted."""

    code = "adapter_missing"


class AdapterUnusable(ArchloopError):
    """An adapter version can never be served here; what is served already goes on."""

    code = "adapter_unusable"


class AdapterDamaged(AdapterUnusable):
    """The bytes of an adapter version are missing or wrong. Somebody may put them back."""
