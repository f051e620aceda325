"""Supervised fine-tuning of a pretrained base on demonstrations: LoRA, QLoRA or full, decomposer or solver.

Students S_D-T and S_D-R are the decomposer on all or on screened demonstrations; S_E-T, S_E-A and the direct one
are the solver with its three targets (Divide-or-Conquer, section 4). The student that `dynamic` asks for its next
sub-question goes on from the ones asked, so it learns that from whole plans.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dnc_edge.errors import InputError
from dnc_edge.parse import plan as parse_plan
from dnc_edge.progress import SILENT, Progress
from dnc_edge.prompts import FINAL_ANSWER, kind_of
from dnc_edge.settings import FROM_0, SHARE, setting
from dnc_edge.tasks.plans import plan_f1
from dnc_edge.train import checkpoints
from dnc_edge.train.arithmetic import Arithmetic, choose
from dnc_edge.train.base import held_out
from dnc_edge.train.checkpoints import Base
from dnc_edge.train.demonstrations import Demonstration, half
from dnc_edge.train.examples import Example, pair

# A new token of a plan that is generated for evaluation; longer ones are cut.
LONGEST_PLAN = 160
# Plans that are generated at once.
GENERATED_TOGETHER = 16
# Of a solver's demonstrations, at which it counts as trained on a kind of question.
LEAST_SHARE = 0.05


@dataclass
class SftConfig:
    """What `train sft` does; the merged config is saved beside the adapter."""

    role: str = setting("decompose", choices=("decompose", "solve", "both"))
    target: str = setting("teacher", "of the solver", choices=("teacher", "gold", "direct"))
    without_plan: float = setting(0.0, "share of the solver's plans that it is not shown", within=SHARE)
    method: str = setting("lora", choices=("lora", "qlora", "full"))
    half: int = setting(-1, "train on half 0 or 1 of the questions alone, for cross-fitting", within=(-1, 1))
    start: str = setting("", "directory of an adapter to go on from; it says rank, modules and layers")
    rank: int = 16
    alpha: int = 32
    dropout: float = setting(0.0, within=SHARE)
    modules: str = setting("all-linear", "or names, separated by commas")
    layers: int = setting(0, "adapt this many of the upper layers; 0 adapts all", within=FROM_0)
    epochs: float = 5
    batch: int = setting(128, "examples a step, over all devices")
    micro_batch: int = setting(8, "examples at once on a device")
    learning_rate: float = 2e-4
    warmup: float = setting(0.03, "share of the steps", within=SHARE)
    max_length: int = setting(1024, "tokens; longer examples are left out, and counted")
    first_weight: float = setting(1.0, "weight of a completion's first token, which decides between a plan and none")
    packing: bool = setting(False, "several examples in one sequence; causal models only")
    checkpointing: bool = setting(False, "less memory for more time")
    precision: str = setting("auto", choices=("auto", "bf16", "fp32"))
    every: int = setting(50, "steps between checkpoints, each judged on held-out problems")
    held_out: int = setting(64, "problems whose plans are generated; 0 evaluates nothing", within=FROM_0)
    patience: int = setting(4, "evaluations without a better plan F1 before it stops")
    report: str = setting("", "beside the JSONL log", choices=("", "tensorboard"))
    seed: int = setting(0, within=FROM_0)


def shown(demonstration: Demonstration, config: SftConfig) -> list[tuple[str, str, str]]:
    """Return (role, user message, completion) of each role that the config trains and the demonstration shows."""
    found = []
    for role in ("decompose", "solve") if config.role == "both" else (config.role,):
        one = targeted(demonstration, config.target) if role == "solve" else demonstration
        if one is not None and (shown := pair(one, role, with_plan=_share(one) >= config.without_plan)):
            found.append((role, *shown))
    return found


def _share(demonstration: Demonstration) -> float:
    """Return a number from 0 to 1 that depends on a demonstration's id alone."""
    return hashlib.sha256(demonstration.id.encode()).digest()[3] / 256


def targeted(demonstration: Demonstration, target: str) -> Demonstration | None:
    """Return a demonstration with the target of `SftConfig.target` in place of its solution; None if it has none."""
    answer, solution = demonstration.answer, demonstration.solution
    if target == "teacher":
        return demonstration
    if answer is None:
        return None
    if target == "direct":
        return replace(demonstration, solution=f"{FINAL_ANSWER} {answer}")
    if solution is None:
        return None
    lines = solution.rstrip().split("\n")
    if FINAL_ANSWER in lines[-1]:
        lines = lines[:-1]
    return replace(demonstration, solution="\n".join([*lines, f"{FINAL_ANSWER} {answer}"]))


def solved_kinds(demonstrations: Sequence[Demonstration]) -> list[str]:
    """Return the kinds of question that make up at least `LEAST_SHARE` of a solver's demonstrations."""
    kinds = Counter(kind_of(one.question, one.context) for one in demonstrations if one.solution is not None)
    return sorted(kind for kind, count in kinds.items() if count >= LEAST_SHARE * kinds.total())


def examples(
    demonstrations: Sequence[Demonstration], base: Base, config: SftConfig
) -> tuple[list[Example], Counter[str]]:
    """Return examples with loss on completions alone, and how many demonstrations were used or left out, and why."""
    made: list[Example] = []
    counts: Counter[str] = Counter()
    for demonstration in demonstrations:
        roles = shown(demonstration, config)
        if not roles:
            counts["show nothing of the role"] += 1
        for role, user, completion in roles:
            example = base.encoder.example(role, user, completion, prompt_weight=0.0)
            counts["used" if example else "longer than max_length"] += 1
            if example:
                made.append(example)
    if not made:
        why = ", ".join(f"{count} {reason}" for reason, count in counts.items())
        raise InputError("no demonstration can be trained on", hint=why)
    return made, counts


def split(
    demonstrations: Sequence[Demonstration], config: SftConfig
) -> tuple[list[Demonstration], list[Demonstration]]:
    """Return what is trained on, and the held-out problems whose plans are judged meanwhile: none for a solver."""
    training = [d for d in demonstrations if not held_out(d) and config.half in (-1, half(d.question))]
    apart = [d for d in demonstrations if held_out(d) and d.subquestions and config.role != "solve"]
    return training, apart[: config.held_out]


def sft(
    demonstrations: Sequence[Demonstration],
    source: str,
    out: Path,
    config: SftConfig,
    *,
    resume: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Train an adapter (or the whole model) and save it in `out`.

    Args:
        demonstrations: the training side; about 3 % are held out by id.
        source: the base: a checkpoint directory, a GGUF file or a hub repository.
        out: directory of the adapter; checkpoints and log lie in `out`/runs.
        config: see `SftConfig`.
        resume: go on from the last good checkpoint of a run that was stopped.
        progress: gets notes of what is used and left out, and what it computes in.

    Returns:
        counts, steps, seconds, last loss, and the plan F1 that was reached on held-out problems.

    Raises:
        InputError: nothing to train on; or what stopped it (memory, disk, a lost loss), and what survives.
        UsageError: the target modules or the method cannot be.
    """
    import torch
    from transformers import EarlyStoppingCallback

    from dnc_edge.train.loop import trained

    runs = out / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    base = checkpoints.open_base(source, role=config.role, scratch=runs, limit=config.max_length)
    training, validation = split(demonstrations, config)
    made, counts = examples(training, base, config)
    progress.note(", ".join(f"{count:,} {why}" for why, count in counts.items()))
    arithmetic = choose(config.precision)
    progress.note(str(arithmetic))
    trainer = trainer_for(base, made, validation, runs, config, arithmetic)
    if validation:
        trainer.add_callback(EarlyStoppingCallback(config.patience))
    with trained(trainer, out, config, resume=resume) as figures:
        figures |= {
            "used": dict(counts),
            "held_out": sum(map(held_out, demonstrations)),
            "plan_f1": trainer.state.best_metric,
            "base": base.checkpoint.name,
            "torch": torch.__version__,
            "data": dict(Counter(demonstration.source for demonstration in training)),
            "data_sha256": checkpoints.fingerprint(training),
        }
        facts = {
            # No path of this machine is kept.
            "sft": asdict(config) | {"start": Path(config.start).name},
            "arithmetic": asdict(arithmetic),
            "figures": figures,
            "data": figures["data"],
        }
        if config.role != "decompose":
            facts["kinds"] = solved_kinds(training)
        checkpoints.save(trainer, base, out, facts, figures["data"])
    return figures


def trainer_for(
    base: Base,
    made: Sequence[Example],
    validation: Sequence[Demonstration],
    runs: Path,
    config: SftConfig,
    arithmetic: Arithmetic,
) -> Any:
    """TRL's trainer for causal models, transformers' for encoder-decoders; both judge by generated plans.

    Args:
        base: its weights are loaded, and get the adapter that the config says.
        made: examples to train on.
        validation: problems whose plans are judged every `config.every` steps; none evaluates nothing.
        runs: folder of the checkpoints.
        config, arithmetic: see `sft`.

    Raises:
        UsageError: the target modules or the method cannot be.
    """
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments
    from transformers import Trainer as Pretrained

    from dnc_edge.train.loop import LikeLengths, arguments

    quantized = config.method == "qlora"
    # Weights under an adapter take no gradient: the type in which they are multiplied is enough for them.
    dtype = arithmetic.weights if config.method == "full" else arithmetic.dtype
    model = checkpoints.load_model(base, dtype=dtype, quantized=quantized)
    if config.method != "full":
        model = checkpoints.adapted(model, config, quantized=quantized, start=config.start)

    def labels(example: Example) -> list[int]:
        return [token if weight else -100 for token, weight in zip(example.tokens, example.weights, strict=True)]

    if base.encoder_decoder:
        rows = []
        for example in made:
            start = next(index for index, weight in enumerate(example.weights) if weight)
            rows.append({"input_ids": example.tokens[:start], "labels": example.tokens[start:]})
        parent: Any = Seq2SeqTrainer
        kind: Any = Seq2SeqTrainingArguments
        shape: dict[str, Any] = {}
        more: dict[str, Any] = {"data_collator": DataCollatorForSeq2Seq(base.tokenizer, model)}
    else:
        from trl import SFTConfig as Arguments
        from trl import SFTTrainer

        rows = [{"input_ids": example.tokens, "labels": labels(example)} for example in made]
        parent, kind, more = SFTTrainer, Arguments, {}
        shape = {"max_length": config.max_length, "packing": config.packing}

    class Trainer(parent):  # type: ignore[misc]
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            # Past TRL's, which works out entropy and accuracy from the logits of every position.
            if base.encoder_decoder:
                return Pretrained.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)
            loss = completion_loss(model, inputs, num_items_in_batch, first_weight=config.first_weight)
            if self.args.average_tokens_across_devices and num_items_in_batch is not None:
                loss = loss * self.accelerator.num_processes
            return loss

        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            if base.encoder_decoder:
                return super()._get_train_sampler(train_dataset)
            # The trainer's own rows: packing makes others of them.
            return LikeLengths([len(ids) for ids in self.train_dataset["input_ids"]], config.micro_batch, config.seed)

        def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
            metrics = {f"{metric_key_prefix}_plan_f1": generated_f1(self.model, base, validation)}
            self.log(metrics)
            self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

    rows_ = Dataset.from_list(rows)
    return Trainer(
        model=model,
        args=arguments(kind, runs, config, arithmetic, examples=len(made), evaluates=bool(validation), **shape),
        train_dataset=rows_,
        # Only says that there is an evaluation; the plans are generated.
        eval_dataset=rows_.select([0]) if validation else None,
        processing_class=base.tokenizer,
        **more,
    )


def completion_loss(model: Any, inputs: Mapping[str, Any], items: Any = None, *, first_weight: float = 1.0) -> Any:
    """Compute the cross-entropy of a batch's completions, divided by the number of their tokens.

    Logits are computed only in the columns in which some row predicts a completion: the head is a fifth of a small
    model's work, and prompts are more than half of an example.

    Args:
        model: a causal language model.
        inputs: `input_ids` and `labels`, each (batch, tokens), and what else the model takes; labels are -100 on
            prompts and padding.
        items: predicted tokens of all batches of a step; None divides by this batch's.
        first_weight: weight of each completion's first token.
    """
    import torch

    labels = inputs["labels"]
    targets = torch.nn.functional.pad(labels, (0, 1), value=-100)[:, 1:]  # what each position predicts: (batch, tokens)
    columns = (targets != -100).any(dim=0).nonzero().squeeze(1)  # (kept,)
    # A cache would hide from the model that packed examples see nothing of each other.
    rest = {name: value for name, value in inputs.items() if name != "labels"} | {"use_cache": False}
    logits = model(**rest, logits_to_keep=columns).logits  # (batch, kept, vocabulary)
    counted = (targets != -100)[:, columns]  # (batch, kept)
    begins = (targets != -100) & (torch.nn.functional.pad(targets, (1, 0), value=-100)[:, :-1] == -100)
    losses = torch.nn.functional.cross_entropy(
        logits[counted].float(), targets[:, columns][counted], reduction="none"
    )  # (predicted,)
    weights = torch.where(begins[:, columns][counted], first_weight, 1.0)
    return (losses * weights).sum() / (counted.sum() if items is None else items)


def generated_f1(model: Any, base: Base, problems: Sequence[Demonstration]) -> float:
    """Return the mean plan F1 of greedily generated plans against the demonstrations' own."""
    import torch

    encoder, tokenizer = base.encoder, base.tokenizer
    prompts = [encoder.prompt("decompose", pair(problem, "decompose")[0]) for problem in problems]  # type: ignore[index]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    scores: list[float] = []
    was_training = model.training
    model.eval()
    for begin in range(0, len(order), GENERATED_TOGETHER):
        chosen = order[begin : begin + GENERATED_TOGETHER]
        longest = max(len(prompts[index]) for index in chosen)
        # (chosen, longest)
        tokens = torch.full((len(chosen), longest), tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, index in enumerate(chosen):
            # On the left for a causal model: what is generated follows the prompt.
            size = len(prompts[index])
            place = slice(size) if base.encoder_decoder else slice(longest - size, longest)
            tokens[row, place] = torch.tensor(prompts[index])
            mask[row, place] = 1
        with torch.no_grad():
            made = model.generate(
                input_ids=tokens.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=LONGEST_PLAN,
                do_sample=False,
                eos_token_id=encoder.end,
                pad_token_id=tokenizer.pad_token_id,
            )
        for index, row in zip(chosen, made, strict=True):
            text = tokenizer.decode(row if base.encoder_decoder else row[longest:], skip_special_tokens=True)
            scores.append(plan_f1(parse_plan(text).subquestions, problems[index].subquestions or ()))
    model.train(was_training)
    return math.fsum(scores) / len(scores)
