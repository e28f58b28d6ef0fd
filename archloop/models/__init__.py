"""Where base models are: `tiny` ships with the project, anything else is a folder or a hub id."""

from pathlib import Path

from archloop.contracts.values import sha256_of

_FOLDER = Path(__file__).parent


def locate(name: str) -> str:
    """What transformers' `from_pretrained` takes for this model."""
    shipped = {path.parent.name: path.parent for path in _FOLDER.glob("*/config.json")}
    return str(shipped.get(name, name))


def fingerprint(name: str) -> str:
    """SHA-256 over the weights of a local model, or over its hub id."""
    try:
        files = sorted(Path(locate(name)).glob("*.safetensors"))
    except OSError:  # A hub id need not be a possible name of a folder.
        files = []
    return sha256_of("".join(sha256_of(f.read_bytes()) for f in files) if files else name)
