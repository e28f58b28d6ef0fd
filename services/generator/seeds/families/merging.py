"""Bodies that merge paths: `residual` adds, `dense` and `inception` concatenate."""

from services.generator.seeds.body import At, Body, BodyWriter, part, plus
from services.generator.seeds.code_style import CodeStyle

_GROWTH = 8


def _projected(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}body": [*style.unit(at.cin, at.cout), style.conv(at.cout, at.cout, 3), *style.norm_of(at.cout)],
        f"{p}skip": [style.conv(at.cin, at.cout, 1)],
        **style.act_layer(p),
    }
    return Body(layers, [f"x = {style.activated(f'self.{p}body(x) + self.{p}skip(x)', p)}"])


def _widened(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {f"{p}widen": style.unit(at.cin, at.cout, 1), f"{p}body": style.unit(at.cout, at.cout)}
    return Body(layers, [f"x = self.{p}widen(x)", f"x = x + self.{p}body(x)"])


def _bottleneck(style: CodeStyle, at: At) -> Body:
    p, mid = at.prefix, part(at.cout, 2)
    layers = {
        f"{p}reduce": style.unit(at.cin, mid, 1),
        f"{p}middle": style.unit(mid, mid),
        f"{p}restore": [style.conv(mid, at.cout, 1), *style.norm_of(at.cout)],
        f"{p}skip": [style.conv(at.cin, at.cout, 1), *style.norm_of(at.cout)],
    }
    steps = [f"y = self.{p}restore(self.{p}middle(self.{p}reduce(x)))", f"x = y + self.{p}skip(x)"]
    return Body(layers, steps)


def _remembered(style: CodeStyle, at: At) -> Body:
    p, norm = at.prefix, style.norm_of(at.cout)
    layers = {
        f"{p}conv1": style.unit(at.cin, at.cout),
        f"{p}conv2": [style.conv(at.cout, at.cout, 3), *norm],
        **style.act_layer(p),
    }
    value = style.activated("x + skip", p)
    return Body(layers, [f"x = self.{p}conv1(x)", "skip = x", f"x = self.{p}conv2(x)", f"x = {value}"])


def _twice_added(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}enter": [style.conv(at.cin, at.cout)],
        f"{p}first": style.unit(at.cout, at.cout, 3),
        f"{p}second": style.unit(at.cout, at.cout, 1),
    }
    return Body(layers, [f"x = self.{p}enter(x)", f"x = x + self.{p}first(x)", f"x = x + self.{p}second(x)"])


def _grown_twice(style: CodeStyle, at: At) -> Body:
    p, g = at.prefix, str(_GROWTH)
    layers = {
        f"{p}grow1": style.unit(at.cin, g),
        f"{p}grow2": style.unit(plus(at.cin, g), g),
        f"{p}fuse": style.unit(plus(at.cin, str(2 * _GROWTH)), at.cout, 1),
    }
    grow = [f"x = {style.cat('x', f'self.{p}grow{i}(x)')}" for i in (1, 2)]
    return Body(layers, [*grow, f"x = self.{p}fuse(x)"])


def _collected(style: CodeStyle, at: At) -> Body:
    p, g = at.prefix, str(_GROWTH)
    layers = {
        f"{p}first": style.unit(at.cin, g),
        f"{p}second": style.unit(plus(at.cin, g), g, 3),
        f"{p}fuse": [style.conv(plus(at.cin, str(2 * _GROWTH)), at.cout, 1), *style.norm_of(at.cout)],
    }
    steps = [
        "features = [x]",
        f"features.append(self.{p}first({_all(style)}))",
        f"features.append(self.{p}second({_all(style)}))",
        f"x = self.{p}fuse({_all(style)})",
    ]
    return Body(layers, steps)


def _named(style: CodeStyle, at: At) -> Body:
    p, g = at.prefix, str(_GROWTH)
    layers = {
        f"{p}grow1": style.unit(at.cin, g, 3),
        f"{p}grow2": style.unit(plus(at.cin, g), g),
        f"{p}fuse": style.unit(plus(at.cin, str(2 * _GROWTH)), at.cout, 1),
    }
    steps = [
        f"a = self.{p}grow1(x)",
        f"b = self.{p}grow2({style.cat('x', 'a')})",
        f"x = self.{p}fuse({style.cat('x', 'a', 'b')})",
    ]
    return Body(layers, steps)


def _once_grown(style: CodeStyle, at: At) -> Body:
    p, half = at.prefix, part(at.cout, 2)
    layers = {
        f"{p}grow": style.unit(at.cin, half),
        f"{p}fuse": [style.conv(plus(at.cin, half), at.cout, 1), *style.norm_of(at.cout)],
        **style.act_layer(p),
    }
    value = style.activated(f"self.{p}fuse(x)", p)
    return Body(layers, [f"x = {style.cat('x', f'self.{p}grow(x)')}", f"x = {value}"])


def _two_kernels(style: CodeStyle, at: At) -> Body:
    p, half = at.prefix, part(at.cout, 2)
    layers = {f"{p}small": style.unit(at.cin, half, 1), f"{p}large": style.unit(at.cin, half)}
    return Body(layers, [f"x = {style.cat(f'self.{p}small(x)', f'self.{p}large(x)')}"])


def _late_activation(style: CodeStyle, at: At) -> Body:
    p, half = at.prefix, part(at.cout, 2)
    layers = {
        f"{p}small": [style.conv(at.cin, half, 3)],
        f"{p}large": [style.conv(at.cin, half, 5)],
        **({f"{p}norm": style.norm_of(at.cout)} if style.norm_of(at.cout) else {}),
        **style.act_layer(p),
    }
    merged = style.cat(f"self.{p}small(x)", f"self.{p}large(x)")
    value = f"self.{p}norm(x)" if style.norm_of(at.cout) else "x"
    return Body(layers, [f"x = {merged}", f"x = {style.activated(value, p)}"])


def _with_pooling(style: CodeStyle, at: At) -> Body:
    p, half, quarter = at.prefix, part(at.cout, 2), part(at.cout, 4)
    layers = {
        f"{p}point": style.unit(at.cin, quarter, 1),
        f"{p}wide": style.unit(at.cin, half),
        f"{p}pooled": ["nn.MaxPool2d(3, stride=1, padding=1)", *style.unit(at.cin, quarter, 1)],
    }
    steps = [
        f"a = self.{p}point(x)",
        f"b = self.{p}wide(x)",
        f"c = self.{p}pooled(x)",
        f"x = {style.cat('a', 'b', 'c')}",
    ]
    return Body(layers, steps)


def _four_branches(style: CodeStyle, at: At) -> Body:
    p, quarter = at.prefix, part(at.cout, 4)
    layers = {
        f"{p}b1": style.unit(at.cin, quarter, 1),
        f"{p}b2": style.unit(at.cin, quarter, 3),
        f"{p}b3": [*style.unit(at.cin, quarter, 1), *style.unit(quarter, quarter, 5)],
        f"{p}b4": ["nn.AvgPool2d(3, stride=1, padding=1)", *style.unit(at.cin, quarter, 1)],
    }
    branches = ", ".join(f"self.{p}b{i}(x)" for i in (1, 2, 3, 4))
    return Body(layers, [f"branches = [{branches}]", f"x = torch.cat(branches, {style.dim})"])


def _all(style: CodeStyle) -> str:
    return f"torch.cat(features, {style.dim})"


RESIDUAL: tuple[BodyWriter, ...] = (_projected, _widened, _bottleneck, _remembered, _twice_added)
DENSE: tuple[BodyWriter, ...] = (_grown_twice, _collected, _named, _once_grown)
INCEPTION: tuple[BodyWriter, ...] = (_two_kernels, _late_activation, _with_pooling, _four_branches)
