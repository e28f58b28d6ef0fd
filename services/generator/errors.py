"""What can go wrong between the generator and its model server."""

from archloop.errors import ArchloopError, InvalidInput, Unavailable


class ServerOverloaded(Unavailable):
    """The model server has more requests than it takes on at a time."""

    code = "server_overloaded"


class GenerationFailed(Unavailable):
    """The model server took the request and did not come to an end with it."""

    code = "generation_failed"


class TooLong(InvalidInput):
    """Prompt and answer together are more than the model server takes; a shorter answer may fit."""

    code = "too_long"


class AdapterMissing(Unavailable):
    """The model server does not know an adapter that it had loaded: it has been restarted."""

    code = "adapter_missing"


class AdapterUnusable(ArchloopError):
    """An adapter version that can never be served here; whatever is served goes on being served."""

    code = "adapter_unusable"


class AdapterDamaged(AdapterUnusable):
    """An adapter version whose bytes are not there, or are others. Somebody may put them back."""
