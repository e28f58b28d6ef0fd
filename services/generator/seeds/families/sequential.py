"""Bodies without merges: `plain` and `depthwise`."""

from services.generator.seeds.body import At, Body, BodyWriter, part, times
from services.generator.seeds.code_style import Hand


def _single(hand: Hand, at: At) -> Body:
    return Body({f"{at.prefix}body": hand.unit(at.cin, at.cout)}, [f"x = self.{at.prefix}body(x)"])


def _double(hand: Hand, at: At) -> Body:
    layers = [*hand.unit(at.cin, at.cout), *hand.unit(at.cout, at.cout, 3)]
    return Body({f"{at.prefix}body": layers}, [f"x = self.{at.prefix}body(x)"])


def _nested(hand: Hand, at: At) -> Body:
    p, norm = at.prefix, hand.norm_of(at.cout)
    layers = {f"{p}conv": [hand.conv(at.cin, at.cout)], **({f"{p}norm": norm} if norm else {}), **hand.act_layer(p)}
    inner = f"self.{p}norm(self.{p}conv(x))" if norm else f"self.{p}conv(x)"
    return Body(layers, [f"x = {hand.activated(inner, p)}"])


def _narrow(hand: Hand, at: At) -> Body:
    mid = part(at.cout, 2)
    layers = {f"{at.prefix}reduce": hand.unit(at.cin, mid, 1), f"{at.prefix}body": hand.unit(mid, at.cout)}
    return Body(layers, [f"x = self.{at.prefix}body(self.{at.prefix}reduce(x))"])


def _dilated(hand: Hand, at: At) -> Body:
    p = at.prefix
    layers = {f"{p}near": hand.unit(at.cin, at.cout, 3), f"{p}far": hand.unit(at.cout, at.cout, 3, dilation=2)}
    return Body(layers, [f"x = self.{p}near(x)", f"x = self.{p}far(x)"])


def _separable(hand: Hand, at: At) -> Body:
    p = at.prefix
    layers = {f"{p}depth": [_depth(hand, at.cin)], f"{p}point": hand.unit(at.cin, at.cout, 1)}
    return Body(layers, [f"x = self.{p}point(self.{p}depth(x))"])


def _normed_separable(hand: Hand, at: At) -> Body:
    depth = [_depth(hand, at.cin), *hand.norm_of(at.cin), hand.act]
    return Body({f"{at.prefix}body": [*depth, *hand.unit(at.cin, at.cout, 1)]}, [f"x = self.{at.prefix}body(x)"])


def _expanded(hand: Hand, at: At) -> Body:
    p, wide = at.prefix, times(at.cin, 2)
    layers = {
        f"{p}expand": hand.unit(at.cin, wide, 1),
        f"{p}depth": [_depth(hand, wide), *hand.norm_of(wide), hand.act],
        f"{p}project": [hand.conv(wide, at.cout, 1), *hand.norm_of(at.cout)],
    }
    return Body(layers, [f"x = self.{p}expand(x)", f"x = self.{p}depth(x)", f"x = self.{p}project(x)"])


def _twice_deep(hand: Hand, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}first": [_depth(hand, at.cin), *hand.unit(at.cin, at.cout, 1)],
        f"{p}second": [_depth(hand, at.cout), *hand.unit(at.cout, at.cout, 1)],
    }
    return Body(layers, [f"x = self.{p}first(x)", f"x = self.{p}second(x)"])


def _depth(hand: Hand, channels: str) -> str:
    return hand.conv(channels, channels, max(hand.kernel, 3), extra=f", groups={channels}")


PLAIN: tuple[BodyWriter, ...] = (_single, _double, _nested, _narrow, _dilated)
DEPTHWISE: tuple[BodyWriter, ...] = (_separable, _normed_separable, _expanded, _twice_deep)
