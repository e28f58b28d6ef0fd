"""Five networks of different kinds that anybody would expect to learn, at any resolution and number of channels.

Each is as its author would write it: none knows of precision or memory format. `SOURCES` holds their code by name.
"""

_HEAD = """
import torch
from torch import nn
from torch.nn import functional as F


def supported_hyperparameters():
    return {"lr", "momentum", "dropout"}


"""
# A large image is brought to 32 or fewer pixels by the stride of the first layer.
_NET = """

class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.device = device
        channels, side = in_shape[1], in_shape[2]
        stride = max(1, side // 32)
        self.stem = nn.Conv2d(channels, 16, 2 * stride + 1, stride, padding=stride)
"""
_LEARN = """
    def train_setup(self, prm):
        self.to(self.device)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = OPTIMIZER

    def learn(self, train_data):
        self.train()
        for inputs, labels in train_data:
            inputs, labels = inputs.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            loss = self.criterion(self(inputs), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters(), 3.0)
            self.optimizer.step()
"""
_SGD = 'torch.optim.SGD(self.parameters(), lr=prm["lr"], momentum=prm["momentum"])'
_NESTEROV = 'torch.optim.SGD(self.parameters(), lr=4 * prm["lr"], momentum=prm["momentum"], nesterov=True)'
_ADAM = 'torch.optim.AdamW(self.parameters(), lr=0.5 * prm["lr"])'

_PLAIN = """
        self.features = nn.Sequential(
            nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
            nn.AdaptiveMaxPool2d(4), nn.Flatten(),
        )
        self.head = nn.Linear(32 * 16, out_shape[0])

    def forward(self, x):
        return self.head(self.features(self.stem(x)))
"""

_BLOCK = """
class Block(nn.Module):
    def __init__(self, before, width):
        super().__init__()
        self.first = nn.Conv2d(before, width, 3, stride=2, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for _ in range(2))
        self.shortcut = nn.Conv2d(before, width, 1, stride=2)

    def forward(self, x):
        y = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.shortcut(x) + self.norms[1](self.second(y)))
"""
_RESIDUAL = """
        self.norm = nn.GroupNorm(4, 16)
        self.blocks = nn.Sequential(Block(16, 24), Block(24, 32))
        self.head = nn.Linear(9 * 32, out_shape[0])

    def forward(self, x):
        x = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.head(F.adaptive_avg_pool2d(x, 3).flatten(1))
"""

_SEPARABLE = """
class Separable(nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        self.depthwise = nn.Conv2d(before, before, 3, stride, padding=1, groups=before, bias=False)
        self.pointwise = nn.Conv2d(before, width, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n, momentum=0.3) for n in (before, width))
        self.squeeze, self.excite = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x):
        x = F.relu(self.norms[0](self.depthwise(x)))
        x = self.norms[1](self.pointwise(x))
        scale = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1))))
        return F.relu(x * 2 * scale.sigmoid())
"""
_MOBILE = """
        self.blocks = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), Separable(16, 32, 2), Separable(32, 48, 2))
        self.dropout = nn.Dropout(prm["dropout"])
        self.head = nn.Linear(16 * 48, out_shape[0])

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.head(self.dropout(F.adaptive_max_pool2d(x, 4).flatten(1)))
"""

# Takes the feature maps to lie as torch lays them out by default.
_VIEWING = """
        self.norm, self.norm2 = nn.BatchNorm2d(16), nn.BatchNorm2d(32)
        self.mix = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.head = nn.Linear(32 * 16, out_shape[0])

    def forward(self, x):
        x = F.relu(self.norm2(self.mix(F.relu(self.norm(self.stem(x))))))
        x = self.pool(x)
        return self.head(x.view(x.size(0), -1))
"""

_ATTENTION = """
        patch = side // stride // 8
        self.patches = nn.Conv2d(channels, 48, patch * stride, patch * stride)
        count = (side // (patch * stride)) ** 2
        self.place = nn.Parameter(0.02 * torch.randn(1, count, 48))
        self.stem = nn.Identity()
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(48, 4, 96, prm["dropout"] / 4, batch_first=True, norm_first=True),
            1, enable_nested_tensor=False,
        )
        self.norm = nn.LayerNorm(48)
        self.head = nn.Linear(48 * count, out_shape[0])

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.norm(self.encoder(tokens)).flatten(1))
"""


def _source(forward: str, *, parts: str = "", optimizer: str = _SGD) -> str:
    return f"{_HEAD}{parts}{_NET}{forward}{_LEARN.replace('OPTIMIZER', optimizer)}".strip() + "\n"


SOURCES = {
    "plain": _source(_PLAIN),
    "residual": _source(_RESIDUAL, parts=_BLOCK, optimizer=_NESTEROV),
    "separable": _source(_MOBILE, parts=_SEPARABLE, optimizer=_NESTEROV),
    "viewing": _source(_VIEWING),
    "attention": _source(_ATTENTION, optimizer=_ADAM),
}
