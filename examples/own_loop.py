"""Record the weights of a training loop of your own, then ask for findings and pictures."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import weightsmith as ws

images, labels = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32)
labels = torch.tensor(labels)

model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
for decision in ws.init.apply(model, "auto", seed=0):
    print(decision)
optimizer = ws.optim.build(model, "adam", lr=1e-3, l1=1e-4)

with ws.record(model, optimizer, name="own loop", budget=0.02) as recorder:
    for _ in range(500):
        batch = torch.randint(len(images), (64,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)

print(recorder.cost)
for finding in ws.check(recorder.run):
    print(finding)
