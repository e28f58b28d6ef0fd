"""The names that nn-dataset itself has given, copied from its version 2.1.2, and its rules stated once more."""

import hashlib

import pytest

from archloop_lab.lemur.rules import Config, nn_name, nn_prefix, prm_uid, stat_id

NAME = "rl-init1-96852fab37ed2217ab6ecd9451527a05"
CODE = """import torch
from torch import nn, optim
from torchvision.models import densenet

def supported_hyperparameters():
    return ['lr', 'momentum']

class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.device = device
        self.criteria = nn.CrossEntropyLoss()
        self.in_channel = in_shape[0]
        self.num_classes = out_shape[0]
        self.model = densenet.densenet121(pretrained=False).to(device)
        fc_features = self.model.classifier.in_features
        self.model.classifier = nn.Linear(fc_features, self.num_classes).to(device)

    def forward(self, x):
        return self.model(x)

    def train_setup(self, prm):
        self.to(self.device)
        self.optimizer = optim.SGD(self.parameters(), lr=prm['lr'], momentum=prm['momentum'])

    def learn(self, train_loader):
        self.train()
        for inputs, targets in train_loader:
            inputs, targets = inputs.to(self.device), targets.to(self.device)
            self.optimizer.zero_grad()
            outputs = self(inputs)
            loss = self.criteria(outputs, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters(), 3)
            self.optimizer.step()
"""
RAG = {
    "accuracy": 0.2803,
    "batch": 64,
    "dropout": 0.2,
    "duration": 125386977864,
    "epoch": 1,
    "lr": 0.01,
    "momentum": 0.9,
    "transform": "norm_256_flip",
    "uid": "268985784c034788d34ad31d0305cb7f",
}
AIRNEXT = {
    "accuracy": 0.8327059004302397,
    "batch": 64,
    "dropout": 0.2950965774121346,
    "duration": 10980934195,
    "lr": 0.004189849139734236,
    "momentum": 0.7966609502153748,
    "transform": "echo",
    "uid": "0d85de768981ebc817cfd0d0d9a8f363",
}


def test_an_architecture_is_named_as_in_the_wheel():
    assert nn_name(CODE, "rl-init1") == NAME


def test_white_space_does_not_count_in_a_name_and_anything_else_does():
    assert nn_name(CODE.replace("    ", "\t").replace("\n", "\r\n"), "rl-init1") == NAME
    assert nn_name(CODE + "#", "rl-init1") != NAME


def test_hyper_parameters_are_named_as_in_the_wheel():
    assert prm_uid(AIRNEXT) == AIRNEXT["uid"]


def test_hyper_parameters_are_named_in_the_order_in_which_they_were_when_it_was_trained():
    order = ("lr", "batch", "dropout", "momentum", "transform")
    assert prm_uid({name: RAG[name] for name in order}) == RAG["uid"]


def test_a_trial_is_named_by_all_that_was_recorded_of_it():
    config = Config("img-classification", "svhn", "acc", "AirNext")
    text = (
        "['echo','0d85de768981ebc817cfd0d0d9a8f363','img-classification','svhn','acc','AirNext',1,10980934195,"
        "0.8327059004302397]"
    )
    assert stat_id(config, 1, AIRNEXT) == hashlib.md5(text.encode()).hexdigest()


def test_a_folder_has_four_parts():
    config = Config("img-classification", "cifar-10", "acc", NAME)
    assert config.folder == f"img-classification_cifar-10_acc_{NAME}"
    assert Config.of(config.folder) == config
    assert Config.of("img-classification_cifar_10_acc_x") is None
    assert Config.of("img-classification__acc_x") is None


@pytest.mark.parametrize(
    ("name", "prefix"), [("ga-316", "ga"), (NAME, "rl"), ("AlexNet", "AlexNet"), ("alt-nn1-ab", "alt")]
)
def test_a_prefix_says_where_an_architecture_comes_from(name, prefix):
    assert nn_prefix(name) == prefix
