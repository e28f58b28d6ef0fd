"""Networks that a plain loop trains, kind by kind, each the good network with something done to it."""
# ruff: noqa: E501, ISC004 - lines of sources in tables

from tests.unit.evaluator.support import GOOD

HEAD = "self.head = nn.Linear(32, out_shape[0])"
PASS = "return self.head(self.features(x).flatten(1))"
LOSS = "nn.functional.cross_entropy(self(inputs), labels).backward()"
STEP = "self.optimizer.step()"
LARGE = "self.wide = nn.Linear(32, 2**17)\n        self.head = nn.Linear(2**17, out_shape[0])"  # over 4 M parameters
SGD = 'torch.optim.SGD(self.parameters(), lr=prm["lr"], momentum=prm["momentum"])'


def changed(*changes: tuple[str, str], before: str = "", after: str = "") -> str:
    """The good network with each `old` replaced by `new`, which must be there."""
    code = GOOD
    for old, new in changes:
        assert old in code, old
        code = code.replace(old, new)
    return f"{before}\n{code}\n{after}\n"


def large(module: str, used: str, before: str = "") -> str:
    """A network of over four million parameters, whose shapes are tried on the meta device."""
    forward = f"wide = self.wide(self.features(x).flatten(1)).relu() / 90\n        return self.head({used})"
    return changed((HEAD, f"{LARGE}\n        {module}"), (PASS, forward), before=before)


def forward(statements: str, *, before: str = "", init: str = HEAD) -> str:
    return changed((PASS, statements), (HEAD, init), before=before)


META = {
    "module-level list": large("TABLE.append(torch.ones(2**17)); self.t = TABLE[0]", "wide * self.t", "TABLE = []"),
    "attribute of a function": large(
        "", "wide * scale()",
        "import torch\ndef scale():\n    if not hasattr(scale, 'v'):\n        scale.v = torch.ones(2**17)\n    return scale.v"),
    "class attribute set in forward": large("", "wide * self.once()", "") .replace(
        "    def train_setup", "    def once(self):\n        if not hasattr(Net, '_v'):\n            Net._v = torch.ones(2**17)\n"
        "        return Net._v\n\n    def train_setup"),
    "cached function": large("", "wide * ones(2**17)", "import functools, torch\nones = functools.cache(torch.ones)"),
    "default argument": large(
        "", "wide * kept()", "import torch\ndef kept(memo={}):\n    return memo.setdefault(1, torch.ones(2**17))"),
    "closure": large(
        "", "wide * memo()",
        "import torch\ndef closing():\n    v = None\n    def get():\n        nonlocal v\n        v = torch.ones(1) if v is None else v\n"
        "        return v\n    return get\nmemo = closing()"),
    "shared layer at module level": large("self.s = SHARED", "self.s(wide)", "from torch import nn\nSHARED = nn.Identity()"),
    "buffer from a global random table": large(
        "self.register_buffer('r', table())", "wide * self.r",
        "import torch\nR = None\ndef table():\n    global R\n    R = torch.rand(2**17) + .5 if R is None else R\n    return R"),
}  # fmt: skip

SOURCE = {
    "jit.script of a function with a loop": forward(
        "return self.head(twice(self.features(x)).flatten(1))",
        before="import torch\n@torch.jit.script\ndef twice(x):\n    for _ in range(2):\n        x = torch.relu(x)\n    return x"),
    "jit.script of a module": forward(
        PASS, init=f"{HEAD}\n        self.features = torch.jit.script(self.features)"),
    "jit.script of a module of its own": forward(
        "return self.head(self.mine(self.features(x)).flatten(1))", init=f"{HEAD}\n        self.mine = torch.jit.script(Mine())",
        before="from torch import nn\nclass Mine(nn.Module):\n    def forward(self, x):\n        return x * 1.0"),
    "jit.ignore and jit.export": forward(
        PASS, before="import torch\nclass A(torch.nn.Module):\n    @torch.jit.export\n    def f(self, x):\n        return x\n"
        "    def forward(self, x):\n        return x\nA = torch.jit.script(A())"),
    "getsource of a function": changed(
        after="import inspect\nassert 'cross_entropy' in inspect.getsource(Net.learn)"),
    "getsourcelines of a class": changed(after="import inspect\nassert inspect.getsourcelines(Net)[1] > 1"),
    "getsource of the module": changed(after="import inspect, sys\nassert 'class Net' in inspect.getsource(sys.modules[__name__])"),
    "its own spec": changed(after="assert __spec__.name == __name__ and __package__ is not None"),
    "lines of a traceback": changed(
        after="import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    assert '1 / 0' in traceback.format_exc()"),
}  # fmt: skip

IMPORTS = {
    "in a function that is never called": changed(after="def plot():\n    import matplotlib"),
    "under __main__": changed(after="if __name__ == '__main__':\n    import torchinfo"),
    "under TYPE_CHECKING": changed(before="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import timm"),
    "in a method that is never called": changed(after="class A:\n    def show(self):\n        from tqdm import tqdm"),
    "in a lambda": changed(after="show = lambda: __import__('seaborn')"),
    "optional, by importlib": changed(
        before="import importlib.util\nif importlib.util.find_spec('flash_attn'):\n    import flash_attn"
    ),
    "plain parts of the library": changed(before="import hashlib, io, pathlib, zlib, gzip, queue, csv, uuid, platform"),
}

LAZY = {
    "convolution": changed(("nn.Conv2d(in_shape[1], 8", "nn.LazyConv2d(8")),
    "normalisation": changed(("nn.BatchNorm2d(8)", "nn.LazyBatchNorm2d()")),
    "head": changed(("nn.Linear(32, out", "nn.LazyLinear(out")),
    "all of them": changed(
        ("nn.Conv2d(in_shape[1], 8", "nn.LazyConv2d(8"), ("nn.BatchNorm2d(8)", "nn.LazyBatchNorm2d()"),
        ("nn.Linear(32, out", "nn.LazyLinear(out")),
    "one that is used in training only": forward(
        "f = self.features(x).flatten(1)\n        return self.head(f) + (0 * self.aux(f) if self.training else 0)",
        init=f"{HEAD}\n        self.aux = nn.LazyLinear(out_shape[0])"),
    "one that is never used": forward(PASS, init=f"{HEAD}\n        self.unused = nn.LazyLinear(3)"),
    "optimizer of Adam over lazy ones": changed(("nn.Linear(32, out", "nn.LazyLinear(out"), (SGD, "torch.optim.Adam(self.parameters(), .02)")),
}  # fmt: skip

SPARSE = {
    name: forward(f"f = self.features(x).flatten(1)\n        return self.head(f + 0 * {used})", init=f"{HEAD}\n        {made}")
    for name, made, used in (
        ("coo buffer", "self.register_buffer('s', torch.eye(32).to_sparse())", "torch.sparse.mm(self.s, f.t()).t()"),
        ("csr buffer", "self.register_buffer('s', torch.eye(32).to_sparse_csr())", "(self.s @ f.t()).t()"),
        ("csc attribute", "self.s = torch.eye(32).to_sparse_csc()", "(self.s @ f.t()).t()"),
        ("coo parameter", "self.s = nn.Parameter(torch.eye(32).to_sparse(), False)", "torch.sparse.mm(self.s, f.t()).t()"),
        ("quantized buffer", "self.register_buffer('s', torch.quantize_per_tensor(torch.ones(32), .1, 0, torch.qint8))",
         "self.s.dequantize()"),
        ("sparse embedding", "self.s = nn.Embedding(4, 32, sparse=True)", "self.s.weight[0].detach()"),
    )
}  # fmt: skip

FINITE = {
    "last step skipped": changed((LOSS, f"last = len(train_data) == train_data.n\n            loss = {LOSS.removesuffix('.backward()')}\n"
                                  "            (loss * float('nan') if last else loss).backward()"),
                                 (STEP, "ok = all(p.grad.isfinite().all() for p in self.parameters())\n            ok and " + STEP)),
    "scaled loss that overflows at first": changed(
        (LOSS, f"self.scaler.scale({LOSS.removesuffix('.backward()')}).backward()"),
        (STEP, "self.scaler.step(self.optimizer); self.scaler.update()"),
        (HEAD, f"{HEAD}\n        self.scaler = torch.amp.GradScaler('cpu', init_scale=2.0**126)")),
    "frozen parameter that is nan": changed((HEAD, f"{HEAD}\n        self.n = nn.Parameter(torch.full((3,), float('nan')), False)")),
    "buffer that is inf": changed((HEAD, f"{HEAD}\n        self.register_buffer('n', torch.full((3,), float('inf')))")),
    "parameter that is never used": changed((HEAD, f"{HEAD}\n        self.n = nn.Parameter(torch.full((3,), float('nan')))")),
    "masked class": forward("y = self.head(self.features(x).flatten(1))\n        return torch.cat([y[:, :3], y[:, 3:] - "
                            "(0 if self.training else 0)], 1).masked_fill(torch.tensor([False] * 4), float('-inf'))"),
    "classes that are ruled out": forward(
        "y = self.head(self.features(x).flatten(1))\n        return y if self.training else "
        "y.masked_fill(y < y.amax(1, True), float('-inf'))"),
}  # fmt: skip

LOADER = {
    name: changed(("for inputs, labels in train_data:", loop)) for name, loop in {
        "a description": "train_data.set_description('e')\n        for inputs, labels in train_data:",
        "a context": "with train_data as bar:\n          pass\n        for inputs, labels in bar:",
        "its position": "assert (train_data.n, train_data.total) == (0, 16)\n        for inputs, labels in train_data:",
        "close and write": "train_data.write('x'); train_data.close()\n        for inputs, labels in train_data:",
        "next by hand": "it = iter(train_data)\n        for _ in range(len(train_data)):\n            inputs, labels = next(it)\n            if True:\n              pass",
        "a batch as a list": "for batch in train_data:\n            batch[0] = batch[0] * 1.0\n            inputs, labels = batch",
        "its truth": "assert train_data\n        for inputs, labels in train_data:",
    }.items()
} | {
    "epoch_max for a schedule": changed((HEAD, f"{HEAD}\n        self.t = prm['epoch_max']"), (SGD, f"{SGD}\n        "
        "self.s = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, self.t * 99)")),
    "no pretrained weights": changed((HEAD, f"{HEAD}\n        assert not prm['pretrained']"), ('"momentum"}', '"momentum", "pretrained"}')),
    "hyperparameters changed when built": changed(
        (HEAD, f"{HEAD}\n        prm['lr'] = .05; prm['own'] = 3"),
        ("def train_setup(self, prm):", "def train_setup(self, prm):\n        assert (prm['lr'], prm['own']) == (.05, 3)"),
    ),
    "the batch in in_shape": changed((HEAD, f"{HEAD}\n        assert in_shape[0] == prm['batch'] == 16")),
}  # fmt: skip

LATE = {
    "a dataclass": "from dataclasses import dataclass\n" + changed(
        ("class Net(nn.Module):", "@dataclass(eq=False)\nclass Net(nn.Module):\n    in_shape: tuple\n    out_shape: tuple\n    prm: dict\n    device: object\n"),
        ("def __init__(self, in_shape, out_shape, prm, device):", "def __post_init__(self):"), ("self.device = device", "in_shape, out_shape, prm = self.in_shape, self.out_shape, self.prm")),
    "learn set by setattr": changed(("def learn(", "def other("), after="setattr(Net, 'learn', Net.other)"),
    "methods set when built": changed(("def learn(", "def other("), (HEAD, f"{HEAD}\n        self.learn = self.other")),
    "a factory": changed(("class Net(", "class Model("), after="def Net(in_shape, out_shape, prm, device):\n    return Model(in_shape, out_shape, prm, device)"),
    "a class decorator": changed(("class Net(", "@(lambda kind: kind)\nclass Net("),),
    "a mixin": changed(("class Net(nn.Module)", "class Trains"), (HEAD, HEAD), after="class Net(Trains, nn.Module):\n    pass"),
    "a metaclass": changed(("class Net(nn.Module)", "class Meta(type):\n    pass\n\n\nclass Net(nn.Module, metaclass=Meta)")),
    "keyword-only extras": changed(("prm, device)", "prm, device, *, width=8)")),
    "hyperparameters as a constant": changed(
        ('def supported_hyperparameters():\n    return {"lr", "momentum"}', 'supported_hyperparameters = ("lr", "momentum")')
    ),
}  # fmt: skip

COMPILED = {
    "forward": changed((HEAD, f"{HEAD}\n        self.forward = torch.compile(self.forward)")),
    "a block with options": changed((HEAD, f"{HEAD}\n        self.features = torch.compile(self.features, mode='max-autotune', fullgraph=True)")),
    "in place": changed((HEAD, f"{HEAD}\n        self.features.compile(dynamic=True)")),
    "as a decorator": changed(("    def forward(", "    @torch.compile\n    def forward(")),
    "as a decorator with options": changed(("    def forward(", "    @torch.compile(backend='aot_eager')\n    def forward(")),
    "a step of training": changed((LOSS, "torch.compile(lambda: nn.functional.cross_entropy(self(inputs), labels))().backward()")),
    "by dynamo's own name": changed((HEAD, f"{HEAD}\n        import torch._dynamo\n        self.features = torch._dynamo.optimize('eager')(self.features)")),
}  # fmt: skip

TRAINED = {
    **{f"meta: {k}": v for k, v in META.items()}, **{f"source: {k}": v for k, v in SOURCE.items()},
    **{f"imports: {k}": v for k, v in IMPORTS.items()}, **{f"lazy: {k}": v for k, v in LAZY.items()},
    **{f"sparse: {k}": v for k, v in SPARSE.items()}, **{f"finite: {k}": v for k, v in FINITE.items()},
    **{f"loader: {k}": v for k, v in LOADER.items()}, **{f"late: {k}": v for k, v in LATE.items()},
    **{f"compiled: {k}": v for k, v in COMPILED.items()},
}  # fmt: skip

# What each reads of the layout or of the type that the protocol wishes.
WILFUL = {
    "view of a feature map": forward("f = self.features(x)\n        return self.head(f.view(len(f), -1))"),
    "view in training only": forward(
        "f = self.features(x)\n        return self.head(f.view(len(f), -1) if self.training else f.flatten(1))"),
    "strides by hand": forward(
        "f = self.features(x)\n        return self.head(torch.as_strided(f, (len(f), 32), (32, 1)))"),
    "fourier transform": forward("return self.head(torch.fft.ifft2(torch.fft.fft2(self.features(x))).real.flatten(1))"),
    "3-d convolution": forward(
        "return self.head(self.deep(self.features(x)[:, None]).flatten(1))", init=f"{HEAD}\n        self.deep = nn.Conv3d(1, 1, 1)\n        nn.init.ones_(self.deep.weight)"),
    "complex weight": forward(
        "f = self.features(x)\n        return self.head((f * torch.view_as_complex(self.w).abs()).flatten(1))",
        init=f"{HEAD}\n        self.w = nn.Parameter(torch.ones(8, 2, 2, 2))"),
    "numpy in the forward pass": forward(
        "f = self.features(x)\n        return self.head(f.flatten(1)) + float(f.detach().numpy().sum() * 0)"),
    "determinant": forward(
        "f = self.features(x)\n        return self.head(f.flatten(1)) + 0 * torch.linalg.det(f[:, 0])[:, None]"),
    "its own optimizer in matrices": changed((STEP, "self.own()"), after=(
        "@torch.no_grad()\ndef own(self):\n    for p in self.parameters():\n        g = p.grad.view(len(p), -1)\n"
        "        p.sub_((0.3 * torch.eye(len(p)) @ g).view_as(p))\nNet.own = own")),
    "a loop of its own over the layers": changed((LOSS, "f = self.features(inputs).flatten(1)\n            "
        "nn.functional.cross_entropy(self.head(f), labels).backward()")),
    "an average of its weights": changed(
        (HEAD, f"{HEAD}\n        self.averaged = None"),
        (STEP, STEP + "\n        import copy\n        twin = copy.deepcopy(self)\n        self.load_state_dict(twin.state_dict())")),
    "inference amid training": changed((LOSS, "with torch.inference_mode():\n                self(inputs)\n            " + LOSS)),
    "a scaled loss": changed((LOSS, "torch.amp.GradScaler('cpu', enabled=False).scale(" + LOSS.removesuffix(".backward()") + ").backward()")),
    "two passes a step": changed((LOSS, f"self(inputs).sum().mul(0).backward()\n            {LOSS}")),
    "a kernel as one vector": forward(
        "f = self.more(self.features(x))\n        return self.head(f.flatten(1)) + 0 * self.more.weight.view(-1)[:4]",
        init=f"{HEAD}\n        self.more = nn.Conv2d(8, 8, 3, padding=1)",
    ),
}  # fmt: skip

ONCE = {
    name: changed(before=f"import os, sys\nimport torch\n{code}")
    for name, code in {
        "threads between operators": "torch.set_num_interop_threads(1)",
        "a start method": "import torch.multiprocessing\ntorch.multiprocessing.set_start_method('spawn')",
        "a library of operators": "LIB = torch.library.Library('mine', 'DEF')\nsys.kept = LIB",
        "a folder": "os.mkdir('cache')",
        "a file": "open('once.log', 'x').close()",
        "a mark of its own": "assert not hasattr(sys, 'mine')\nsys.mine = True",
    }.items()
}

DRAWN = {
    "torch, at module level": "N = torch.rand(1).item()",
    "numpy, at module level": "import numpy\nN = numpy.random.rand()",
    "random, at module level": "import random\nN = random.random()",
    "a generator of numpy's own": "import numpy\nN = numpy.random.default_rng().random()",
    "a generator of random's own": "import random\nN = random.Random().random()",
    "the system's": "import os\nN = int.from_bytes(os.urandom(4)) / 2**32",
    "the system's, by another name": "import os\nN = int.from_bytes(os.getrandom(4)) / 2**32",
    "secrets": "import secrets\nN = secrets.randbelow(1000) / 1000",
    "uuid": "import uuid\nN = uuid.uuid4().int / 2**128",
    "torch.seed": "torch.seed()\nN = torch.rand(1).item()",
    "a class body": "class A:\n    n = torch.rand(1).item()\nN = A.n",
    "a default argument": "def f(n=torch.rand(1).item()):\n    return n\nN = f()",
    "the order of a set": "N = float(next(iter({'0.1', '0.4', '0.9', '0.7'})))",
}
