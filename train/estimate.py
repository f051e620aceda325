"""What a training will take, before it is begun: steps, tokens, memory, hours."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

from dnc_edge.convert.checkpoint import model_class
from dnc_edge.train.checkpoints import Base, adapted
from dnc_edge.train.examples import Example
from dnc_edge.train.sft import SftConfig

# Of what a large product of matrices reaches on the device, a training reaches about so much.
REACHED = 0.35


@dataclass(frozen=True)
class Estimate:
    """Of a fine-tuning run; `memory_gib` is of one device, `hours` on this machine."""

    examples: int
    tokens_an_epoch: int
    steps: int
    parameters: int
    trainable: int
    memory_gib: float
    hours: float
    device: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def estimate(made: list[Example], base: Base, config: SftConfig) -> Estimate:
    """Estimate a run from its examples and the shape of its base; no weights are read.

    Six operations a parameter and token (forward two, backward four; a frozen weight takes no gradient and
    saves two); memory is weights, gradients and Adam's two moments, and activations of a micro-batch.
    """
    import torch
    from transformers import AutoConfig

    shape = AutoConfig.from_pretrained(base.checkpoint.path)
    with torch.device("meta"):
        model = model_class(base.encoder_decoder).from_config(shape)
        if config.method != "full":
            model = adapted(model, config)
    parameters = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    cuda = torch.cuda.is_available()
    stored = {"qlora": 0.55}.get(config.method, 2 if cuda else 4)
    tokens = sum(len(example.tokens) for example in made)
    longest = max(len(example.tokens) for example in made)
    width = shape.hidden_size if hasattr(shape, "hidden_size") else shape.d_model
    depth = shape.num_hidden_layers if hasattr(shape, "num_hidden_layers") else shape.num_layers
    # About 34 numbers of a layer's width are kept for the way back (Korthikanti et al. 2022), 2 with checkpointing.
    kept = (2 if config.checkpointing else 34) * width * depth
    logits = shape.vocab_size * 4 * 3
    activations = config.micro_batch * longest * ((2 if cuda else 4) * kept / 2 + logits)
    memory = parameters * stored + trainable * 16 + activations
    operations = 2 * parameters * 2 + 2 * trainable + (2 * parameters if config.checkpointing else 0)
    return Estimate(
        examples=len(made),
        tokens_an_epoch=tokens,
        steps=math.ceil(math.ceil(len(made) / config.batch) * config.epochs),
        parameters=parameters,
        trainable=trainable,
        memory_gib=round(memory / 2**30, 2),
        hours=round(operations * tokens * config.epochs / (_rate(cuda) * REACHED) / 3600, 3),
        device=torch.cuda.get_device_name() if cuda else "cpu",
    )


def _rate(cuda: bool) -> float:
    """Operations a second of a large product of matrices, measured for a moment."""
    import torch

    size, device = (4096, "cuda") if cuda else (1024, "cpu")
    matrix = torch.randn(size, size, device=device, dtype=torch.bfloat16 if cuda else torch.float32)
    matrix @ matrix
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < 0.3:
        matrix @ matrix
        if cuda:
            torch.cuda.synchronize()
        count += 1
    return float(2 * size**3 * count / (time.perf_counter() - started))
