"""In which type a training computes: bfloat16 where that is faster than float32.

Some processors multiply in bfloat16 twice as fast as in float32 (AVX-512 BF16, AMX, Arm's BF16), most have no
instruction for it and take up to a hundred times as long. What counts is what torch makes of a processor, so
a product of matrices is timed in both, which takes some milliseconds.
"""

from __future__ import annotations

import functools
import time
import warnings
from dataclasses import dataclass
from typing import Any

# A product must be this many times as fast in bfloat16 to be worth its rounding.
WORTH = 1.2
# Rows and columns of the matrices: near those of small models, and a product in float32 takes half a millisecond.
SIZE = 256
# Of several products the fastest counts: what else the machine does only slows them.
ROUNDS = 5


@dataclass(frozen=True)
class Arithmetic:
    """What a training computes in.

    Attributes:
        precision: "bf16" or "fp32".
        device: "cuda" or "cpu".
        speedup: how many times as fast a product of matrices is in bfloat16 as in float32; None on a GPU.
    """

    precision: str
    device: str
    speedup: float | None = None

    @property
    def bf16(self) -> bool:
        return self.precision == "bf16"

    @property
    def dtype(self) -> Any:
        """Of products; weights are kept in float32 on a CPU."""
        import torch

        return torch.bfloat16 if self.bf16 else torch.float32

    @property
    def weights(self) -> Any:
        """Return the type of a pretrained base's weights: 16 bits if a GPU computes in them."""
        import torch

        return torch.bfloat16 if self.bf16 and self.device == "cuda" else torch.float32

    def __str__(self) -> str:
        name = "bfloat16" if self.bf16 else "float32"
        measured = "" if self.speedup is None else f"; bfloat16 is {self.speedup:.2g} times as fast as float32 here"
        return f"computing in {name} on {self.device}{measured}"


def choose(precision: str) -> Arithmetic:
    """Choose what to compute in on this machine.

    Args:
        precision: "bf16", "fp32", or "auto": bf16 where it is faster. One that is slow here is obeyed, with a warning.
    """
    import torch

    if torch.cuda.is_available():
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return Arithmetic(("bf16" if has else "fp32") if precision == "auto" else precision, "cuda")
    speedup = cpu_speedup()
    if precision == "auto":
        return Arithmetic("bf16" if speedup >= WORTH else "fp32", "cpu", speedup)
    if precision == "bf16" and speedup < 1:
        warnings.warn(
            f"precision=bf16 is {1 / speedup:.3g} times slower than fp32 on this processor; auto takes the faster one",
            stacklevel=2,
        )
    return Arithmetic(precision, "cpu", speedup)


@functools.cache
def cpu_speedup() -> float:
    """Measure how many times as fast this processor multiplies matrices in bfloat16 as in float32."""
    import torch

    def seconds(matrix: Any) -> float:
        started = time.perf_counter()
        matrix @ matrix
        return time.perf_counter() - started

    # One thread: two would wait for each other's time slices on a busy machine.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        single, half = (torch.ones(SIZE, SIZE, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
        # In turn, so that what slows the machine slows both; the first round warms up.
        rounds = [(seconds(single), seconds(half)) for _ in range(ROUNDS + 1)][1:]
    finally:
        torch.set_num_threads(threads)
    return min(one for one, _ in rounds) / min(other for _, other in rounds)
