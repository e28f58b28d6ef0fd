"""Bodies that weigh features: `squeeze_excite` by channel, `gated` by element, `attention` between places."""

from services.generator.seeds.body import At, Body, BodyWriter, part, times
from services.generator.seeds.code_style import CodeStyle


def _pooled_gate(style: CodeStyle, at: At) -> Body:
    p, small = at.prefix, part(at.cout, 4)
    gate = ["nn.AdaptiveAvgPool2d(1)", f"nn.Conv2d({at.cout}, {small}, 1)", style.act]
    layers = {
        f"{p}body": style.unit(at.cin, at.cout),
        f"{p}gate": [*gate, f"nn.Conv2d({small}, {at.cout}, 1)", "nn.Sigmoid()"],
    }
    return Body(layers, [f"x = self.{p}body(x)", f"x = x * self.{p}gate(x)"])


def _mean_gate(style: CodeStyle, at: At) -> Body:
    p, small = at.prefix, part(at.cout, 4)
    layers = {
        f"{p}body": style.unit(at.cin, at.cout),
        f"{p}squeeze": [f"nn.Linear({at.cout}, {small})", style.act],
        f"{p}excite": [f"nn.Linear({small}, {at.cout})", "nn.Sigmoid()"],
    }
    steps = [
        f"x = self.{p}body(x)",
        f"w = self.{p}excite(self.{p}squeeze(x.mean((2, 3))))",
        "x = x * w[:, :, None, None]",
    ]
    return Body(layers, steps)


def _single_gate(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}conv": [style.conv(at.cin, at.cout), *style.norm_of(at.cout)],
        f"{p}gate": [f"nn.Linear({at.cout}, {at.cout})"],
        **style.act_layer(p),
    }
    steps = [
        f"x = {style.activated(f'self.{p}conv(x)', p)}",
        f"w = torch.sigmoid(self.{p}gate(x.mean(dim=(2, 3))))",
        "x = x * w.unsqueeze(-1).unsqueeze(-1)",
    ]
    return Body(layers, steps)


def _input_gate(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}gate": ["nn.AdaptiveAvgPool2d(1)", f"nn.Conv2d({at.cin}, {at.cin}, 1)", "nn.Sigmoid()"],
        f"{p}body": [*style.unit(at.cin, at.cout), *style.unit(at.cout, at.cout, 1)],
    }
    return Body(layers, [f"x = self.{p}gate(x) * x", f"x = self.{p}body(x)"])


def _two_convs(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {f"{p}value": style.unit(at.cin, at.cout), f"{p}gate": [style.conv(at.cin, at.cout)]}
    return Body(layers, [f"x = self.{p}value(x) * torch.sigmoid(self.{p}gate(x))"])


def _named_gate(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}value": [style.conv(at.cin, at.cout), *style.norm_of(at.cout)],
        f"{p}gate": [style.conv(at.cin, at.cout, 1), "nn.Sigmoid()"],
        **style.act_layer(p),
    }
    value = style.activated(f"self.{p}value(x)", p)
    return Body(layers, [f"gate = self.{p}gate(x)", f"x = {value}", "x = x * gate"])


def _chunked(style: CodeStyle, at: At) -> Body:
    p, wide = at.prefix, times(at.cout, 2)
    layers = {f"{p}both": [style.conv(at.cin, wide), *style.norm_of(wide)]}
    return Body(layers, [f"a, b = self.{p}both(x).chunk(2, {style.dim})", "x = a * torch.sigmoid(b)"])


def _gate_after(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}body": style.unit(at.cin, at.cout),
        f"{p}value": [style.conv(at.cout, at.cout, 1)],
        f"{p}gate": [style.conv(at.cout, at.cout, 3)],
        **({f"{p}norm": style.norm_of(at.cout)} if style.norm_of(at.cout) else {}),
    }
    product = f"self.{p}value(x) * self.{p}gate(x).sigmoid()"
    return Body(
        layers, [f"x = self.{p}body(x)", f"x = self.{p}norm({product})" if style.norm_of(at.cout) else f"x = {product}"]
    )


def _multihead(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}body": style.unit(at.cin, at.cout),
        f"{p}attend": [f"nn.MultiheadAttention({at.cout}, 2, batch_first=True)"],
    }
    steps = [
        f"x = self.{p}body(x)",
        "t = x.flatten(2).transpose(1, 2)",
        f"t, _ = self.{p}attend(t, t, t)",
        "x = t.transpose(1, 2).reshape(x.shape)",
    ]
    return Body(layers, steps)


def _pooled_keys(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}body": style.unit(at.cin, at.cout),
        f"{p}pool": ["nn.AdaptiveAvgPool2d(4)"],
        f"{p}attend": [f"nn.MultiheadAttention({at.cout}, 4, batch_first=True)"],
    }
    steps = [
        f"x = self.{p}body(x)",
        "q = x.flatten(2).transpose(1, 2)",
        f"k = self.{p}pool(x).flatten(2).transpose(1, 2)",
        f"q = self.{p}attend(q, k, k)[0]",
        "x = q.transpose(1, 2).reshape(x.shape)",
    ]
    return Body(layers, steps)


def _conv_attention(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}query": [f"nn.Conv2d({at.cin}, {part(at.cout, 2)}, 1)"],
        f"{p}key": [f"nn.Conv2d({at.cin}, {part(at.cout, 2)}, 1)"],
        f"{p}value": style.unit(at.cin, at.cout),
    }
    steps = [
        f"q, k = self.{p}query(x).flatten(2), self.{p}key(x).flatten(2)",
        "w = torch.softmax(q.transpose(1, 2) @ k / 4, dim=-1)",
        f"v = self.{p}value(x)",
        "x = (v.flatten(2) @ w.transpose(1, 2)).reshape(v.shape)",
    ]
    return Body(layers, steps)


def _linear_attention(style: CodeStyle, at: At) -> Body:
    p = at.prefix
    layers = {
        f"{p}body": style.unit(at.cin, at.cout),
        f"{p}qkv": [f"nn.Linear({at.cout}, {times(at.cout, 3)})"],
        **({f"{p}norm": style.norm_of(at.cout)} if style.norm_of(at.cout) else {}),
    }
    steps = [
        f"x = self.{p}body(x)",
        f"q, k, v = self.{p}qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)",
        "w = (q @ k.transpose(1, 2) / 4).softmax(-1)",
        "x = (w @ v).transpose(1, 2).reshape(x.shape)",
    ]
    return Body(layers, [*steps, *([f"x = self.{p}norm(x)"] if style.norm_of(at.cout) else [])])


SQUEEZE_EXCITE: tuple[BodyWriter, ...] = (_pooled_gate, _mean_gate, _single_gate, _input_gate)
GATED: tuple[BodyWriter, ...] = (_two_convs, _named_gate, _chunked, _gate_after)
ATTENTION: tuple[BodyWriter, ...] = (_multihead, _pooled_keys, _conv_attention, _linear_attention)
