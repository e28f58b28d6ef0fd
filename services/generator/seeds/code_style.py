"""The style of one author: habits that stay the same through a file, as builders of source expressions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CodeStyle:
    """Habits of one author. Channels are source text: a literal, or the name of a parameter."""

    activation: str
    norm: str
    groups: int
    order: str
    kernel: int
    dim: str

    @property
    def act(self) -> str:
        """Activation as a module."""
        return f"nn.{self.activation}({'0.1' if self.activation == 'LeakyReLU' else ''})"

    def activated(self, value: str, at: str) -> str:
        """Apply the activation to `value`, as an expression of `forward`."""
        return f"self.{at}act({value})"

    def act_layer(self, at: str) -> dict[str, list[str]]:
        """Return the layer that `activated` needs."""
        return {f"{at}act": [self.act]}

    def norm_of(self, channels: str) -> list[str]:
        """Return the normalisation of so many channels: one module, or none."""
        if self.norm == "BatchNorm2d":
            return [f"nn.BatchNorm2d({channels})"]
        return [f"nn.GroupNorm({self.groups}, {channels})"] if self.norm == "GroupNorm" else []

    def conv(self, cin: str, cout: str, kernel: int | None = None, extra: str = "", dilation: int = 1) -> str:
        """Return a convolution that keeps height and width, unless `extra` gives a stride."""
        size = self.kernel if kernel is None else kernel
        pad = f", padding={size // 2 * dilation}" if size > 1 else ""
        wide = f", dilation={dilation}" if dilation > 1 else ""
        bias = ", bias=False" if self.norm == "BatchNorm2d" and self.order != "conv act norm" else ""
        return f"nn.Conv2d({cin}, {cout}, {size}{extra}{pad}{wide}{bias})"

    def unit(self, cin: str, cout: str, kernel: int | None = None, extra: str = "", dilation: int = 1) -> list[str]:
        """Return convolution, normalisation and activation in this author's order."""
        conv = [self.conv(cin, cout, kernel, extra, dilation)]
        if self.order == "conv act norm":
            return [*conv, self.act, *self.norm_of(cout)]
        return [*conv, *self.norm_of(cout), self.act]

    def cat(self, *values: str) -> str:
        """Return the concatenation over channels."""
        return f"torch.cat([{', '.join(values)}], {self.dim})"
