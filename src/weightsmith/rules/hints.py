"""Code that mends findings, as a table: what to change in the next training, or in the checkpoint itself.

A hint is a start for someone who reads it, never something to run unread: a mended checkpoint has to be measured, and
mostly trained on. Rules without an entry have no code that would be right everywhere; their advice in words stands.
"""

from collections.abc import Sequence

from weightsmith.rules.finding import Finding

_CLIP = """\
weightsmith train recipe.yaml --set optimizer.clip_norm=1.0
# or, in a loop of your own, between backward() and step():
torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"""

_LOWER = """\
weightsmith train recipe.yaml --set optimizer.lr=1e-4 --set schedule.name=cosine --set schedule.warm_up=0.05
# or, in a loop of your own, with a tenth of the rate that was used:
optimizer = weightsmith.optim.build(model, "adam", lr=1e-4)"""

_INIT = """\
weightsmith train recipe.yaml --set init.name=auto
# or, for a model of your own, with a batch of its inputs:
weightsmith.init.apply(model, "auto", seed=0)"""

_BATCH_NORM = """\
for module in model.modules():
    if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
        module.reset_running_stats()
        module.momentum = None  # a plain average over all batches
model.train()
with torch.no_grad():
    for inputs, _ in training_batches:
        model(inputs)
torch.save(model.state_dict(), "mended.pt")  # buffers included"""

TRAINING: dict[str, str] = {
    "exploding-gradients": _CLIP,
    "vanishing-gradients": _INIT,
    "large-updates": _LOWER,
    "small-updates": """\
weightsmith train recipe.yaml --set optimizer.lr=1e-2
# or, in a loop of your own, with ten times the rate that was used:
optimizer = weightsmith.optim.build(model, "adam", lr=1e-2)""",
    "dead-units": """\
weightsmith train recipe.yaml --set model.activation=leaky_relu --set init.name=auto
# or, for a model of your own: torch.nn.LeakyReLU() for torch.nn.ReLU(), then
weightsmith.init.apply(model, "auto", seed=0)""",
    "saturated-units": """\
weightsmith train recipe.yaml --set data.standardize=true --set init.name=xavier_normal
# or, for a model of your own:
weightsmith.init.apply(model, "xavier_normal", seed=0)""",
    "unsuited-init": _INIT,
    "overfitting": """\
weightsmith train recipe.yaml --set penalties.l2=1e-4 --set model.dropout=0.2 --set budget.early_stopping=5
# or, in a loop of your own (on weights only, never on biases and norms):
optimizer = weightsmith.optim.build(model, "adam", lr=1e-3, l2=1e-4)""",
    "underfitting": "weightsmith train recipe.yaml --set model.hidden=[512,256] --set penalties.l2=0",
    "loss-plateau": "weightsmith train recipe.yaml --set schedule.name=cosine --set init.name=auto",
    "learning-rate-too-high": _LOWER,
    "broken-batch-norm": _BATCH_NORM,
    "unused-batch-norm": _BATCH_NORM,
}
"""By rule, what to change in the next training."""

_REDRAWN = "torch.nn.init.kaiming_normal_(weight)  # what was there is lost: train on"
_QUANTIZED = """\
scale = (weight.abs().amax(dim=tuple(range(1, weight.dim())), keepdim=True) / 127).clamp(min=1e-12)  # one for each row
tensors[name] = (weight / scale).round().to(torch.int8)
tensors[f"{name}.scale"] = scale"""

CHECKPOINT: dict[str, str] = {
    "non-finite-weights": "weight[~torch.isfinite(weight)] = 0  # keeps NaN from spreading; what was there is lost",
    "heavy-outliers": """\
usual = weight.abs().flatten().kthvalue(max(int(0.999 * weight.numel()), 1)).values
weight.clamp_(-4 * usual, 4 * usual)  # measure the model before and after""",
    "zero-rows": """\
dead = (weight.flatten(1) == 0).all(dim=1)
weight[dead] = weight[~dead].std() * torch.randn_like(weight[dead])  # to use them: train on""",
    "duplicate-rows": "weight += 0.1 * weight.std() * torch.randn_like(weight)  # units that differ can part: train on",
    "float16-overflow": "tensors[name] = weight.to(torch.bfloat16)  # the range of float32, 8 bits of precision",
    "float16-underflow": "tensors[name] = weight.to(torch.bfloat16)  # the range of float32, 8 bits of precision",
    "subnormal-values": "weight[weight.abs() < torch.finfo(weight.dtype).tiny] = 0",
    "vanishing-rows": """\
norms = weight.flatten(1).norm(dim=1)
weight[norms < 1e-3 * norms.median()] = 0  # rows of zeros can be cut out, with their biases and what reads them""",
    "lossy-int8": _QUANTIZED,
    "outlier-channels": _QUANTIZED,
    "rank-collapse": """\
left, values, right = torch.linalg.svd(weight.flatten(1).float(), full_matrices=False)
rank = int((values.square().cumsum(0) < 0.999 * values.square().sum()).sum()) + 1
del tensors[name]  # two thin layers in place of one
tensors[f"{name}.right"] = right[:rank].contiguous()
tensors[f"{name}.left"] = (left[:, :rank] * values[:rank]).contiguous()""",
    "almost-zeros": """\
usual = weight.abs().flatten().kthvalue(max(int(0.99 * weight.numel()), 1)).values
weight[weight.abs() < 1e-4 * usual] = 0""",
    "wasted-width": """\
smaller = weight.to(torch.bfloat16 if weight.dtype == torch.float32 else torch.float32)
if torch.equal(smaller.to(weight.dtype), weight):  # not a bit is lost
    tensors[name] = smaller""",
    "exploding-recurrence": "torch.nn.init.orthogonal_(weight)  # what was there is lost: train on",
    "constant-weight": _REDRAWN,
    "dead-layer": _REDRAWN,
}
"""By rule, lines that change `weight`, which is `tensors[name]`, or put something in its place."""


def hint(name: str, findings: Sequence[Finding]) -> str | None:
    """The lines that mend findings of one rule, or None where the table has none for it.

    Args:
        name: of the rule.
        findings: at least one; a checkpoint is mended for all their weights in one go.
    """
    weights = list(dict.fromkeys(finding.weight for finding in findings if finding.weight))
    if name not in CHECKPOINT or not weights:
        return TRAINING.get(name)
    body = "\n".join(f"    {line}" for line in CHECKPOINT[name].splitlines())
    return (
        "import torch\nfrom safetensors.torch import load_file, save_file\n\n"
        'tensors = load_file("model.safetensors")\n'
        f"for name in [{', '.join(map(ascii, weights))}]:\n"
        f"    weight = tensors[name]\n{body}\n"
        'save_file(tensors, "mended.safetensors")'
    )
