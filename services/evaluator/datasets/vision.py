"""The package torchvision, of which only the readers of data sets are used."""

from types import ModuleType

from archloop.errors import Misconfigured


def vision() -> ModuleType:
    """Import `torchvision.datasets`. Raises Misconfigured where it is missing, or built for another torch."""
    try:
        import torchvision.datasets
    except ImportError as error:
        raise Misconfigured("torchvision", f"cannot be imported ({error}); pip install 'archloop[data]'") from error
    except RuntimeError as error:
        # Its compiled operators did not load. Other libraries import it too and would fail less plainly.
        problem = f"is no build for the torch that is installed ({error}); take both from the same index"
        raise Misconfigured("torchvision", problem) from error
    return torchvision.datasets  # type: ignore[no-any-return]
