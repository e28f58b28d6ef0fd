"""Bodies that merge paths: `residual` adds, `dense` and `inception` concatenate."""

from services.generator.seeds.body import At, Body, BodyWriter, part, plus
from services.generator.seeds.code_style import Hand

_GROWTH = 8


def _projected(hand: Hand, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}body": [*hand.unit(at.cin, at.cout), hand.conv(at.cout, at.cout, 3), *hand.norm_of(at.cout)],
        f"{p}skip": [hand.conv(at.cin, at.cout, 1)],
        **hand.act_layer(p),
    }
    return Body(layers, [f"x = {hand.activated(f'self.{p}body(x) + self.{p}skip(x)', p)}"])


def _widened(hand: Hand, at: At) -> Body:
    p = at.prefix
    layers = {f"{p}widen": hand.unit(at.cin, at.cout, 1), f"{p}body": hand.unit(at.cout, at.cout)}
    return Body(layers, [f"x = self.{p}widen(x)", f"x = x + self.{p}body(x)"])


def _bottleneck(hand: Hand, at: At) -> Body:
    p, mid = at.prefix, part(at.cout, 2)
    layers = {
        f"{p}reduce": hand.unit(at.cin, mid, 1),
        f"{p}middle": hand.unit(mid, mid),
        f"{p}restore": [hand.conv(mid, at.cout, 1), *hand.norm_of(at.cout)],
        f"{p}skip": [hand.conv(at.cin, at.cout, 1), *hand.norm_of(at.cout)],
    }
    steps = [f"y = self.{p}restore(self.{p}middle(self.{p}reduce(x)))", f"x = y + self.{p}skip(x)"]
    return Body(layers, steps)


def _remembered(hand: Hand, at: At) -> Body:
    p, norm = at.prefix, hand.norm_of(at.cout)
    layers = {
        f"{p}conv1": hand.unit(at.cin, at.cout),
        f"{p}conv2": [hand.conv(at.cout, at.cout, 3), *norm],
        **hand.act_layer(p),
    }
    value = hand.activated("x + skip", p)
    return Body(layers, [f"x = self.{p}conv1(x)", "skip = x", f"x = self.{p}conv2(x)", f"x = {value}"])


def _twice_added(hand: Hand, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}enter": [hand.conv(at.cin, at.cout)],
        f"{p}first": hand.unit(at.cout, at.cout, 3),
        f"{p}second": hand.unit(at.cout, at.cout, 1),
    }
    return Body(layers, [f"x = self.{p}enter(x)", f"x = x + self.{p}first(x)", f"x = x + self.{p}second(x)"])


def _grown_twice(hand: Hand, at: At) -> Body:
    p, g = at.prefix, str(_GROWTH)
    layers = {
        f"{p}grow1": hand.unit(at.cin, g),
        f"{p}grow2": hand.unit(plus(at.cin, g), g),
        f"{p}fuse": hand.unit(plus(at.cin, str(2 * _GROWTH)), at.cout, 1),
    }
    grow = [f"x = {hand.cat('x', f'self.{p}grow{i}(x)')}" for i in (1, 2)]
    return Body(layers, [*grow, f"x = self.{p}fuse(x)"])


def _collected(hand: Hand, at: At) -> Body:
    p, g = at.prefix, str(_GROWTH)
    layers = {
        f"{p}first": hand.unit(at.cin, g),
        f"{p}second": hand.unit(plus(at.cin, g), g, 3),
        f"{p}fuse": [hand.conv(plus(at.cin, str(2 * _GROWTH)), at.cout, 1), *hand.norm_of(at.cout)],
    }
    steps = [
        "features = [x]",
        f"features.append(self.{p}first({_all(hand)}))",
        f"features.append(self.{p}second({_all(hand)}))",
        f"x = self.{p}fuse({_all(hand)})",
    ]
    return Body(layers, steps)


def _named(hand: Hand, at: At) -> Body:
    p, g = at.prefix, str(_GROWTH)
    layers = {
        f"{p}grow1": hand.unit(at.cin, g, 3),
        f"{p}grow2": hand.unit(plus(at.cin, g), g),
        f"{p}fuse": hand.unit(plus(at.cin, str(2 * _GROWTH)), at.cout, 1),
    }
    steps = [
        f"a = self.{p}grow1(x)",
        f"b = self.{p}grow2({hand.cat('x', 'a')})",
        f"x = self.{p}fuse({hand.cat('x', 'a', 'b')})",
    ]
    return Body(layers, steps)


def _once_grown(hand: Hand, at: At) -> Body:
    p, half = at.prefix, part(at.cout, 2)
    layers = {
        f"{p}grow": hand.unit(at.cin, half),
        f"{p}fuse": [hand.conv(plus(at.cin, half), at.cout, 1), *hand.norm_of(at.cout)],
        **hand.act_layer(p),
    }
    value = hand.activated(f"self.{p}fuse(x)", p)
    return Body(layers, [f"x = {hand.cat('x', f'self.{p}grow(x)')}", f"x = {value}"])


def _two_kernels(hand: Hand, at: At) -> Body:
    p, half = at.prefix, part(at.cout, 2)
    layers = {f"{p}small": hand.unit(at.cin, half, 1), f"{p}large": hand.unit(at.cin, half)}
    return Body(layers, [f"x = {hand.cat(f'self.{p}small(x)', f'self.{p}large(x)')}"])


def _late_activation(hand: Hand, at: At) -> Body:
    p, half = at.prefix, part(at.cout, 2)
    layers = {
        f"{p}small": [hand.conv(at.cin, half, 3)],
        f"{p}large": [hand.conv(at.cin, half, 5)],
        **({f"{p}norm": hand.norm_of(at.cout)} if hand.norm_of(at.cout) else {}),
        **hand.act_layer(p),
    }
    merged = hand.cat(f"self.{p}small(x)", f"self.{p}large(x)")
    value = f"self.{p}norm(x)" if hand.norm_of(at.cout) else "x"
    return Body(layers, [f"x = {merged}", f"x = {hand.activated(value, p)}"])


def _with_pooling(hand: Hand, at: At) -> Body:
    p, half, quarter = at.prefix, part(at.cout, 2), part(at.cout, 4)
    layers = {
        f"{p}point": hand.unit(at.cin, quarter, 1),
        f"{p}wide": hand.unit(at.cin, half),
        f"{p}pooled": ["nn.MaxPool2d(3, stride=1, padding=1)", *hand.unit(at.cin, quarter, 1)],
    }
    steps = [
        f"a = self.{p}point(x)",
        f"b = self.{p}wide(x)",
        f"c = self.{p}pooled(x)",
        f"x = {hand.cat('a', 'b', 'c')}",
    ]
    return Body(layers, steps)


def _four_branches(hand: Hand, at: At) -> Body:
    p, quarter = at.prefix, part(at.cout, 4)
    layers = {
        f"{p}b1": hand.unit(at.cin, quarter, 1),
        f"{p}b2": hand.unit(at.cin, quarter, 3),
        f"{p}b3": [*hand.unit(at.cin, quarter, 1), *hand.unit(quarter, quarter, 5)],
        f"{p}b4": ["nn.AvgPool2d(3, stride=1, padding=1)", *hand.unit(at.cin, quarter, 1)],
    }
    branches = ", ".join(f"self.{p}b{i}(x)" for i in (1, 2, 3, 4))
    return Body(layers, [f"branches = [{branches}]", f"x = torch.cat(branches, {hand.dim})"])


def _all(hand: Hand) -> str:
    return f"torch.cat(features, {hand.dim})"


RESIDUAL: tuple[BodyWriter, ...] = (_projected, _widened, _bottleneck, _remembered, _twice_added)
DENSE: tuple[BodyWriter, ...] = (_grown_twice, _collected, _named, _once_grown)
INCEPTION: tuple[BodyWriter, ...] = (_two_kernels, _late_activation, _with_pooling, _four_branches)
