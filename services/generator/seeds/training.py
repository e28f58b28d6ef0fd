"""Training of a network by itself: `train_setup` and `learn`."""

from services.generator.seeds.design import Training
from services.generator.seeds.draft import Draft


def write_training(draft: Draft, training: Training) -> None:
    """Fill `setup` and `learn`."""
    smoothing = f"label_smoothing={training.smoothing}" if training.smoothing else ""
    draft.setup = [
        "self.to(self.device)",
        f"self.criteria = (nn.CrossEntropyLoss({smoothing}),)",
        f"self.optimizer = {_optimizer(training)}",
    ]
    draft.learn = ["self.train()", *_loop(training)]


def _optimizer(training: Training) -> str:
    arguments = ["self.parameters()", f"lr={_rate(training)}", "momentum=prm['momentum']"]
    if training.nesterov:
        arguments.append("nesterov=True")
    if training.weight_decay:
        arguments.append(f"weight_decay={training.weight_decay}")
    return f"torch.optim.SGD({', '.join(arguments)})"


def _rate(training: Training) -> str:
    return "prm['lr']" if training.rate == 1 else f"prm['lr'] * {training.rate:g}"


def _loop(training: Training) -> list[str]:
    body = [
        "inputs, labels = inputs.to(self.device), labels.to(self.device)",
        "self.optimizer.zero_grad()",
        "loss = self.criteria[0](self(inputs), labels)",
        "loss.backward()",
        *([f"nn.utils.clip_grad_norm_(self.parameters(), {training.clipping})"] if training.clipping else []),
        "self.optimizer.step()",
        *(["schedule.step()"] if training.decay else []),
    ]
    falling = "schedule = torch.optim.lr_scheduler.LinearLR(self.optimizer, 1.0, 0.01, len(train_data))"
    before = [falling] if training.decay else []
    return [*before, "for inputs, labels in train_data:", *[f"    {line}" for line in body]]
