"""Muon, with its orthogonalization in a type of choice.

`torch.optim.Muon` orthogonalizes in bfloat16 whatever the machine; a processor without instructions for it then spends
nearly all of a step there. In bfloat16 the two make the same weights, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

# Newton-Schulz iterations of degree five, with coefficients for a steep start (Jordan et al. 2024).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
LEAST_NORM = 1e-7


def orthogonalized(matrix: Any, dtype: Any) -> Any:
    """Return a matrix of nearly the same singular vectors, with all singular values near 1.

    Args:
        matrix: (rows, columns).
        dtype: what is computed in.
    """
    a, b, c = COEFFICIENTS
    flat = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if flat else matrix).to(dtype)  # (smaller, larger)
    x = x / x.norm().clamp(min=LEAST_NORM)
    for _ in range(ITERATIONS):
        gram = x @ x.T  # (smaller, smaller)
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if flat else x


class Muon(torch.optim.Optimizer):  # type: ignore[misc]
    """Momentum, orthogonalized, for matrices (Jordan et al. 2024), its steps as large as AdamW's (Liu et al. 2025).

    Args:
        matrices: parameters of two dimensions.
        lr: learning rate, as for AdamW.
        weight_decay: decoupled.
        dtype: what orthogonalization computes in.
        momentum: Nesterov's.
    """

    def __init__(
        self, matrices: Iterable[Any], *, lr: float, weight_decay: float, dtype: Any, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self) -> None:
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                average = state.setdefault("momentum_buffer", torch.zeros_like(matrix))
                average.lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonalized(matrix.grad.lerp(average, group["momentum"]), self.dtype)
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(matrix.shape)))
