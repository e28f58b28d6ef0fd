"""Adapters that may be served: plain LoRA in safetensors, trained on the base model, proven by the trainer's probe."""

from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from archloop.adapters import ADAPTER_FILES, CONFIG_FILE, WEIGHTS_FILE, ServableLora, servable
from archloop.contracts.adapter import AdapterManifest, Probe
from archloop.errors import InvalidInput
from services.generator.backends.port import Answer, Backend, Decoding, ServedModel
from services.generator.errors import AdapterUnusable

MAX_CONFIG_BYTES = 64 * 1024


def check_manifest(manifest: AdapterManifest, adapter: str, base: ServedModel, max_bytes: int) -> None:
    """Check the manifest, before a single file is fetched. Raises AdapterUnusable naming the first error."""
    if manifest.adapter != adapter:
        raise AdapterUnusable(f"the manifest is of adapter {manifest.adapter!r}, expected {adapter!r}")
    if manifest.base_sha256 != base.sha256:
        raise AdapterUnusable(
            f"trained on base model {manifest.base_model!r} with sha256 {manifest.base_sha256[:12]}…; "
            f"served here is {base.name!r} with {base.sha256[:12]}…"
        )
    if strange := sorted(manifest.files.keys() ^ set(ADAPTER_FILES)):
        raise AdapterUnusable(f"files: {strange[0]!r} is wrong; expected exactly {' and '.join(ADAPTER_FILES)}")
    for name, limit in ((CONFIG_FILE, MAX_CONFIG_BYTES), (WEIGHTS_FILE, max_bytes)):
        if (size := manifest.files[name].bytes) > limit:
            raise AdapterUnusable(f"{name}: {size} bytes are too many; at most {limit} are taken")


def check_files(folder: Path, manifest: AdapterManifest) -> None:
    """Check the fetched files without importing or unpickling anything. Raises AdapterUnusable."""
    try:
        lora = servable((folder / CONFIG_FILE).read_bytes())
    except InvalidInput as error:
        raise AdapterUnusable(f"{CONFIG_FILE}: {error}") from error
    if lora.r != manifest.lora.r:
        raise AdapterUnusable(f"{CONFIG_FILE}: r is {lora.r}, but {manifest.lora.r} in the manifest")
    _check_weights(folder / WEIGHTS_FILE, lora)


def _check_weights(path: Path, lora: ServableLora) -> None:
    try:
        with safe_open(path, framework="numpy") as weights:
            shapes = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise AdapterUnusable(f"{WEIGHTS_FILE} is no safetensors file: {error}") from error
    for name, shape in shapes.items():
        if _rank(name, shape, lora.target_modules) != lora.r:
            raise AdapterUnusable(
                f"{WEIGHTS_FILE}: {name} of shape {shape} is no rank-{lora.r} LoRA matrix of one of the target modules"
            )
    pairs = {name.replace(".lora_B.", ".lora_A.") for name in shapes}
    if not shapes or len(shapes) != 2 * len(pairs):
        raise AdapterUnusable(f"{WEIGHTS_FILE}: {len(shapes)} tensors are no pairs of lora_A and lora_B")


def _rank(name: str, shape: tuple[int, ...], modules: Sequence[str]) -> int | None:
    """Return the rank that a matrix' shape tells; None where it is no LoRA matrix of one of these modules.

    The shape is (r, in) for `….<module>.lora_A.weight`, and (out, r) for `….lora_B.weight`.
    """
    match name.split("."):
        case [*_, module, "lora_A" | "lora_B" as side, "weight"] if module in modules and len(shape) == 2:
            return shape[0 if side == "lora_A" else 1]
    return None


async def prove(backend: Backend, adapter: str, probe: Probe) -> None:
    """Raise AdapterUnusable where the answer is not the adapter's, or where it could be the base model's."""
    answer = await backend.generate(probe.prompt, Decoding(probe.max_new_tokens), None, adapter)
    if _is(answer, probe.base_text, probe.base_logprob, probe.tolerance):
        raise AdapterUnusable(f"probe: the server answers for {adapter!r} as the base model does")
    if not _is(answer, probe.text, probe.logprob, probe.tolerance):
        raise AdapterUnusable(
            f"probe: {answer.text!r} with log-probability {answer.logprob:.4f} is not the trainer's "
            f"{probe.text!r} with {probe.logprob:.4f} ± {probe.tolerance}"
        )


def _is(answer: Answer, text: str, logprob: float, tolerance: float) -> bool:
    return _sure(answer.text) == _sure(text) and abs(answer.logprob - logprob) <= tolerance


def _sure(text: str) -> str:
    """Return the text without an incomplete character at its end.

    vLLM's stream holds the beginning of a character back, where the trainer decodes it to U+FFFD.
    """
    return text.rstrip("\ufffd")
