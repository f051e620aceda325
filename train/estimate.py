"""What a fine-tuning will take, before it is begun: steps, tokens, memory, and hours from steps that are taken."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from dnc_edge.convert.checkpoint import model_class
from dnc_edge.engines.memory import available_memory
from dnc_edge.progress import SILENT, Progress
from dnc_edge.train.arithmetic import Arithmetic, choose
from dnc_edge.train.checkpoints import Base, adapted, open_base
from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.examples import Example
from dnc_edge.train.sft import GENERATED_TOGETHER, SftConfig, examples, generated_f1, split, trainer_for

# Steps are measured until there are this many, or they have taken this many seconds; the first one warms up.
MOST_STEPS = 8
ENOUGH_SECONDS = 5.0


@dataclass(frozen=True)
class Estimate:
    """Of a fine-tuning run on this machine.

    Attributes:
        steps: of the optimizer, in all epochs.
        memory_gib: of one device, estimated.
        precision: what it computes in.
        micro_batch_seconds, step_seconds, evaluation_seconds: measured: forward and backward of a micro-batch, what
            the optimizer adds, and one evaluation on the held-out problems; None where the run does not fit here.
        hours: of all of them, if it does not stop early; None likewise.
    """

    examples: int
    tokens_an_epoch: int
    steps: int
    parameters: int
    trainable: int
    memory_gib: float
    device: str
    precision: str
    micro_batch_seconds: float | None = None
    step_seconds: float | None = None
    evaluation_seconds: float | None = None
    hours: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def estimate(
    demonstrations: Sequence[Demonstration],
    source: str,
    config: SftConfig,
    *,
    progress: Progress = SILENT,
) -> Estimate:
    """Estimate a run from its examples, the shape of its base, and some steps that are taken and thrown away.

    Args:
        demonstrations, source, config: as of `sft`.
        progress: gets notes of what is used and left out, and why nothing was measured.

    Raises:
        InputError, UsageError: the run could not be begun.
    """
    with TemporaryDirectory() as folder:
        base = open_base(source, role=config.role, scratch=Path(folder), limit=config.max_length)
        training, validation = split(demonstrations, config)
        made, counts = examples(training, base, config)
        progress.note(", ".join(f"{count:,} {why}" for why, count in counts.items()))
        arithmetic = choose(config.precision)
        progress.note(str(arithmetic))
        known = _shape(made, base, config, arithmetic)
        available = None if arithmetic.device == "cuda" else available_memory()
        if available is not None and known.memory_gib * 2**30 > available:
            progress.note(
                f"hours are not measured: it needs {known.memory_gib} GiB, {available / 2**30:.1f} are available"
            )
            return known
        return _measured(known, made, validation, base, Path(folder), config, arithmetic)


def _shape(made: Sequence[Example], base: Base, config: SftConfig, arithmetic: Arithmetic) -> Estimate:
    """Estimate from the examples and the model's shape; no weights are read.

    Memory is weights, gradients and Adam's two moments, and the activations of a micro-batch.
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
    stored = 0.55 if config.method == "qlora" else arithmetic.weights.itemsize
    longest = max(len(example.tokens) for example in made)
    width = shape.hidden_size if hasattr(shape, "hidden_size") else shape.d_model
    depth = shape.num_hidden_layers if hasattr(shape, "num_hidden_layers") else shape.num_layers
    # About 34 bytes of a layer's width are kept for the way back in 16 bits (Korthikanti et al. 2022), 2 with
    # checkpointing.
    kept = (2 if config.checkpointing else 34) * width * depth * arithmetic.dtype.itemsize / 2
    logits = shape.vocab_size * 4 * 3
    memory = parameters * stored + trainable * 16 + config.micro_batch * longest * (kept + logits)
    return Estimate(
        examples=len(made),
        tokens_an_epoch=sum(len(example.tokens) for example in made),
        steps=math.ceil(math.ceil(len(made) / config.batch) * config.epochs),
        parameters=parameters,
        trainable=trainable,
        memory_gib=round(memory / 2**30, 2),
        device=torch.cuda.get_device_name() if arithmetic.device == "cuda" else "cpu",
        precision=arithmetic.precision,
    )


def _measured(
    known: Estimate,
    made: Sequence[Example],
    validation: Sequence[Demonstration],
    base: Base,
    folder: Path,
    config: SftConfig,
    arithmetic: Arithmetic,
) -> Estimate:
    """The same with the seconds of steps that the run's own trainer takes, and the hours that follow."""
    from transformers import PrinterCallback, ProgressCallback

    # A step of one micro-batch; nothing is saved, and the clock ends it.
    short = replace(config, batch=config.micro_batch, epochs=1000, every=10**9, report="")
    trainer = trainer_for(base, made, (), folder / "runs", short, arithmetic)
    clock = _clock(trainer.model.device.type)
    for shown in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(shown)
    trainer.add_callback(clock)
    trainer.train()
    micro_batch, step = (mean(seconds[1:]) for seconds in (clock.micro_batch, clock.step))
    # Packing leaves fewer rows than there are examples.
    rows = len(trainer.train_dataset)
    steps = math.ceil(math.ceil(rows / config.batch) * config.epochs)
    evaluation = 0.0
    if validation:
        few = validation[:GENERATED_TOGETHER]
        started = time.monotonic()
        generated_f1(trainer.model, base, few)
        evaluation = (time.monotonic() - started) * len(validation) / len(few)
    seconds = math.ceil(rows / config.micro_batch) * config.epochs * micro_batch + steps * step
    seconds += steps // config.every * evaluation
    return replace(
        known,
        steps=steps,
        micro_batch_seconds=float(f"{micro_batch:.3g}"),
        step_seconds=float(f"{step:.3g}"),
        evaluation_seconds=float(f"{evaluation:.3g}"),
        hours=float(f"{seconds / 3600:.3g}"),
    )


def _clock(device: str) -> Any:
    """Return a callback that times steps of one micro-batch, and stops the training once they suffice."""
    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.micro_batch: list[float] = []
            self.step: list[float] = []

        def now(self) -> float:
            if device == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter()

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = self.now()

        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            self.went = self.now()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.micro_batch.append(self.went - self.began)
            self.step.append(self.now() - self.went)
            taken = sum(self.micro_batch[1:]) + sum(self.step[1:])
            control.should_training_stop = len(self.step) > MOST_STEPS or taken > ENOUGH_SECONDS

    return Clock()
