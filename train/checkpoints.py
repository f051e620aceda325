"""Bases and what becomes of them: opening, checking before hours are spent, saving, going on after a kill."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dnc_edge.convert.checkpoint import UNMERGEABLE, Checkpoint, load_tokenizer, model_class, open_checkpoint
from dnc_edge.errors import InputError, UsageError
from dnc_edge.students.facts import About, write
from dnc_edge.train.demonstrations import Demonstration
from dnc_edge.train.examples import Encoder


@dataclass(frozen=True)
class Base:
    """A base to train on: its checkpoint, and its tokenizer around the templates of its roles."""

    checkpoint: Checkpoint
    tokenizer: Any
    encoder: Encoder

    @property
    def encoder_decoder(self) -> bool:
        return self.checkpoint.encoder_decoder


def quietly() -> None:
    """Turn the libraries' own progress bars off if stderr is no terminal."""
    if not sys.stderr.isatty():
        import datasets

        datasets.disable_progress_bars()


def open_base(source: str, *, role: str | None = None, scratch: Path, limit: int) -> Base:
    """Open a checkpoint of `train base`, any local one, a GGUF file, or one on the hub, with its roles' templates.

    Args:
        source: a directory, a GGUF file, or a hub repository.
        role: what it is about to learn: "decompose", "solve" or "both"; None if it is used as it is.
        scratch: folder for what opening needs.
        limit: most tokens of an example.

    Raises:
        InputError: it lacks something, or its tokenizer cannot be used. MissingError: it cannot be had.
    """
    quietly()
    checkpoint = open_checkpoint(source, role=role, scratch=scratch)
    tokenizer = load_tokenizer(checkpoint.path)
    facts = checkpoint.facts
    templates = {name: role.template for name, role in facts.roles.items()}
    end = tokenizer.convert_tokens_to_ids(facts.stop[0])
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    limit = min(limit, facts.context)
    return Base(checkpoint, tokenizer, Encoder(tokenizer, templates, limit=limit, end=end))


def load_model(base: Base, *, dtype: Any, quantized: bool = False) -> Any:
    """Load the base's weights.

    Args:
        dtype: their type; see `Arithmetic.weights`.
        quantized: in 4 bits (NF4), for QLoRA.

    Raises:
        UsageError: 4 bits were asked for without CUDA, or without bitsandbytes.
    """
    import torch

    settings: dict[str, Any] = {"dtype": dtype}
    if quantized:
        if not torch.cuda.is_available():
            raise UsageError("QLoRA needs a CUDA GPU", hint='use method = "lora"')
        if find_spec("bitsandbytes") is None:
            raise UsageError("QLoRA needs the package bitsandbytes", hint="pip install bitsandbytes")
        from transformers import BitsAndBytesConfig

        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    return model_class(base.encoder_decoder).from_pretrained(base.checkpoint.path, **settings)


def adapted(model: Any, config: Any, *, quantized: bool = False, start: str = "") -> Any:
    """Return the model with a new LoRA adapter of the config's rank, alpha, dropout, modules and seed.

    Raises:
        UsageError: a target module is not there, or could not be converted afterwards.
    """
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training

    if start:
        if not (Path(start) / "adapter_config.json").is_file():
            raise UsageError(f"{start} holds no adapter to go on from")
        return PeftModel.from_pretrained(model, start, is_trainable=True)
    modules = config.modules
    target: str | list[str] = modules if modules == "all-linear" else [part.strip() for part in modules.split(",")]
    if isinstance(target, list):
        for part in target:
            if part in UNMERGEABLE:
                raise UsageError(
                    f"{part} cannot be converted with an adapter on it", hint="choose modules inside the layers"
                )
    if quantized:
        model = prepare_model_for_kbit_training(model)
    torch.manual_seed(config.seed)
    if config.layers:
        # Names of the modules of the upper layers: peft takes a choice of layers only beside names.
        depth = model.config.num_hidden_layers
        chosen = "|".join(map(str, range(max(0, depth - config.layers), depth)))
        names = r"\w+" if target == "all-linear" else "|".join(target)
        target = [
            name
            for name, part in model.named_modules()
            if isinstance(part, torch.nn.Linear) and re.search(rf"\.({chosen})\.(.*\.)?({names})$", name)
        ]
    lora = LoraConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=target)
    lora.task_type = "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
    try:
        return get_peft_model(model, lora)
    except ValueError as error:
        linear = {name.rpartition(".")[2] for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
        hint = f"it has: {', '.join(sorted(linear - set(UNMERGEABLE)))}"
        raise UsageError(f"the model has no modules {modules}", hint=hint) from error


def save(trainer: Any, base: Base, out: Path, training: Mapping[str, Any], sources: Iterable[str]) -> None:
    """Write the adapter (or the whole model), its tokenizer, and what it was trained on; one process does."""
    from dnc_edge.train.facts import LICENCES

    if not trainer.is_world_process_zero():
        return
    trainer.model.save_pretrained(out)
    base.tokenizer.backend_tokenizer.encode_special_tokens = False
    base.tokenizer.save_pretrained(out)
    facts = base.checkpoint.facts
    about = About(training, {source: LICENCES[source] for source in sources if source in LICENCES}, facts.about.card)
    write(out, replace(facts, about=about))


def last_good(runs: Path) -> Path | None:
    """Return the newest complete checkpoint: one that a kill cut off has no readable trainer_state.json."""
    for path in sorted(runs.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2])):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return path
    return None


def fingerprint(demonstrations: Sequence[Demonstration]) -> str:
    """Return the hash of a run's data, which is kept with its weights."""
    digest = hashlib.sha256()
    for demonstration in demonstrations:
        digest.update(json.dumps(asdict(demonstration), sort_keys=True).encode())
    return digest.hexdigest()


@contextlib.contextmanager
def explained(runs: Path, micro_batch: int) -> Generator[None]:
    """Turn what stops a training into one line, and name the checkpoint that survives.

    Raises:
        InputError: the disk is full, memory is out, or the loss is no number.
    """
    import torch
    from safetensors import SafetensorError

    def kept() -> str:
        last = last_good(runs)
        return (
            f"the last good checkpoint is {last}; --resume goes on from it" if last else "no checkpoint was saved yet"
        )

    try:
        yield
    except LossLost as error:
        raise InputError(str(error), hint=f"lower the learning rate; {kept()}") from error
    except torch.OutOfMemoryError as error:
        raise InputError(_memory(micro_batch), hint=kept()) from error
    except OSError as error:
        raise InputError(f"cannot save a checkpoint in {runs}: {error.strerror}", hint=kept()) from error
    except (RuntimeError, SafetensorError) as error:
        first = str(error).partition("\n")[0]
        if "can't allocate memory" in first:
            raise InputError(_memory(micro_batch), hint=kept()) from error
        if isinstance(error, SafetensorError) or "PytorchStreamWriter" in first:
            raise InputError(f"cannot save a checkpoint in {runs}: {first}", hint=kept()) from error
        raise


def _memory(micro_batch: int) -> str:
    smaller = f"try micro_batch = {micro_batch // 2}" if micro_batch > 1 else "try checkpointing = true"
    return f"out of memory with micro_batch = {micro_batch}; {smaller}, the effective batch stays"


class LossLost(Exception):
    """The loss is no number any more."""
