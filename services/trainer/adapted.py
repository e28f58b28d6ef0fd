"""LoRA's linear layers computed as one: the adapter is added in place, in the precision of the base model.

peft converts every layer's input to float32 and adds what comes of it in three further passes over memory, which on a
CPU costs more than the layer itself in bfloat16.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.nn.functional import linear


class _Adapted(torch.autograd.Function):
    """`x W' + bias + s (x A') B'` for x (tokens, features), frozen W and bias, and A and B in float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Linear, a: Tensor, b: Tensor, scale: float) -> Tensor:
        down, up = a.to(x.dtype), (b * scale).to(x.dtype)
        inner = x @ down.T
        out = linear(x, layer.weight, layer.bias).addmm_(inner, up.T)
        ctx.layer, ctx.scale = layer, scale
        ctx.save_for_backward(x, down, up, inner)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (x, down, up, inner) = grads, ctx.saved_tensors
        back = grad @ up
        grad_a, grad_b = (back.T @ x).float(), (grad.T @ inner).float() * ctx.scale
        if not ctx.needs_input_grad[0]:
            return None, None, grad_a, grad_b, None
        grad_x = (grad @ ctx.layer.weight).addmm_(back, down)
        return grad_x, None, grad_a, grad_b, None


@contextmanager
def fused(model: Any) -> Iterator[None]:
    """Compute the model's plain LoRA layers so; what has dropout or is of another kind stays peft's."""
    layers = [module for module in model.modules() if _plain(module)]
    for layer in layers:
        layer.forward = partial(_forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _plain(module: Any) -> bool:
    if type(module) is not Linear or type(module.base_layer) is not nn.Linear:
        return False
    (name, *others) = module.active_adapters
    dropout = isinstance(module.lora_dropout[name], nn.Dropout)
    return not (others or dropout or module.lora_variant or module.lora_bias[name])


def _forward(layer: Linear, x: Tensor) -> Tensor:
    (name,) = layer.active_adapters
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    out: Tensor = _Adapted.apply(  # type: ignore[no-untyped-call]
        x.flatten(0, -2), layer.base_layer, a, b, layer.scaling[name]
    )
    return out.view(*x.shape[:-1], -1)
