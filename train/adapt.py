"""Local adaptation (Divide-or-Conquer, section 5.2): a student for one's own questions, which nobody has labelled.

A teacher shows how it would decompose them, what it shows is screened, a LoRA adapter learns it, and the student is
converted; a held-out part tells what that was worth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnc_edge import models
from dnc_edge.convert.assembly import ConversionSettings
from dnc_edge.convert.gguf import gguf
from dnc_edge.errors import InputError, UsageError
from dnc_edge.pipeline import question_id
from dnc_edge.progress import SILENT, Progress
from dnc_edge.train import checkpoints, demonstrations
from dnc_edge.train.arithmetic import choose
from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.demos import demos
from dnc_edge.train.leakage import FrozenSides
from dnc_edge.train.screen import screen
from dnc_edge.train.sft import SftConfig, generated_f1, sft
from dnc_edge.types import Question

if TYPE_CHECKING:
    from dnc_edge.batch.paid import PaidRun

# Share of the questions that no adapter sees.
HELD_OUT = 0.2


def adapt(
    questions: Sequence[Question],
    teacher: str,
    source: str,
    out: Path,
    config: SftConfig,
    *,
    run: PaidRun,
    sides: FrozenSides,
    levels: Sequence[str] = ("f16", "q8_0"),
    jobs: int = 8,
    resume: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Adapt a base to one's own questions.

    Args:
        questions: without labels.
        teacher: who decomposes them: "openai:MODEL" or "http://host:port/v1#MODEL".
        source: the base: a directory or a hub repository.
        out: folder for the demonstrations, the adapter (`adapter`) and the student (`student`).
        config: of the fine-tuning.
        run: cap and rates of the teacher's requests.
        sides: the frozen test sides, which are never learned from.
        levels: GGUF levels of the student.
        jobs: questions at a time.
        resume: go on with a fine-tuning that was stopped; the teacher is never asked twice.
        progress: gets notes of what is being done.

    Returns:
        counts of every step, and plan F1 against the teacher's plans on the held-out part, before and after.

    Raises:
        InputError: too few questions are left to hold some out. BudgetReached, SolverError: the teacher's run ended.
    """
    if config.method == "full":
        raise UsageError("adapt trains an adapter", hint='use method = "lora" or "qlora"')
    out.mkdir(parents=True, exist_ok=True)
    asked = [
        Demonstration(q.id or question_id(q), q.text, teacher="", source="own questions", context=q.context)
        for q in questions
    ]
    progress.note(f"asking {models.shown(teacher)} about {len(asked)} questions")
    shown = out / "demonstrations.jsonl"
    demos(asked, teacher, shown, run=run, solve=False, jobs=jobs, progress=progress)
    kept, report = screen(demonstrations.read(shown), keep="S_D-T", sides=sides)
    apart = [d for d in kept if d.subquestions and _apart(d.id)]
    training = [d for d in kept if not _apart(d.id)]
    if not apart or not training:
        raise InputError(
            f"{len(kept)} demonstrations are too few to hold some out", hint="ask more questions; some tens at least"
        )
    progress.note(f"fine-tuning on {len(training)} demonstrations, {len(apart)} held out")
    trained = sft(training, source, out / "adapter", config, resume=resume, progress=progress)
    before, after = _before_and_after(source, out / "adapter", apart, config)
    progress.note("converting")
    gguf(
        source,
        out / "student",
        levels=list(levels),
        adapter=out / "adapter",
        settings=ConversionSettings(force=True, keep_poor=True),
    )
    return {
        "screening": dict(report.counts),
        "trained_on": len(training),
        "held_out": len(apart),
        "plan_f1_before": round(before, 4),
        "plan_f1_after": round(after, 4),
        "training": trained,
        "student": str(out / "student"),
    }


def _apart(id: str) -> bool:
    return hashlib.sha256(id.encode()).digest()[2] < 256 * HELD_OUT


def _before_and_after(
    source: str, adapter: Path, problems: Sequence[Demonstration], config: SftConfig
) -> tuple[float, float]:
    """Return the plan F1 of the base without and with the adapter on the same problems, each by its own prompt."""
    from peft import PeftModel

    untrained, base = (
        checkpoints.open_base(source, role=role, scratch=adapter / "runs", limit=config.max_length)
        for role in (None, config.role)
    )
    model = PeftModel.from_pretrained(checkpoints.load_model(base, dtype=choose(config.precision).weights), adapter)
    with model.disable_adapter():
        before = generated_f1(model, untrained, problems)
    return before, generated_f1(model, base, problems)
