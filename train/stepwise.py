"""Distilling step-by-step: one model predicts the label and explains it, two tasks told apart by a prefix.

loss = alpha * label + (1 - alpha) * rationale (arXiv 2305.02301, equation 4; alpha 0.5 in its code). At test time
only the label is asked for, so the rationales cost nothing then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from dnc_edge.errors import InputError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.settings import FROM_0, SHARE, setting
from dnc_edge.tasks import stats
from dnc_edge.train import checkpoints
from dnc_edge.train.arithmetic import choose
from dnc_edge.train.checkpoints import Base
from dnc_edge.train.rationales import Labelled

PREDICT, EXPLAIN = "predict: ", "explain: "
IGNORED = -100


@dataclass
class StepwiseConfig:
    """What `train stepwise` does; the merged config is saved beside the model."""

    task: str = setting("svamp", "svamp, commonsenseqa, esnli or anli1")
    method: str = setting(
        "stepwise",
        "finetuning: gold labels alone; distillation: the teacher's labels alone",
        choices=("stepwise", "finetuning", "distillation"),
    )
    labels: str = setting("gold", "of stepwise", choices=("gold", "teacher"))
    alpha: float = setting(0.5, "weight of the label", within=SHARE)
    fraction: float = setting(1.0, "share of the training side", within=SHARE)
    epochs: float = 10
    batch: int = 64
    micro_batch: int = 16
    learning_rate: float = 5e-5
    warmup: float = setting(0.0, within=SHARE)
    max_length: int = 512
    checkpointing: bool = False
    precision: str = setting("auto", choices=("auto", "bf16", "fp32"))
    every: int = setting(200, "steps between checkpoints")
    report: str = setting("", choices=("", "tensorboard"))
    seed: int = setting(0, within=FROM_0)


def targets(row: Labelled, config: StepwiseConfig) -> tuple[str, str | None]:
    """Return (label, rationale) to learn; the baselines learn no rationale."""
    teacher = config.method == "distillation" or (config.method == "stepwise" and config.labels == "teacher")
    return (row.teacher_label if teacher else row.label), (row.rationale if config.method == "stepwise" else None)


def stepwise(
    training: Sequence[Labelled],
    test: Sequence[Labelled],
    source: str,
    out: Path,
    config: StepwiseConfig,
    *,
    resume: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Train all weights on both tasks and measure the labels on the test side.

    Args:
        training, test: the two sides of a task.
        source: T5 or a causal model: a directory or a hub repository.
        out: directory of the model; checkpoints and log lie in it too.
        config: see `StepwiseConfig`.
        resume: go on from the last good checkpoint.
        progress: gets notes of what is used, and what it computes in.

    Returns:
        examples, steps, seconds, loss, and accuracy with its interval.

    Raises:
        InputError: nothing to train on, or what stopped the run.
    """
    from transformers import Trainer, TrainingArguments

    from dnc_edge.train.loop import arguments, trained

    runs = out / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    base = checkpoints.open_base(source, scratch=runs, limit=config.max_length)
    chosen = fraction(training, config)
    rows = [row for row in (encoded(one, base, config) for one in chosen) if row]
    if not rows:
        raise InputError(f"no example of {config.task} fits {config.max_length} tokens")
    progress.note(f"{len(rows):,} of {len(training):,} examples")
    arithmetic = choose(config.precision)
    progress.note(str(arithmetic))
    model = checkpoints.load_model(base, dtype=arithmetic.weights)

    class TwoTasks(Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            label = model(**inputs["label"])
            if "rationale" not in inputs:
                return (label.loss, label) if return_outputs else label.loss
            loss = config.alpha * label.loss + (1 - config.alpha) * model(**inputs["rationale"]).loss
            return (loss, label) if return_outputs else loss

    trainer = TwoTasks(
        model=model,
        args=arguments(TrainingArguments, runs, config, arithmetic, examples=len(rows)),
        train_dataset=rows,
        data_collator=lambda batch: collated(batch, base),
    )
    with trained(trainer, out, config, resume=resume) as figures:
        figures |= {"examples": len(rows), "accuracy": asdict(predicted(trainer.model, base, test, config))}
        data = {f"distilling_step_by_step/{config.task}": len(rows)}
        facts = {"stepwise": asdict(config), "arithmetic": asdict(arithmetic), "figures": figures, "data": data}
        checkpoints.save(trainer, base, out, facts, data)
    return figures


def fraction(training: Sequence[Labelled], config: StepwiseConfig) -> list[Labelled]:
    """Draw a share of the training side by the seed; a smaller share is part of a larger one."""
    order = list(training)
    Random(config.seed).shuffle(order)
    return order[: max(1, round(config.fraction * len(order)))]


def encoded(row: Labelled, base: Base, config: StepwiseConfig) -> dict[str, tuple[list[int], list[int]]] | None:
    """Return (prompt, target) token ids of each task; None if one is longer than the limit."""
    label, rationale = targets(row, config)
    if not label:
        return None
    pairs = {"label": (PREDICT + row.question, label)}
    if rationale is not None:
        pairs["rationale"] = (EXPLAIN + row.question, rationale)
    made = {}
    for task, (asked, target) in pairs.items():
        prompt, completion = prompt_tokens(base, asked), [*base.encoder.text(target), base.encoder.end]
        if len(prompt) + len(completion) > base.encoder.limit:
            return None
        made[task] = (prompt, completion)
    return made


def prompt_tokens(base: Base, text: str) -> list[int]:
    """Return a prompt without a role, whose prefix names the task; a causal model needs a line break after it."""
    if base.encoder_decoder:
        return [*base.encoder.text(text), base.encoder.end]
    begin = [base.tokenizer.bos_token_id] if base.tokenizer.bos_token_id is not None else []
    return [*begin, *base.encoder.text(text + "\n")]


def collated(batch: Sequence[dict[str, tuple[list[int], list[int]]]], base: Base) -> dict[str, dict[str, Any]]:
    """Return one padded batch for each task."""
    import torch

    def padded(rows: list[list[int]], fill: int) -> Any:
        longest = max(map(len, rows))
        return torch.tensor([row + [fill] * (longest - len(row)) for row in rows])

    made = {}
    pad = base.tokenizer.pad_token_id
    for task in batch[0]:
        pairs = [row[task] for row in batch]
        if base.encoder_decoder:
            inputs, labels = [prompt for prompt, _ in pairs], [target for _, target in pairs]
        else:
            inputs = [prompt + target for prompt, target in pairs]
            labels = [[IGNORED] * len(prompt) + target for prompt, target in pairs]
        made[task] = {
            "input_ids": padded(inputs, pad),
            "attention_mask": padded([[1] * len(row) for row in inputs], 0),
            "labels": padded(labels, IGNORED),
        }
    return made


def predicted(model: Any, base: Base, test: Sequence[Labelled], config: StepwiseConfig) -> stats.Estimate:
    """Return the share of the test side whose generated label is the gold one."""
    import torch

    model.eval()
    hits = 0
    for row in test:
        prompt = torch.tensor([prompt_tokens(base, PREDICT + row.question)], device=model.device)
        with torch.no_grad():
            made = model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=32,
                do_sample=False,
                eos_token_id=base.encoder.end,
                pad_token_id=base.tokenizer.pad_token_id,
            )[0]
        text = base.tokenizer.decode(
            made if base.encoder_decoder else made[prompt.shape[1] :], skip_special_tokens=True
        )
        hits += "".join(text.split()).lower() == "".join(row.label.split()).lower()
    return stats.wilson(hits, len(test))
