"""What was kept as pairs to tune on."""

import ast
from contextlib import closing

import pytest

from archloop import answers
from archloop.errors import Conflict, NotFound
from archloop_lab.lemur import brief_inference, pairs, sources
from archloop_lab.lemur.corpus import Corpus, Kept
from archloop_lab.lemur.curating import curate
from archloop_lab.lemur.importing import into
from services.generator.prompts import BriefParameters
from tests.unit.lemur import miniature

QUIET = lambda *_: None  # noqa: E731
DRAWN = BriefParameters(
    30_000, 2, "", "strided convolution", "ReLU", "global max pooling", ("Nesterov momentum", "dropout")
)


@pytest.fixture
def corpus(tmp_path):
    with closing(Corpus(tmp_path / "corpus.sqlite")) as opened:
        into(opened, sources.opened(miniature.folder(tmp_path / "lemur")), QUIET)
        yield opened


@pytest.fixture
def kept(corpus):
    corpus.curate(curate(corpus.preferred(), 0.9, 5, "kept", QUIET))
    return corpus.kept()


def written(networks, split="all", **changes):
    chosen = {"seed": 0, "template": "brief", "protocol": "cifar10"} | changes
    return [pair.model_dump() for pair in pairs.written(networks, split, **chosen)]


def many(count):
    return [Kept(f"n-{i}", miniature.PLAIN, "plain", f"n-{i // 4 * 4}", classifies=True) for i in range(count)]


def test_what_cannot_be_learnt_from_is_counted_by_reason(kept):
    usable = pairs.usable(kept)
    assert [network.kept.name for network in usable.networks] == ["ga-1", "ga-3", "rag-1"]
    assert usable.left_out == {"never trained to classify images": 1, "class Net has no learn": 1}


def test_each_network_gives_a_full_example_and_one_with_forward_to_fill_in(kept):
    found = written(pairs.usable(kept).networks)
    assert len(found) == 6
    codes = [answers.extract(pair["completion"]) for pair in found]
    assert all(code.problem == "" for code in codes)
    assert {code.code.rstrip() for code in codes} == {
        code.rstrip() for code in (miniature.PLAIN, miniature.RESIZED, miniature.RESIDUAL)
    }
    for full, infill in zip(found[::2], found[1::2], strict=True):
        assert full["completion"] == infill["completion"]
        masked = answers.extract(infill["prompt"]).code
        ast.parse(masked)
        assert "self.features(x)" not in masked
        assert "    def forward(self, x):\n        ...\n\n    def train_setup" in masked


def test_the_prompt_is_true_of_the_network(kept):
    told = written(pairs.usable(kept).networks)[::2]
    assert told
    for pair in told:
        prompt, code = pair["prompt"], answers.extract(pair["completion"]).code
        assert f"Family: {'residual' if 'torch.relu' in code else 'plain'}," in prompt
        assert "10 classes, images of shape (3, 32, 32)" in prompt
        assert "Activation: GELU." in prompt
        assert "Downsampling: max pooling." in prompt
        assert "Head: global average pooling." in prompt
        assert "label smoothing" in prompt


def test_a_budget_that_the_written_sizes_exceed_is_not_promised():
    code = miniature.PLAIN.replace("48", "4096").replace("24", "2048")
    usable = pairs.usable([Kept("big", code, "plain", "big", classifies=True)])
    assert brief_inference.parameters(ast.parse(code)) == int(1.3 * (2048 * 4096 * 9 + 4096))
    assert "at most 100,000,000." in written(usable.networks)[0]["prompt"]


@pytest.mark.parametrize(
    ("layer", "weights"),
    [
        ("nn.Linear(3, 5)", 20),
        ("nn.Linear(in_features=3, out_features=5)", 20),
        ("nn.Conv2d(4, 8, kernel_size=3, groups=2)", 4 * 8 * 9 // 2 + 8),
        ("nn.Conv2d(4, 8, (1, 3))", 4 * 8 * 3 + 8),
        ("nn.Conv2d(width, 8, 3)", 0),
        ("nn.Linear(-3, 5)", 0),
        ("nn.Conv2d(4, 8, ('a', 3))", 0),
        ("nn.ReLU(3, 5)", 0),
    ],
)
def test_weights_are_counted_where_sizes_are_written_out(layer, weights):
    assert brief_inference.parameters(ast.parse(layer)) == int(1.3 * weights)


@pytest.mark.parametrize(
    ("code", "field", "value"),
    [
        ("nn.LeakyReLU(); nn.LeakyReLU(); nn.ReLU()", "activation", "LeakyReLU"),
        ("F.leaky_relu(x)", "activation", "LeakyReLU"),
        ("F.relu(x)", "activation", "ReLU"),
        ("nn.Identity()", "activation", "ReLU"),
        ("nn.AdaptiveAvgPool2d(1); nn.AvgPool2d(2)", "downsampling", "average pooling"),
        ("nn.AdaptiveMaxPool2d(1)", "head", "global max pooling"),
        ("self.stages.append(x)", "layout", "stages in a loop over widths"),
        ("nn.Sequential()", "layout", "stages in a Sequential"),
        ("SGD(nesterov=True, weight_decay=0.1)", "tricks", ("Nesterov momentum", "weight decay")),
        ("pass", "tricks", ("Nesterov momentum", "dropout")),
    ],
)
def test_wishes_are_read_off_the_code(code, field, value):
    assert getattr(brief_inference.true_of(code, DRAWN), field) == value


def test_the_split_divides_no_cluster_and_gives_eight_one_one():
    networks = pairs.usable(many(400)).networks
    parts = {split: {n.kept.name for n in pairs._part(networks, split)} for split in ("train", "dev", "test")}
    assert [len(part) for part in parts.values()] == [320, 40, 40]
    assert len(set.union(*parts.values())) == 400
    clusters = [{int(name.partition("-")[2]) // 4 for name in part} for part in parts.values()]
    assert len(set.union(*clusters)) == sum(map(len, clusters))


def test_the_same_seed_gives_the_same_lines_and_another_others(kept):
    networks = pairs.usable(kept).networks
    assert written(networks, seed=3) == written(networks, seed=3) != written(networks, seed=4)


def test_a_forward_on_one_line_gives_the_full_example_only():
    begin, end = miniature.PLAIN.index("    def forward"), miniature.PLAIN.index("    def train_setup")
    code = f"{miniature.PLAIN[:begin]}    def forward(self, x): return self.head(x)\n\n{miniature.PLAIN[end:]}"
    usable = pairs.usable([Kept("short", code, "plain", "short", classifies=True)])
    assert len(written(usable.networks)) == 1


def test_a_corpus_that_was_added_to_is_to_be_curated_first(corpus):
    with pytest.raises(Conflict, match=r"8 architectures of .* are not curated: `archloop lemur curate"):
        corpus.kept()


def test_a_template_that_is_not_there_is_told(kept):
    with pytest.raises(NotFound, match="brief"):
        written(pairs.usable(kept).networks, template="letter")
