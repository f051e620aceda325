"""Train a small Llama from scratch on both roles: the base on which adapters are trained.

Own data and own loop, the same on CPU and GPU; whoever has a pretrained base skips this step.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from dnc_edge.errors import InputError
from dnc_edge.files import replacing
from dnc_edge.progress import SILENT, Progress
from dnc_edge.settings import FROM_0, SHARE, setting
from dnc_edge.train import synthetic
from dnc_edge.train.arithmetic import Arithmetic, choose
from dnc_edge.train.augment import Augmenter
from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.examples import Encoder, Example, pair
from dnc_edge.train.facts import write_facts
from dnc_edge.train.leakage import FrozenSides

# The state after the last whole epoch, from which a stopped run goes on.
STATE = "state.pt"


@dataclass
class BaseConfig:
    """What `train base` does; the merged config is saved beside the weights."""

    hidden_size: int = setting(256, "a multiple of 256, so that K-quants fit")
    layers: int = 12
    feed_forward: int = 768
    heads: int = 4
    kv_heads: int = 4
    context: int = 2048
    epochs: float = 6
    batch_tokens: int = setting(6144, "tokens a step, padding included")
    learning_rate: float = 3e-3
    weight_decay: float = setting(0.05, within=FROM_0)
    warmup_steps: int = setting(100, within=FROM_0)
    optimizer: str = setting("muon", "muon: hidden matrices; AdamW for the rest", choices=("muon", "adamw"))
    prompt_weight: float = setting(0.2, "weight of the loss on prompts; completions have 1", within=FROM_0)
    dropout: float = setting(0.0, "share of what each attention and feed-forward adds, left out", within=SHARE)
    subword_dropout: float = setting(0.05, "share of merges left out in half of the examples", within=SHARE)
    names: float = setting(0.6, "share of demonstrations whose names are swapped", within=SHARE)
    numbers: float = setting(0.6, "share of plans whose numbers are swapped", within=SHARE)
    solve_share: float = setting(0.25, "share of solutions shown in an epoch", within=SHARE)
    passage_share: float = setting(0.35, "share of plans over a passage shown in an epoch", within=SHARE)
    synthetic_first: int = setting(8_000, "program-written problems in the first epoch", within=FROM_0)
    synthetic_last: int = setting(1_500, "the same in the last epoch", within=FROM_0)
    precision: str = setting("auto", "auto takes the faster", choices=("auto", "bf16", "fp32"))
    seed: int = setting(0, within=FROM_0)


def held_out(demonstration: Demonstration) -> bool:
    """Return whether a demonstration is held out: about 3 % by id, to choose between runs, never trained on."""
    return hashlib.sha256(demonstration.id.encode()).digest()[0] < 8


def written_problems(config: BaseConfig, position: float) -> int:
    """Return how many problems a program writes for an epoch; `position` is 0 in the first epoch, 1 in the last."""
    return round(config.synthetic_first + (config.synthetic_last - config.synthetic_first) * position)


def epoch_examples(
    demonstrations: list[Demonstration],
    augmenter: Augmenter,
    encoder: Encoder,
    config: BaseConfig,
    *,
    epoch: int,
    position: float,
) -> list[Example]:
    """One epoch's examples, the same for the same seed; `progress` is 0 in the first epoch, 1 in the last."""
    rng = Random(f"{config.seed}-{epoch}")
    written = list(islice(synthetic.problems(config.seed * 1000 + epoch), written_problems(config, position)))
    examples: list[Example] = []

    def add(demonstration: Demonstration, role: str, *, with_plan: bool = True) -> None:
        shown = pair(demonstration, role, with_plan=with_plan)
        if shown is None:
            return
        encoder.subword_sampling(config.subword_dropout if rng.random() < 0.5 else 0)
        weight = 0 if demonstration.teacher == "program" else config.prompt_weight
        example = encoder.example(role, *shown, prompt_weight=weight)
        if example:
            examples.append(example)

    for demonstration in demonstrations + written:
        program = demonstration.teacher == "program"
        named = demonstration
        if not program and rng.random() < config.names:
            named = augmenter.names_swapped(demonstration, rng)
        if demonstration.context is None or rng.random() < config.passage_share:
            swap = not program and demonstration.context is None and rng.random() < config.numbers
            add(augmenter.numbers_swapped(named, rng) if swap else named, "decompose")
        if rng.random() < config.solve_share * (0.5 if program else 1):
            add(named, "solve", with_plan=rng.random() < 0.6)
    encoder.subword_sampling(0)
    rng.shuffle(examples)
    return examples


def batches(examples: list[Example], batch_tokens: int, rng: Random) -> Iterator[list[Example]]:
    """Yield batches of examples of similar length, of at most `batch_tokens` tokens with padding, in random order."""
    ordered = sorted(examples, key=lambda example: len(example.tokens) + rng.random() * 8)
    made: list[list[Example]] = [[]]
    for example in ordered:
        if made[-1] and (len(made[-1]) + 1) * len(example.tokens) > batch_tokens:
            made.append([])
        made[-1].append(example)
    rng.shuffle(made)
    yield from made


def collate(batch: list[Example], device: str) -> tuple[Any, Any]:
    """Return (tokens, weights), each (batch, longest), padded on the right with weight 0."""
    import torch

    longest = max(len(example.tokens) for example in batch)
    tokens = torch.zeros(len(batch), longest, dtype=torch.long)
    weights = torch.zeros(len(batch), longest)
    for row, example in enumerate(batch):
        tokens[row, : len(example.tokens)] = torch.tensor(example.tokens)
        weights[row, : len(example.weights)] = torch.tensor(example.weights)
    return tokens.to(device), weights.to(device)


def weighted_loss(model: Any, tokens: Any, weights: Any, *, bf16: bool) -> tuple[Any, Any]:
    """Return (sum of weighted losses, sum of weights), two scalars.

    Args:
        model: a causal language model.
        tokens: (batch, tokens), padded on the right of everything that is predicted.
        weights: (batch, tokens), of the loss of each token.
        bf16: compute products in bfloat16.
    """
    import torch

    with torch.autocast(tokens.device.type, torch.bfloat16, enabled=bf16):
        logits = model(input_ids=tokens).logits[:, :-1]  # (batch, tokens - 1, vocabulary)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
    flat = weights[:, 1:].flatten()  # (batch * (tokens - 1),)
    return (losses * flat).sum(), flat.sum()


def optimizers(model: Any, config: BaseConfig, arithmetic: Arithmetic) -> list[Any]:
    import torch

    from dnc_edge.train.muon import Muon

    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    if config.optimizer == "adamw":
        hidden, others = [], hidden + others
    adamw = torch.optim.AdamW(others, lr=config.learning_rate, betas=(0.9, 0.95), weight_decay=0.01)
    if not hidden:
        return [adamw]
    muon = Muon(hidden, lr=config.learning_rate, weight_decay=config.weight_decay, dtype=arithmetic.dtype)
    return [muon, adamw]


def new_model(config: BaseConfig, vocabulary: int, eos: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if config.hidden_size % (2 * config.heads) or config.heads % config.kv_heads:
        sizes = f"hidden_size {config.hidden_size}, heads {config.heads}, kv_heads {config.kv_heads}"
        hint = "each head takes an even share of hidden_size, and kv_heads divide heads"
        raise InputError(f"these sizes make no Llama: {sizes}", hint=hint)

    torch.manual_seed(config.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=config.hidden_size,
            intermediate_size=config.feed_forward,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.context,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=eos,
            pad_token_id=3,
        )
    )
    if config.dropout:
        # A Llama of transformers drops nothing but attention weights.
        for layer in model.model.layers:
            for added in (layer.self_attn.o_proj, layer.mlp.down_proj):
                added.register_forward_hook(_dropped(config.dropout))
    return model


def _dropped(share: float) -> Any:
    from torch.nn.functional import dropout

    return lambda module, _, output: dropout(output, share, module.training)


def base(
    demonstrations: list[Demonstration],
    tokenizer: Any,
    out: Path,
    config: BaseConfig,
    *,
    log: Path | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
) -> dict[str, float]:
    """Train from scratch and save a Hugging Face checkpoint.

    Args:
        demonstrations: the training side; held-out ones are kept apart by id.
        tokenizer: a fast tokenizer with the pieces of `train/tokenizer.py`.
        out: directory of the checkpoint, with the merged config beside it.
        config: sizes and schedule.
        log: JSONL file that takes a line every 20 steps.
        resume: go on after the last whole epoch of a run that was stopped.
        progress: gets a note of what it computes in.

    Returns:
        tokens, steps, seconds and the last held-out loss on plans.

    Raises:
        InputError: a demonstration is on a frozen test side; or the run that is there had other settings.
    """
    import torch

    FrozenSides.load().refuse(demonstrations)
    arithmetic = choose(config.precision)
    progress.note(str(arithmetic))
    device = arithmetic.device
    training = [d for d in demonstrations if not held_out(d)]
    encoder = Encoder(tokenizer, limit=config.context)
    model = new_model(config, len(tokenizer), tokenizer.eos_token_id).to(device)
    augmenter = Augmenter(d for d in training if d.context is None)
    validation = [
        encoder.example("decompose", *shown, prompt_weight=0.0)
        for d in demonstrations
        if held_out(d) and d.subquestions and d.context is None and (shown := pair(d, "decompose"))
    ]
    validation_batches = list(batches([e for e in validation if e], config.batch_tokens, Random(0)))

    def held_out_loss() -> float:
        model.eval()
        with torch.no_grad():
            sums = [weighted_loss(model, *collate(batch, device), bf16=arithmetic.bf16) for batch in validation_batches]
        model.train()
        return float(sum(s for s, _ in sums) / sum(w for _, w in sums))

    steppers = optimizers(model, config, arithmetic)
    rates = [[group["lr"] for group in stepper.param_groups] for stepper in steppers]
    whole, tokens_seen, steps, started = math.ceil(config.epochs), 0, 0, time.monotonic()
    running: list[float] = []
    written = first = 0
    state = out / STATE
    if resume and state.is_file():
        kept = torch.load(state, weights_only=True)
        if kept["config"] != asdict(config):
            raise InputError(f"{out} was begun with other settings", hint="use the same recipe, or another folder")
        model.load_state_dict(kept["model"])
        for stepper, values in zip(steppers, kept["steppers"], strict=True):
            stepper.load_state_dict(values)
        first, steps, tokens_seen, written = kept["epoch"], kept["steps"], kept["tokens"], kept["written"]
        started -= kept["seconds"]
    for epoch in range(first, whole):
        position = epoch / max(1, whole - 1)
        written += written_problems(config, position)
        examples = epoch_examples(training, augmenter, encoder, config, epoch=epoch, position=position)
        torch.manual_seed(config.seed * 1000 + epoch)  # what dropout leaves out, the same after a stop
        planned = list(batches(examples, config.batch_tokens, Random(f"{config.seed}-order-{epoch}")))
        for index, batch in enumerate(planned):
            # Progress by epoch, so that epochs of different lengths share one schedule.
            done = min(1.0, (epoch + index / len(planned)) / config.epochs)
            if done >= 1.0:
                break
            scale = min(1.0, (steps + 1) / config.warmup_steps) * (0.5 + 0.5 * math.cos(math.pi * done))
            for stepper, base_rates in zip(steppers, rates, strict=True):
                for group, rate in zip(stepper.param_groups, base_rates, strict=True):
                    group["lr"] = rate * max(scale, 0.01)
            tokens, weights = collate(batch, device)
            loss_sum, weight_sum = weighted_loss(model, tokens, weights, bf16=arithmetic.bf16)
            if not math.isfinite(loss_sum.item()):
                hint = f"lower the learning rate; {state} holds the last whole epoch"
                raise InputError(f"the loss is {loss_sum.item()} at step {steps + 1}", hint=hint)
            (loss_sum / weight_sum).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for stepper in steppers:
                stepper.step()
                stepper.zero_grad(set_to_none=True)
            steps += 1
            tokens_seen += sum(len(example.tokens) for example in batch)
            running.append(float(loss_sum.detach() / weight_sum))
            if log and steps % 20 == 0:
                line: dict[str, float] = {
                    "step": steps,
                    "epoch": round(epoch + index / len(planned), 3),
                    "loss": round(sum(running) / len(running), 4),
                    "tokens": tokens_seen,
                    "seconds": round(time.monotonic() - started, 1),
                }
                if steps % 200 == 0:
                    line["held_out"] = round(held_out_loss(), 4)
                running.clear()
                with log.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(line) + "\n")
        values = {
            "config": asdict(config),
            "model": model.state_dict(),
            "steppers": [stepper.state_dict() for stepper in steppers],
            "epoch": epoch + 1,
            "steps": steps,
            "tokens": tokens_seen,
            "written": written,
            "seconds": time.monotonic() - started,
        }
        # Beside it first: whatever happens meanwhile, one whole state is there.
        with replacing(state) as partial:
            torch.save(values, partial)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    figures = {
        "tokens": tokens_seen,
        "steps": steps,
        "seconds": round(time.monotonic() - started, 1),
        "held_out_loss": round(held_out_loss(), 4),
    }
    data = {**Counter(demonstration.source for demonstration in training), "train/synthetic.py": written}
    training_facts = {
        "base": asdict(config),
        "arithmetic": asdict(arithmetic),
        "figures": figures,
        "torch": torch.__version__,
        "data": data,
    }
    write_facts(out, tokenizer, context=config.context, training=training_facts)
    state.unlink(missing_ok=True)
    return figures
