"""PyTorch's L-BFGS on a GPU, on numbers of the given shape: python benches/torch_lbfgs.py 10000000x28

Without a GPU it runs on the CPU and says so, which shows that the script works and nothing else.

The fit alone, on columns that are on the device already, in f32: seconds from zero to a gradient whose largest entry is
1e-5 of the mean loss, median of three runs after one that does not count. Beside it `gpu-logreg bench --no-file` has the
seconds of an evaluation on the same shape.
"""

import statistics
import sys
import time

import torch

device = "cuda" if torch.cuda.is_available() else "cpu"
rows, features = (int(number) for number in sys.argv[1].split("x"))
generator = torch.Generator(device=device).manual_seed(1)
x = torch.randn(rows, features, device=device, generator=generator)
truth = torch.randn(features, device=device, generator=generator) / features**0.5
y = (torch.rand(rows, device=device, generator=generator) < torch.sigmoid(x @ truth)).float()


def settle():
    if device == "cuda":
        torch.cuda.synchronize()


def fit():
    weights = torch.zeros(features, device=device, requires_grad=True)
    intercept = torch.zeros(1, device=device, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weights, intercept], max_iter=200, tolerance_grad=1e-5, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )
    evaluations = 0

    def loss():
        nonlocal evaluations
        evaluations += 1
        solver.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(x @ weights + intercept, y)
        value.backward()
        return value

    settle()
    begin = time.perf_counter()
    solver.step(loss)
    settle()
    return time.perf_counter() - begin, evaluations, float(loss().detach())


runs = [fit() for _ in range(4)][1:]
seconds = statistics.median(run[0] for run in runs)
name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
print(f"torch {torch.__version__}, {name}: {rows} x {features}")
print(f"{seconds:.4f} s, {runs[0][1]} evaluations, mean loss {runs[0][2]:.9f}")
