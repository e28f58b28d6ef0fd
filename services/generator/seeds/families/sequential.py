"""Bodies without merges: `plain` and `depthwise`."""

from services.generator.seeds.body import At, Body, BodyWriter, part, times
from services.generator.seeds.code_style import CodeStyle


def _single(style: CodeStyle, at: At) -> Body:
    return Body({f"{at.prefix}body": style.unit(at.cin, at.cout)}, [f"x = self.{at.prefix}body(x)"])


def _double(style: CodeStyle, at: At) -> Body:
    layers = [*style.unit(at.cin, at.cout), *style.unit(at.cout, at.cout, 3)]
    return Body({f"{at.prefix}body": layers}, [f"x = self.{at.prefix}body(x)"])


def _nested(style: CodeStyle, at: At) -> Body:
    p, norm = at.prefix, style.norm_of(at.cout)
    layers = {f"{p}conv": [style.conv(at.cin, at.cout)], **({f"{p}norm": norm} if norm else {}), **style.act_layer(p)}
    inner = f"self.{p}norm(self.{p}conv(x))" if norm else f"self.{p}conv(x)"
    return Body(layers, [f"x = {style.activated(inner, p)}"])


def _narrow(style: CodeStyle, at: At) -> Body:
    mid = part(at.cout, 2)
    layers = {f"{at.prefix}reduce": style.unit(at.cin, mid, 1), f"{at.prefix}body": style.unit(mid, at.cout)}
    return Body(layers, [f"x = self.{at.prefix}body(self.{at.prefix}reduce(x))"])


def _dilated(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {f"{p}near": style.unit(at.cin, at.cout, 3), f"{p}far": style.unit(at.cout, at.cout, 3, dilation=2)}
    return Body(layers, [f"x = self.{p}near(x)", f"x = self.{p}far(x)"])


def _separable(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {f"{p}depth": [_depth(style, at.cin)], f"{p}point": style.unit(at.cin, at.cout, 1)}
    return Body(layers, [f"x = self.{p}point(self.{p}depth(x))"])


def _normed_separable(style: CodeStyle, at: At) -> Body:
    depth = [_depth(style, at.cin), *style.norm_of(at.cin), style.act]
    return Body({f"{at.prefix}body": [*depth, *style.unit(at.cin, at.cout, 1)]}, [f"x = self.{at.prefix}body(x)"])


def _expanded(style: CodeStyle, at: At) -> Body:
    p, wide = at.prefix, times(at.cin, 2)
    layers = {
        f"{p}expand": style.unit(at.cin, wide, 1),
        f"{p}depth": [_depth(style, wide), *style.norm_of(wide), style.act],
        f"{p}project": [style.conv(wide, at.cout, 1), *style.norm_of(at.cout)],
    }
    return Body(layers, [f"x = self.{p}expand(x)", f"x = self.{p}depth(x)", f"x = self.{p}project(x)"])


def _twice_deep(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}first": [_depth(style, at.cin), *style.unit(at.cin, at.cout, 1)],
        f"{p}second": [_depth(style, at.cout), *style.unit(at.cout, at.cout, 1)],
    }
    return Body(layers, [f"x = self.{p}first(x)", f"x = self.{p}second(x)"])


def _depth(style: CodeStyle, channels: str) -> str:
    return style.conv(channels, channels, max(style.kernel, 3), extra=f", groups={channels}")


PLAIN: tuple[BodyWriter, ...] = (_single, _double, _nested, _narrow, _dilated)
DEPTHWISE: tuple[BodyWriter, ...] = (_separable, _normed_separable, _expanded, _twice_deep)
