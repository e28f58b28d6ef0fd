"""From a design to a network: stem, stages of one family's body, downsampling, head."""

from collections.abc import Callable

from services.generator.seeds.body import At, Body
from services.generator.seeds.design import Design
from services.generator.seeds.draft import Draft, assignments, module
from services.generator.seeds.families import BODIES, HELPERS

_STRIDED = "strided convolution"


def write_features(draft: Draft, design: Design) -> None:
    """Write helper module, stem and stages, in the layout of the design."""
    body = BODIES[design.family][design.block]
    draft.helpers.append(module(HELPERS[design.family], "cin, cout", body(design.style, At("cin", "cout"))))
    _LAYOUTS[design.layout](draft, design)


def write_head(draft: Draft, design: Design) -> None:
    """Write the layers from feature maps to logits."""
    pool = "Max" if design.head == "global max pooling" else "Avg"
    draft.add(Body({"pool": [f"nn.Adaptive{pool}Pool2d(1)"]}, ["x = self.pool(x).flatten(1)"]))
    draft.layers += assignments({"head": _classifier(design)})
    draft.steps.append("return self.head(x)")


def _attributes(draft: Draft, design: Design) -> None:
    draft.add(Body({"stem": _stem(design)}, ["x = self.stem(x)"]))
    for number, stage in enumerate(_stages(design), 1):
        draft.add(Body({f"stage{number}": stage}, [f"x = self.stage{number}(x)"]))


def _chained(draft: Draft, design: Design) -> None:
    modules = [each for stage in _stages(design) for each in stage]
    draft.add(Body({"features": [*_stem(design), *modules]}, ["x = self.features(x)"]))


def _looped(draft: Draft, design: Design) -> None:
    """Write stages of one shape: what halves in the first of them halves in none but the last."""
    draft.layers += assignments({"stem": _stem(design)})
    draft.layers.append(f"widths = {list(design.widths)}")
    block = HELPERS[design.family]
    unit = [f"{block}(a, b)", *[f"{block}(b, b)"] * (design.depth - 1)]
    each = unit[0] if len(unit) == 1 else f"nn.Sequential({', '.join(unit)})"
    draft.layers.append(f"self.stages = nn.ModuleList([{each} for a, b in zip(widths, widths[1:])])")
    draft.layers += assignments({"down": [_halving(None, design)]}) if any(design.halved) else []
    draft.steps += ["x = self.stem(x)", *_loop(design)]


def _loop(design: Design) -> list[str]:
    if not any(design.halved):
        return ["for stage in self.stages:", "    x = stage(x)"]
    places = {number for number, halved in enumerate(design.halved) if halved}
    return [
        "for i, stage in enumerate(self.stages):",
        f"    x = self.down(stage(x)) if i in {places} else stage(x)",
    ]


_LAYOUTS: dict[str, Callable[[Draft, Design], None]] = {
    "one attribute for each stage": _attributes,
    "stages in a Sequential": _chained,
    "stages in a loop over widths": _looped,
}


def _stages(design: Design) -> list[list[str]]:
    block = HELPERS[design.family]
    stages = []
    for cin, cout, halved in zip(design.widths, design.widths[1:], design.halved, strict=False):
        blocks = [f"{block}({cin}, {cout})", *[f"{block}({cout}, {cout})"] * (design.depth - 1)]
        stages.append([*blocks, *([_halving(cout, design)] if halved else [])])
    return stages


def _stem(design: Design) -> list[str]:
    strided = design.stem_halves and design.downsampling == _STRIDED
    modules = design.style.unit(
        "in_shape[1]", str(design.widths[0]), design.stem_kernel, ", stride=2" if strided else ""
    )
    return [*modules, *([_pool(design)] if design.stem_halves and not strided else [])]


def _halving(width: int | None, design: Design) -> str:
    """Halve height and width; a convolution where the width is known, for stages in a loop have different ones."""
    if width is None or design.downsampling != _STRIDED:
        return _pool(design)
    return f"nn.Conv2d({width}, {width}, 2, stride=2)"


def _pool(design: Design) -> str:
    return "nn.AvgPool2d(2)" if design.downsampling == "average pooling" else "nn.MaxPool2d(2)"


def _classifier(design: Design) -> list[str]:
    width = design.widths[-1]
    dropout = [f"nn.Dropout({design.dropout})"] if design.dropout else []
    if not design.hidden:
        return [*dropout, f"nn.Linear({width}, out_shape[0])"]
    last = f"nn.Linear({design.hidden}, out_shape[0])"
    return [f"nn.Linear({width}, {design.hidden})", design.style.act, *dropout, last]
