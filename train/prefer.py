"""Preference training on solver feedback: DPO on pairs of plans, or GRPO with the solver's success as reward.

Both by TRL, on a LoRA adapter; the base with the adapter off is the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dnc_edge.errors import InputError
from dnc_edge.parse import plan as parse_plan
from dnc_edge.progress import SILENT, Progress
from dnc_edge.prompts import user_message
from dnc_edge.settings import FROM_0, SHARE, setting
from dnc_edge.train import checkpoints
from dnc_edge.train.arithmetic import Arithmetic, choose
from dnc_edge.train.checkpoints import Base
from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.feedback import Preference

# (question, context, plan, gold answer) -> reward.
Reward = Callable[[str, str | None, Sequence[str], str], float]


@dataclass
class PreferConfig:
    """What `train prefer` does; the merged config is saved beside the adapter."""

    method: str = setting("dpo", choices=("dpo", "grpo"))
    beta: float = setting(0.1, "how strongly the reference holds")
    rank: int = 16
    alpha: int = 32
    dropout: float = setting(0.0, within=SHARE)
    modules: str = setting("all-linear", "or names, separated by commas")
    layers: int = setting(0, "adapt this many of the upper layers; 0 adapts all", within=FROM_0)
    samples: int = setting(4, "plans of a question")
    temperature: float = setting(0.8, within=FROM_0)
    epochs: float = 1
    batch: int = 32
    micro_batch: int = 4
    learning_rate: float = 5e-6
    warmup: float = setting(0.1, within=SHARE)
    max_length: int = 1024
    longest_plan: int = setting(160, "tokens of a plan that GRPO samples")
    checkpointing: bool = False
    precision: str = setting("auto", choices=("auto", "bf16", "fp32"))
    every: int = setting(50, "steps between checkpoints")
    report: str = setting("", choices=("", "tensorboard"))
    seed: int = setting(0, within=FROM_0)


def dpo(
    pairs: Sequence[Preference],
    source: str,
    out: Path,
    config: PreferConfig,
    *,
    resume: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Direct preference optimization (Rafailov et al. 2023) on pairs of plans.

    Args:
        pairs: of `feedback.preferences`.
        source: the base, or a student's merged checkpoint.
        out: directory of the adapter; checkpoints and log lie in it too.
        config: see `PreferConfig`.
        resume: go on from the last good checkpoint.
        progress: gets a note of what it computes in.

    Returns:
        pairs, steps, seconds, loss, and the share of pairs whose margin has the right sign at the end.

    Raises:
        InputError: no pair, or what stopped the run.
    """
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from dnc_edge.train.loop import arguments

    if not pairs:
        raise InputError("there is no pair of plans", hint="sample more plans of more questions")
    base, model, runs, arithmetic = _start(source, out, config, progress)
    rows = [
        {
            "prompt": _prompt(base, p.question, p.context),
            "chosen": "\n".join(p.chosen),
            "rejected": "\n".join(p.rejected),
        }
        for p in pairs
    ]

    settings = arguments(
        DPOConfig, runs, config, arithmetic, examples=len(rows), beta=config.beta, max_length=config.max_length
    )
    trainer = DPOTrainer(
        model=model, args=settings, train_dataset=Dataset.from_list(rows), processing_class=base.tokenizer
    )
    figures = _train(trainer, base, out, config, arithmetic, resume, {"pairs": len(pairs)})
    margins = [line["rewards/accuracies"] for line in trainer.state.log_history if "rewards/accuracies" in line]
    return figures | {"margins_right": margins[-1] if margins else None}


def grpo(
    questions: Sequence[Demonstration],
    source: str,
    out: Path,
    config: PreferConfig,
    reward: Reward,
    *,
    resume: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Group-relative policy optimization (Shao et al. 2024), the solver's success through a plan as its reward.

    Args:
        questions: with gold answers.
        reward: 1 where the solver reaches the answer through a plan, else 0.
        source, out, config, resume, progress: see `dpo`.

    Returns:
        questions, steps, seconds, loss, and the mean reward of the last step.

    Raises:
        InputError: what stopped the run.
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from dnc_edge.train.loop import arguments

    base, model, runs, arithmetic = _start(source, out, config, progress)
    asked = [question for question in questions if question.answer is not None]
    rows = [
        {
            "prompt": _prompt(base, question.question, question.context),
            "question": question.question,
            "context": question.context,
            "gold": question.answer,
        }
        for question in asked
    ]

    def rewards(
        completions: list[str], question: list[str], context: list[Any], gold: list[str], **_: Any
    ) -> list[float]:
        plans = [parse_plan(text).subquestions for text in completions]
        return [reward(*each) for each in zip(question, context, plans, gold, strict=True)]

    settings = arguments(
        GRPOConfig, runs, config, arithmetic, examples=len(rows) * config.samples, beta=config.beta,
        num_generations=config.samples, max_completion_length=config.longest_plan, temperature=config.temperature,
    )  # fmt: skip
    trainer = GRPOTrainer(
        model=model, reward_funcs=rewards, args=settings, train_dataset=Dataset.from_list(rows),
        processing_class=base.tokenizer,
    )  # fmt: skip
    figures = _train(trainer, base, out, config, arithmetic, resume, {"questions": len(rows)})
    seen = [line["reward"] for line in trainer.state.log_history if "reward" in line]
    return figures | {"reward": seen[-1] if seen else None}


def _start(source: str, out: Path, config: PreferConfig, progress: Progress) -> tuple[Base, Any, Path, Arithmetic]:
    runs = out / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    base = checkpoints.open_base(source, role="decompose", scratch=runs, limit=config.max_length)
    if base.encoder_decoder:
        raise InputError("preference training is for causal models", hint="fine-tune T5 with train sft")
    base.tokenizer.backend_tokenizer.encode_special_tokens = False
    arithmetic = choose(config.precision)
    progress.note(str(arithmetic))
    model = checkpoints.load_model(base, dtype=arithmetic.weights)
    return base, checkpoints.adapted(model, config), runs, arithmetic


def _prompt(base: Base, question: str, context: str | None) -> str:
    """Return a prompt as text for TRL, which must tokenize it as the student does at run time.

    Raises:
        InputError: it does not.
    """
    user = user_message(question, context)
    text = base.encoder.templates["decompose"].replace("{user}", user)
    base.tokenizer.backend_tokenizer.encode_special_tokens = True
    wanted = base.encoder.prompt("decompose", user)
    base.tokenizer.backend_tokenizer.encode_special_tokens = False
    if base.tokenizer(text)["input_ids"] != wanted:
        raise InputError(
            f"the question {question[:40]!r} holds a control piece, or the tokenizer adds tokens of its own"
        )
    return text


def _train(
    trainer: Any,
    base: Base,
    out: Path,
    config: PreferConfig,
    arithmetic: Arithmetic,
    resume: bool,
    counts: dict[str, int],
) -> dict[str, Any]:
    from dnc_edge.train.loop import trained

    with trained(trainer, out, config, resume=resume) as figures:
        figures |= counts
        facts = {"prefer": asdict(config), "arithmetic": asdict(arithmetic), "figures": figures}
        checkpoints.save(trainer, base, out, facts, ())
    return figures
