"""Ways to write a block of each family, and its name; none mixes in what marks another family."""

from collections.abc import Mapping
from types import MappingProxyType

from archloop.contracts.values import Family
from services.generator.seeds.body import BodyWriter
from services.generator.seeds.families import gating, merging, sequential

BODIES: Mapping[Family, tuple[BodyWriter, ...]] = MappingProxyType(
    {
        Family.PLAIN: sequential.PLAIN,
        Family.RESIDUAL: merging.RESIDUAL,
        Family.DENSE: merging.DENSE,
        Family.INCEPTION: merging.INCEPTION,
        Family.DEPTHWISE: sequential.DEPTHWISE,
        Family.SQUEEZE_EXCITE: gating.SQUEEZE_EXCITE,
        Family.ATTENTION: gating.ATTENTION,
        Family.GATED: gating.GATED,
    }
)

HELPERS: Mapping[Family, str] = MappingProxyType(
    {
        Family.PLAIN: "ConvUnit",
        Family.RESIDUAL: "SkipUnit",
        Family.DENSE: "GrowUnit",
        Family.INCEPTION: "Branches",
        Family.DEPTHWISE: "DepthUnit",
        Family.SQUEEZE_EXCITE: "ScaledUnit",
        Family.ATTENTION: "TokenMixer",
        Family.GATED: "GatedUnit",
    }
)

__all__ = ["BODIES", "HELPERS"]
