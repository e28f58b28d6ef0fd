"""Which adapters may reach the model server: plain LoRA in safetensors, trained on the base model that it serves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open

from archloop.contracts.adapter import AdapterManifest
from services.generator.backends.port import ServedModel
from services.generator.errors import AdapterUnusable

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FILES = frozenset({CONFIG, WEIGHTS})
MAX_CONFIG_BYTES = 64 * 1024

_Module = Literal[
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "c_proj", "c_fc"
]


class ServableLora(BaseModel):
    """The adapter_config.json that TGI 3.3.7, vLLM 0.33.0 and our own server all serve faithfully.

    The fields that are named here may have the values given; any other must be empty.
    """

    model_config = ConfigDict(strict=True, extra="allow")

    peft_type: Literal["LORA"]
    r: Literal[8, 16, 32, 64]
    lora_alpha: Annotated[float, Field(gt=0)]
    target_modules: Annotated[list[_Module], Field(min_length=1)]
    bias: Literal["none"] = "none"
    init_lora_weights: bool | Literal["gaussian", "eva", "orthogonal"] = True
    use_rslora: bool = False
    lora_dropout: float = 0.0
    inference_mode: bool = True
    task_type: str | None = None
    base_model_name_or_path: str | None = None
    revision: str | None = None
    peft_version: str | None = None
    auto_mapping: Any = None
    eva_config: Any = None
    megatron_core: Any = None
    qalora_group_size: Any = None
    runtime_config: Any = None

    @model_validator(mode="after")
    def _nothing_else(self) -> Self:
        if strange := sorted(name for name, value in (self.model_extra or {}).items() if value):
            raise ValueError(f"{strange[0]} is set, and not served by every model server; expected it to be absent")
        return self


def check_manifest(manifest: AdapterManifest, adapter: str, base: ServedModel, max_bytes: int) -> None:
    """Before a single file is fetched. Raises AdapterUnusable naming the first thing that is wrong."""
    if manifest.adapter != adapter:
        raise AdapterUnusable(f"the manifest is of adapter {manifest.adapter!r}, expected {adapter!r}")
    if manifest.base_sha256 != base.sha256:
        raise AdapterUnusable(
            f"trained on base model {manifest.base_model!r} with sha256 {manifest.base_sha256[:12]}…; "
            f"served here is {base.name!r} with {base.sha256[:12]}…"
        )
    if strange := sorted(manifest.files.keys() ^ FILES):
        raise AdapterUnusable(f"files: {strange[0]!r} is wrong; expected exactly {' and '.join(sorted(FILES))}")
    for name, limit in ((CONFIG, MAX_CONFIG_BYTES), (WEIGHTS, max_bytes)):
        if (size := manifest.files[name].bytes) > limit:
            raise AdapterUnusable(f"{name}: {size} bytes are too many; at most {limit} are taken")


def check_files(folder: Path, manifest: AdapterManifest) -> None:
    """After fetching. Nothing is imported or unpickled. Raises AdapterUnusable."""
    try:
        lora = ServableLora.model_validate_json((folder / CONFIG).read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise AdapterUnusable(f"{CONFIG}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if lora.r != manifest.lora.r:
        raise AdapterUnusable(f"{CONFIG}: r is {lora.r}, but {manifest.lora.r} in the manifest")
    _check_weights(folder / WEIGHTS, lora)


def _check_weights(path: Path, lora: ServableLora) -> None:
    try:
        with safe_open(path, framework="numpy") as weights:
            shapes = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise AdapterUnusable(f"{WEIGHTS} is no safetensors file: {error}") from error
    for name, shape in shapes.items():
        if _rank(name, shape, lora.target_modules) != lora.r:
            raise AdapterUnusable(
                f"{WEIGHTS}: {name} of shape {shape} is no rank-{lora.r} LoRA matrix of one of the target modules"
            )
    pairs = {name.replace(".lora_B.", ".lora_A.") for name in shapes}
    if not shapes or len(shapes) != 2 * len(pairs):
        raise AdapterUnusable(f"{WEIGHTS}: {len(shapes)} tensors are no pairs of lora_A and lora_B")


def _rank(name: str, shape: tuple[int, ...], modules: Sequence[str]) -> int | None:
    """The rank by the matrix' shape: (r, in) of `….<module>.lora_A.weight`, (out, r) of `….lora_B.weight`."""
    match name.split("."):
        case [*_, module, "lora_A" | "lora_B" as side, "weight"] if module in modules and len(shape) == 2:
            return shape[0 if side == "lora_A" else 1]
    return None
