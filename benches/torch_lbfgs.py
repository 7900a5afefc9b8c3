"""PyTorch's L-BFGS on a GPU, on numbers of the given shape: python benches/torch_lbfgs.py 10000000x28

The fit alone, on columns that are on the device already, in f32: seconds from zero to a gradient whose largest entry is
1e-5 of the mean loss, median of three runs after one that does not count. Beside it `gpu-logreg bench --no-file` has the
seconds of an evaluation on the same shape.
"""

import statistics
import sys
import time

import torch

rows, features = (int(number) for number in sys.argv[1].split("x"))
generator = torch.Generator(device="cuda").manual_seed(1)
x = torch.randn(rows, features, device="cuda", generator=generator)
truth = torch.randn(features, device="cuda", generator=generator) / features**0.5
y = (torch.rand(rows, device="cuda", generator=generator) < torch.sigmoid(x @ truth)).float()


def fit():
    weights = torch.zeros(features, device="cuda", requires_grad=True)
    intercept = torch.zeros(1, device="cuda", requires_grad=True)
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

    torch.cuda.synchronize()
    begin = time.perf_counter()
    solver.step(loss)
    torch.cuda.synchronize()
    return time.perf_counter() - begin, evaluations, float(loss())


runs = [fit() for _ in range(4)][1:]
seconds = statistics.median(run[0] for run in runs)
print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}: {rows} x {features}")
print(f"{seconds:.4f} s, {runs[0][1]} evaluations, mean loss {runs[0][2]:.9f}")
