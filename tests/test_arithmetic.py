"""What a training computes in: the faster type of this processor, the same weights as torch's Muon, no surprise."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

from dnc_edge.train import arithmetic
from dnc_edge.train.arithmetic import Arithmetic, choose

# What torch computes with is limited to what most processors have: no AVX-512, no instructions for bfloat16.
OLDER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
CHOOSE = """
import json, sys
from dataclasses import asdict
from dnc_edge.train.arithmetic import choose
print(json.dumps(asdict(choose(sys.argv[1]))))
"""

older = pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86 can be limited to what it had before")


def chosen(precision: str, environment: dict[str, str]) -> tuple[dict[str, Any], str]:
    """What is chosen in a process of its own, and what it writes to stderr."""
    made = subprocess.run(
        [sys.executable, "-c", CHOOSE, precision],
        capture_output=True, text=True, check=True, env={**os.environ, **environment},
    )  # fmt: skip
    return json.loads(made.stdout), made.stderr


@older
def test_without_instructions_for_bfloat16_float32_is_taken() -> None:
    made, said = chosen("auto", OLDER)
    assert made["precision"] == "fp32" and made["speedup"] < 0.5 and not said


@older
def test_a_slow_type_is_obeyed_with_a_warning_of_the_ratio() -> None:
    made, said = chosen("bf16", OLDER)
    assert made["precision"] == "bf16"
    assert "times slower than fp32 on this processor" in said


@pytest.mark.parametrize(
    ("speedup", "wanted", "taken"),
    [
        (2.0, "auto", "bf16"),
        (1.1, "auto", "fp32"),
        (0.02, "auto", "fp32"),
        (2.0, "fp32", "fp32"),
        (2.0, "bf16", "bf16"),
    ],
)
def test_what_is_asked_for_wins_over_what_is_fast(
    speedup: float, wanted: str, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(arithmetic, "cpu_speedup", lambda: speedup)
    assert choose(wanted) == Arithmetic(taken, "cpu", speedup)


def test_the_measurement_leaves_the_threads_as_they_were() -> None:
    import torch

    before = torch.get_num_threads()
    arithmetic.cpu_speedup.cache_clear()
    assert arithmetic.cpu_speedup() > 0
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("shape", [(16, 48), (48, 16), (32, 32)])
def test_muon_in_bfloat16_makes_the_weights_of_torchs(shape: tuple[int, int]) -> None:
    import torch

    from dnc_edge.train.muon import Muon

    def trained(kind: Any, **settings: Any) -> Any:
        torch.manual_seed(1)
        weights = torch.nn.Parameter(torch.randn(shape))
        stepper = kind([weights], lr=0.02, weight_decay=0.1, momentum=0.95, **settings)
        for _ in range(4):
            (weights * torch.randn(shape)).sum().backward()
            stepper.step()
            stepper.zero_grad()
        return weights.detach()

    ours, theirs = trained(Muon, dtype=torch.bfloat16), trained(torch.optim.Muon, adjust_lr_fn="match_rms_adamw")
    assert torch.equal(ours, theirs)
    assert torch.allclose(trained(Muon, dtype=torch.float32), theirs, atol=5e-3)


def test_orthogonalized_singular_values_are_near_one() -> None:
    import torch

    from dnc_edge.train.muon import orthogonalized

    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalized(torch.randn(24, 64), torch.float32))
    assert float(values.min()) > 0.6 and float(values.max()) < 1.3
