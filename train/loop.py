"""What every training by transformers' Trainer shares: arguments, a log, a stop where the loss is lost."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Generator, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from torch.utils.data import Sampler
from transformers import PrinterCallback, TrainerCallback

from dnc_edge.errors import UsageError
from dnc_edge.train.arithmetic import Arithmetic
from dnc_edge.train.checkpoints import LossLost, explained, last_good


@contextlib.contextmanager
def trained(trainer: Any, out: Path, config: Any, *, resume: bool) -> Generator[dict[str, Any]]:
    """Train, then give steps, seconds and loss; what stops it, or what is done with it meanwhile, becomes one line.

    Args:
        trainer: of transformers or TRL, with its checkpoints in `out`/runs.
        out: folder of the log: every figure in a file, nothing of them on stdout.
        config: with micro_batch, which the line about memory names.
        resume: go on from the last good checkpoint, if there is one.

    Raises:
        InputError: see `checkpoints.explained`.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Log(out / "log.jsonl"))
    runs = Path(trainer.args.output_dir)
    last = last_good(runs) if resume else None
    with explained(runs, config.micro_batch):
        result = trainer.train(resume_from_checkpoint=str(last) if last else None)
        yield {
            "steps": trainer.state.global_step,
            "seconds": round(result.metrics["train_runtime"], 1),
            "loss": round(result.training_loss, 4),
        }


class Log(TrainerCallback):  # type: ignore[misc]
    """Writes every figure to a JSONL file, and stops where the loss is no number, before that is saved."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        figures = {name: value for name, value in (logs or {}).items() if isinstance(value, int | float)}
        if state.is_world_process_zero:
            with self.path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"step": state.global_step, **figures}) + "\n")
        # A gradient that is no number has spoilt the weights before the loss shows it.
        for name in ("loss", "grad_norm"):
            if not math.isfinite(figures.get(name, 0.0)):
                what = name.replace("_", " ")
                raise LossLost(f"the {what} is {figures[name]} at step {state.global_step}")


def arguments(
    kind: Any, runs: Path, config: Any, arithmetic: Arithmetic, *, examples: int, evaluates: bool = False, **more: Any
) -> Any:
    """Training arguments from a config.

    Args:
        kind: the class of arguments of a trainer.
        runs: folder of the checkpoints.
        config: with epochs, batch, micro_batch, learning_rate, warmup, every, seed, checkpointing, report.
        arithmetic: what to compute in.
        examples: how many an epoch has.
        evaluates: whether plans are judged on the way and the best checkpoint wins.
    """
    if config.report and find_spec(config.report) is None:
        raise UsageError(f"the package {config.report} is not installed", hint=f"pip install {config.report}")
    chosen: dict[str, Any] = {}
    if evaluates:
        chosen = {"eval_strategy": "steps", "eval_steps": config.every, "load_best_model_at_end": True}
        chosen |= {"metric_for_best_model": "plan_f1", "greater_is_better": True}
    # Processes of `accelerate launch` share the batch.
    world = int(os.environ.get("WORLD_SIZE", "1"))
    steps = math.ceil(examples / config.batch) * config.epochs
    return kind(
        output_dir=str(runs),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.micro_batch,
        per_device_eval_batch_size=config.micro_batch,
        gradient_accumulation_steps=max(1, config.batch // (config.micro_batch * world)),
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(config.warmup * steps),
        bf16=arithmetic.bf16,
        use_cpu=arithmetic.device == "cpu",
        gradient_checkpointing=config.checkpointing,
        save_strategy="steps",
        save_steps=config.every,
        save_total_limit=2,
        # A lost loss is seen before what it made is saved.
        logging_steps=math.gcd(10, config.every),
        logging_nan_inf_filter=False,
        disable_tqdm=not sys.stderr.isatty(),
        report_to=[config.report] if config.report else [],
        seed=config.seed,
        data_seed=config.seed,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        **chosen,
        **more,
    )


class LikeLengths(Sampler):  # type: ignore[misc]
    """Examples in batches of like lengths, which need less padding, the batches in random order.

    Lengths count with some noise, so that examples of one kind, alike in length, do not fill whole batches.

    Args:
        lengths: of the examples, in tokens.
        batch: examples at once.
        seed: the same seed gives the same order of each epoch.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = lengths, batch, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = Random(f"{self.seed}-{self.epoch}")
        order = sorted(range(len(self.lengths)), key=lambda index: self.lengths[index] * rng.uniform(0.6, 1.4))
        batches = [order[begin : begin + self.batch] for begin in range(0, len(order), self.batch)]
        # The last, smaller batch stays last: the others keep their bounds.
        last = [batches.pop()] if len(order) % self.batch else []
        rng.shuffle(batches)
        yield from (index for batch in batches + last for index in batch)
