"""Ways to write a block of each family, none of which mixes in the mark of another."""

from collections.abc import Mapping
from types import MappingProxyType

from services.generator.seeds.body import BodyWriter
from services.generator.seeds.families import gating, merging, sequential

BODIES: Mapping[str, tuple[BodyWriter, ...]] = MappingProxyType(
    {
        "plain": sequential.PLAIN,
        "residual": merging.RESIDUAL,
        "dense": merging.DENSE,
        "inception": merging.INCEPTION,
        "depthwise": sequential.DEPTHWISE,
        "squeeze_excite": gating.SQUEEZE_EXCITE,
        "attention": gating.ATTENTION,
        "gated": gating.GATED,
    }
)

__all__ = ["BODIES"]
