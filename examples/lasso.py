"""L1 with Adam, twice: as a proximal step it reaches the Lasso's solution, as a loss term it leaves no zero at all."""

import numpy as np
import torch
from sklearn.linear_model import Lasso

import weightsmith as ws
from weightsmith.penalties import kkt_residual

STRENGTH = 0.1
STEPS = 4000

random = np.random.default_rng(0)
inputs = random.standard_normal((200, 50))
truth = np.zeros(50)
truth[:5] = [3, -2, 1.5, 1, -0.5]
targets = inputs @ truth + 0.5 * random.standard_normal(200)
reference = Lasso(alpha=STRENGTH, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(inputs, targets).coef_


def fit(*, proximal: bool) -> tuple[np.ndarray, float]:
    """Minimize ||y - Xw||^2 / (2n) + STRENGTH * ||w||_1 by Adam; return w and its KKT residual."""
    design, response = torch.tensor(inputs), torch.tensor(targets)
    model = torch.nn.Linear(50, 1, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(model.weight)
    optimizer = ws.optim.build(model, "adam", lr=0.05, l1=STRENGTH if proximal else 0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        smooth = (model(design).squeeze(1) - response).square().mean() / 2
        (smooth if proximal else smooth + STRENGTH * model.weight.abs().sum()).backward()
        optimizer.step()
        schedule.step()
    optimizer.zero_grad()
    ((model(design).squeeze(1) - response).square().mean() / 2).backward()
    return model.weight.detach().numpy()[0], float(kkt_residual(model.weight.detach(), model.weight.grad, l1=STRENGTH))


if __name__ == "__main__":
    print(f"{'':28}  exact zeros  same support  KKT residual")
    for words, proximal in (("Adam, proximal L1", True), ("Adam, L1 as a loss term", False)):
        weights, residual = fit(proximal=proximal)
        same = set(np.flatnonzero(weights)) == set(np.flatnonzero(reference))
        print(f"{words:28}  {np.sum(weights == 0):>11}  {'yes' if same else 'no':>12}  {residual:.1e}")
    print(f"{'scikit-learn Lasso':28}  {np.sum(reference == 0):>11}")
