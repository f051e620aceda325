"""Where a conversion starts: a Hugging Face checkpoint or a GGUF file, alone or with a LoRA adapter."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge import prompts
from dnc_edge.convert.unpack import unpack
from dnc_edge.errors import ExtraMissing, InputError, UsageError
from dnc_edge.progress import SILENT, Progress
from dnc_edge.students import bases, facts
from dnc_edge.students.facts import Probe, Role, StudentFacts
from dnc_edge.students.template import render

# What a conversion reads of a hub repository; pickles are not even fetched.
HUB_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja", "merges.txt", "vocab.txt")
# Modules that a converter cannot take apart again once they carry an adapter.
UNMERGEABLE = ("embed_tokens", "lm_head", "wte", "wpe", "shared")

# Questions of our own; with their token ids they prove that a converted tokenizer is the one of training.
PROBES = (
    "Mia packs 6 boxes of 12 pens and gives away 15. How many pens are left?",
    "Café Olé sold 1,250 cups at $3.50 each — was that more than #1? 東京",
)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that can be converted.

    Attributes:
        path: directory with config.json, safetensors and tokenizer; the adapter, if any, is merged in.
        name: what the user called it: a folder's last part, a hub repository or a GGUF file.
        facts: how it is prompted, and what is known of its training.
        gguf: the GGUF file that it was unpacked from, if any.
    """

    path: Path
    name: str
    facts: StudentFacts
    gguf: Path | None = None

    @property
    def config(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        return values

    @property
    def architecture(self) -> str:
        return str((self.config.get("architectures") or ["unknown"])[0])

    @property
    def encoder_decoder(self) -> bool:
        return bool(self.config.get("is_encoder_decoder"))


def open_checkpoint(
    source: str,
    *,
    adapter: Path | None = None,
    role: str | None = None,
    scratch: Path,
    progress: Progress = SILENT,
) -> Checkpoint:
    """Find, check and, with an adapter, merge a checkpoint.

    Args:
        source: a directory, a GGUF file, a base by name ("smollm2-135m"), or the name of a hub repository
            ("Qwen/Qwen2.5-0.5B-Instruct").
        adapter: directory of a PEFT LoRA adapter; merged into the weights as they are stored (16 or 32 bits).
        role: what a checkpoint that was not trained here is about to learn: "decompose", "solve" or "both"; None
            if it is used as it is.
        scratch: where an unpacked or merged checkpoint may be written.
        progress: gets a step for each thing that takes time.

    Raises:
        InputError: it lacks something, is pickled or quantized, or the adapter is for another base.
        MissingError: the hub repository cannot be had.
    """
    path, file = located(source, scratch, progress)
    check_checkpoint(path)
    trained = [path / facts.FILENAME]
    if adapter is not None:
        check_adapter(adapter, path)
        progress.step("merging the adapter")
        path = _merged(path, adapter, scratch / "merged")
        trained.insert(0, adapter / facts.FILENAME)
    known = next((facts.load(candidate) for candidate in trained if candidate.is_file()), None)
    return Checkpoint(path, Path(source).name, known or _recognised(path, role), file)


def located(source: str, scratch: Path, progress: Progress = SILENT) -> tuple[Path, Path | None]:
    """Return (directory, GGUF file or None) of a source of `open_checkpoint`; a GGUF file is unpacked in `scratch`."""
    path = bases.path(source) if source in bases.BASES else Path(source)
    if path.suffix == ".gguf":
        return unpack(path, scratch / "unpacked", progress), path
    return (path, None) if path.is_dir() else (_from_hub(source, progress), None)


def check_checkpoint(path: Path) -> None:
    """Refuse what cannot be converted, before any work.

    Raises:
        InputError: says what is missing, or that the weights are pickled or already quantized.
    """
    config = read_json(path / "config.json", f"{path} is not a checkpoint: it has no config.json")
    if not list(path.glob("*.safetensors")):
        pickled = list(path.glob("*.bin")) + list(path.glob("*.pt"))
        if pickled:
            raise InputError(
                f"{pickled[0]} is a pickle, which can run code when it is read",
                hint="save the model as safetensors: model.save_pretrained(..., safe_serialization=True)",
            )
        raise InputError(f"{path} has no weights: no *.safetensors")
    if config.get("quantization_config"):
        raise InputError(
            f"{path} holds quantized weights; a second quantization would add to their loss",
            hint="convert the 16-bit checkpoint that they were made from",
        )


def check_adapter(adapter: Path, base: Path) -> None:
    """Refuse an adapter that cannot be merged into this base or converted with it.

    Raises:
        InputError: it is no LoRA, pickled, on embeddings or head, or does not fit the base's shapes.
    """
    config = read_json(adapter / "adapter_config.json", f"{adapter} is not an adapter: it has no adapter_config.json")
    weights = adapter / "adapter_model.safetensors"
    if not weights.is_file():
        raise InputError(
            f"{adapter} has no adapter_model.safetensors",
            hint="pickled adapters are refused; save it again with peft: model.save_pretrained(...)",
        )
    if config.get("peft_type") != "LORA":
        raise InputError(f"{adapter} is a {config.get('peft_type')} adapter; only LoRA converts")
    shapes, base_shapes = _shapes([weights]), _shapes(sorted(base.glob("*.safetensors")))
    for name, shape in shapes.items():
        module = name.removeprefix("base_model.model.").rpartition(".lora_")[0]
        if not module or any(part in module.split(".") for part in UNMERGEABLE):
            raise InputError(
                f"{adapter} changes {module or name}, and LoRA on embeddings or head cannot be converted",
                hint="train with target modules inside the layers, such as q_proj, v_proj and down_proj",
            )
        wanted = base_shapes.get(f"{module}.weight") or base_shapes.get(f"transformer.{module}.weight")
        inner = shape[1] if ".lora_A" in name else shape[0]
        if wanted is None or inner not in wanted:
            trained_on = config.get("base_model_name_or_path") or "a base it does not name"
            raise InputError(
                f"{adapter} does not fit {base}: {module} is {'not there' if wanted is None else f'of shape {wanted}'}",
                hint=f"it was trained on {trained_on}",
            )


def read_json(path: Path, missing: str) -> dict[str, Any]:
    """Read a JSON object; raise InputError, with `missing` as its message if there is no such file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(missing) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} is no JSON object")
    return values


def _shapes(files: list[Path]) -> dict[str, list[int]]:
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, list[int]] = {}
    for file in files:
        try:
            with safe_open(file, framework="numpy") as tensors:
                shapes |= {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise InputError(f"{file} is damaged ({error})", hint="copy or download it again") from error
    return shapes


def _merged(base: Path, adapter: Path, target: Path) -> Path:
    """Write the base with the adapter's product added to its weights, in the type they are stored in."""
    from peft import PeftModel

    encoder_decoder = json.loads((base / "config.json").read_text(encoding="utf-8")).get("is_encoder_decoder")
    model = PeftModel.from_pretrained(model_class(encoder_decoder).from_pretrained(base, dtype="auto"), adapter)
    model.merge_and_unload(safe_merge=True).save_pretrained(target)
    for file in base.iterdir():
        if file.is_file() and file.suffix != ".safetensors" and not (target / file.name).exists():
            shutil.copyfile(file, target / file.name)
    return target


def _from_hub(name: str, progress: Progress) -> Path:
    if not (name.count("/") == 1 and all(name.split("/"))) or name.startswith((".", "~")):
        raise InputError(f"{name} is no directory, no GGUF file, and no name of a hub repository (OWNER/NAME)")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ExtraMissing("huggingface_hub", "hub") from error
    from dnc_edge.students.hub import hub_errors

    progress.step(f"fetching {name}")
    with hub_errors(name):
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))


def model_class(encoder_decoder: bool) -> Any:
    """Return the class of transformers that loads such a model."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if encoder_decoder else AutoModelForCausalLM


def load_tokenizer(path: Path) -> Any:
    """Load a checkpoint's tokenizer.

    Raises:
        InputError: the installed transformers cannot read it; the version that wrote it is named.
    """
    import transformers

    try:
        return transformers.AutoTokenizer.from_pretrained(path)
    except Exception as error:  # transformers raises whatever its parsers do
        wrote = read_json(path / "config.json", "").get("transformers_version", "unknown")
        raise InputError(
            f"{path} has no tokenizer that transformers {transformers.__version__} can read ({error})",
            hint=f"it was saved by transformers {wrote}: install that, or save it again with this one",
        ) from error


def _recognised(path: Path, role: str | None) -> StudentFacts:
    """Return facts of a checkpoint that was not trained here, in its own chat format.

    One that is used as it is, and one that learns both roles, is prompted with our instructions. One that learns a
    single role learns it from the user message alone: the instruction would be most of each prompt.
    """
    from dnc_edge.students.chat import FORMATS

    tokenizer = load_tokenizer(path)
    known = set(tokenizer.get_vocab())
    form = next((form for form in FORMATS if known.issuperset(form.controls)), None)
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    end = form.end if form else tokenizer.eos_token
    if end is None:
        raise InputError(f"{path} has no piece that ends a text", hint="set eos_token in its tokenizer_config.json")
    encoder_decoder = config.get("is_encoder_decoder")
    begin = tokenizer.bos_token or "" if getattr(tokenizer, "add_bos_token", False) else ""
    cap = 10

    def template(instruction: str) -> str:
        before = f"{instruction}\n\n" if instruction else ""
        if encoder_decoder:
            return f"{before}{{user}}{tokenizer.eos_token}"
        return f"{begin}{before}{{user}}\n\n" if form is None else form.prompt(instruction)

    instructions = {
        "decompose": (prompts.decompose("", None, cap=cap)[0]["content"], 320),
        "solve": (prompts.solve("", None, ())[0]["content"], 512),
    }
    if role in instructions:
        roles = {role: Role(template(""), prompts.VERSION, instructions[role][1])}
    else:
        roles = {name: Role(template(text), prompts.VERSION, limit) for name, (text, limit) in instructions.items()}
    return StudentFacts(
        roles=roles, stop=(end,), context=_context(config), max_subquestions=cap, probes=probes(path, roles)
    )


def probes(path: Path, roles: Mapping[str, Role]) -> tuple[Probe, ...]:
    """Return our questions as each role prompts them, with the token ids of a checkpoint's tokenizer."""
    tokenizer = load_tokenizer(path)
    return tuple(
        Probe(name, user, tuple(_tokens(tokenizer, role.template, user)))
        for name, role in roles.items()
        for user in PROBES
    )


def _context(config: dict[str, Any]) -> int:
    longest = config.get("max_position_embeddings") or config.get("n_positions") or 512
    # A context costs memory whether it is used or not; questions and plans are short.
    return min(int(longest), 4096)


def _tokens(tokenizer: Any, template: str, user: str) -> list[int]:
    """Return the token ids of a template by transformers; nothing in the user message is a control piece."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UsageError("a tokenizer without a fast version cannot be converted", hint="save it as tokenizer.json")
    backend.encode_special_tokens = True
    ids: list[int] = []
    for piece in render(template, user):
        if piece.control:
            ids.append(int(tokenizer.convert_tokens_to_ids(piece.text)))
        else:
            ids += backend.encode(piece.text, add_special_tokens=False).ids
    return ids
