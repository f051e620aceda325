"""Training for real at a small size: loss falls, a kill costs nothing, what is trained converts and generates."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dnc_edge.errors import DncError, InputError, UsageError
from dnc_edge.train import recipes
from dnc_edge.train.arithmetic import Arithmetic
from dnc_edge.train.base import BaseConfig, held_out
from dnc_edge.train.demonstrations import Demonstration, write
from dnc_edge.train.sft import SftConfig, sft, shown, targeted
from dnc_edge.train.sources import gsm8k
from tests.fakes import Reports
from tests.models import random_model

pytestmark = pytest.mark.filterwarnings("default")

SMALL = SftConfig(
    rank=8, epochs=3, batch=8, micro_batch=4, learning_rate=5e-3, max_length=400, every=6, held_out=2, patience=99
)


@pytest.fixture(scope="module")
def some(data: Path) -> list[Demonstration]:
    """The shortest of GSM8K's first problems, one of them held out by its id."""
    found = sorted(itertools.islice(gsm8k(), 400), key=lambda d: len(d.question))
    apart = [d for d in found if held_out(d)]
    return [apart[0], *[d for d in found if not held_out(d)][:59]]


def losses(out: Path) -> list[float]:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def generated(source: Path, adapter: Path, scratch: Path) -> tuple[list[int], list[int]]:
    """Greedy tokens with the adapter on its base, and with both merged as a conversion does."""
    import torch
    from peft import PeftModel

    from dnc_edge.convert.checkpoint import open_checkpoint
    from dnc_edge.convert.decoders import TransformersDecoder
    from dnc_edge.train.checkpoints import load_model, open_base

    base = open_base(str(source), scratch=scratch, limit=400)
    prompt = base.encoder.prompt("decompose", "Mia has 3 pens. How many are 2 more?")
    on_top = PeftModel.from_pretrained(load_model(base, dtype=torch.float32), adapter).eval()
    tokens = torch.tensor([prompt])
    with torch.no_grad():
        made = on_top.generate(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=8, do_sample=False
        )
    own = made[0].tolist()[1 if base.encoder_decoder else len(prompt) :]
    merged = open_checkpoint(str(source), adapter=adapter, scratch=scratch)
    decoder = TransformersDecoder(merged.path, encoder_decoder=merged.encoder_decoder)
    return own, decoder.greedy(prompt, frozenset([base.encoder.end]), 8)


@pytest.mark.parametrize(
    "name", ["llama", "t5", *(pytest.param(n, marks=pytest.mark.long) for n in ("mistral", "qwen2"))]
)
def test_an_adapter_learns_is_saved_merged_and_generates(
    name: str, tmp_path: Path, data: Path, some: list[Demonstration]
) -> None:
    source = random_model(name, tmp_path / "base", data)
    out = tmp_path / "sft"
    reports = Reports()
    figures = sft(some[:24], str(source), out, replace(SMALL, epochs=5), progress=reports)
    seen = losses(out)
    assert sum(seen[-2:]) < 0.8 * sum(seen[:2])
    assert figures["plan_f1"] is not None and (out / "adapter_model.safetensors").is_file()
    kept = json.loads((out / "train.json").read_text("utf-8"))["training"]
    assert any(line == str(Arithmetic(**kept["arithmetic"])) for line in reports.notes)
    assert kept["sft"]["rank"] == 8 and len(kept["figures"]["data_sha256"]) == 64
    on_top, merged = generated(source, out, tmp_path)
    assert merged and on_top[: len(merged)] == merged


def test_roles_and_targets_are_what_the_paper_trains(some: list[Demonstration]) -> None:
    one = replace(some[0], subquestions=("A?", "B?"), solution="1. a\n2. b\nThe answer is: 3", answer="4")
    plan = ("decompose", one.question, "A?\nB?")
    asked = f"{one.question}\n\nSub-questions:\n1. A?\n2. B?"
    assert shown(one, SftConfig()) == [plan]
    assert shown(one, SftConfig(role="both")) == [plan, ("solve", asked, "1. a\n2. b\nThe answer is: 3")]
    assert shown(one, SftConfig(role="solve", target="gold")) == [("solve", asked, "1. a\n2. b\nThe answer is: 4")]
    assert shown(one, SftConfig(role="solve", target="direct")) == [("solve", asked, "The answer is: 4")]
    assert targeted(replace(one, answer=None), "gold") is None


def test_what_cannot_be_trained_is_refused_in_one_line(
    tmp_path: Path, checkpoint: Path, some: list[Demonstration]
) -> None:
    for changed, error, complaint in (
        (replace(SMALL, modules="q_proj,lm_head"), UsageError, "lm_head cannot be converted"),
        (replace(SMALL, modules="p_proj"), UsageError, "no modules p_proj"),
        (replace(SMALL, max_length=8), InputError, "no demonstration can be trained on"),
        (replace(SMALL, method="qlora"), UsageError, "QLoRA needs a CUDA GPU"),
    ):
        with pytest.raises(error, match=complaint):
            sft(some, str(checkpoint), tmp_path / complaint[:6], changed)


def test_the_head_computes_completions_alone_and_the_loss_stays(tmp_path: Path, checkpoint: Path) -> None:
    import torch

    from dnc_edge.train.checkpoints import load_model, open_base
    from dnc_edge.train.sft import completion_loss

    model = load_model(open_base(str(checkpoint), scratch=tmp_path, limit=400), dtype=torch.float32)
    tokens = torch.arange(10, 34).reshape(2, 12)
    labels = tokens.clone()
    labels[0, :5] = labels[1, :8] = labels[1, 11:] = -100
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": labels}
    whole = float(model(**inputs).loss.detach())
    assert float(completion_loss(model, inputs).detach()) == pytest.approx(whole, rel=1e-5)
    half = float(completion_loss(model, inputs, 2 * int((labels[:, 1:] != -100).sum())).detach())
    assert half == pytest.approx(whole / 2, rel=1e-5)
    assert float(completion_loss(model, inputs, first_weight=3.0).detach()) > whole


def test_batches_hold_examples_of_like_lengths_in_another_order_each_epoch() -> None:
    from dnc_edge.train.loop import LikeLengths

    lengths = [1 + index % 97 for index in range(970)]
    sampler = LikeLengths(lengths, 8, seed=1)
    first = list(sampler)
    assert sorted(first) == list(range(970)) and first == list(LikeLengths(lengths, 8, seed=1))
    sampler.set_epoch(1)
    assert list(sampler) != first
    padded = sum(8 * max(lengths[index] for index in first[begin : begin + 8]) for begin in range(0, 968, 8))
    assert padded < 1.5 * sum(lengths)


def test_only_upper_layers_are_adapted_if_so_many_are_named(tmp_path: Path, checkpoint: Path) -> None:
    import torch

    from dnc_edge.train.checkpoints import adapted, load_model, open_base

    base = open_base(str(checkpoint), scratch=tmp_path, limit=400)
    for modules in ("all-linear", "q_proj,down_proj"):
        model = adapted(load_model(base, dtype=torch.float32), SftConfig(layers=1, rank=4, modules=modules))
        layers = {name.split(".layers.")[1].split(".")[0] for name, _ in model.named_parameters() if "lora_A" in name}
        assert layers == {str(model.config.num_hidden_layers - 1)}


def test_packing_changes_no_loss(tmp_path: Path, checkpoint: Path, some: list[Demonstration]) -> None:
    """One step over everything: several examples in a sequence see nothing of each other."""
    once = replace(SMALL, epochs=1, batch=32, micro_batch=1, every=10, held_out=0, max_length=1024)
    plain = sft(some[1:21], str(checkpoint), tmp_path / "plain", once)
    packed = sft(some[1:21], str(checkpoint), tmp_path / "packed", replace(once, packing=True))
    assert packed["steps"] == plain["steps"] == 1
    assert packed["loss"] == pytest.approx(plain["loss"], abs=2e-3)


# More memory than is left, in a training that is under way.
HUNGRY = """
import resource, sys
from pathlib import Path
import datasets, peft, torch, transformers, trl
from dnc_edge.cli import main
from dnc_edge.train import sft

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 700_000_000,) * 2)
main.main()
"""


def test_too_little_memory_is_told_with_the_batch_to_try(tmp_path: Path, checkpoint: Path, data: Path) -> None:
    flags = ["--base", checkpoint, "--data", "gsm8k", "--set", "micro_batch=128", "--set", "held_out=0"]
    command = [sys.executable, "-c", HUNGRY, "train", "sft", tmp_path / "out", *flags, "--set", "max_length=400"]
    made = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert made.returncode == 3, made.stderr[-2000:]
    assert "out of memory with micro_batch = 128; try micro_batch = 64" in made.stderr
    assert "Traceback" not in made.stderr


def test_a_lost_loss_stops_before_it_is_saved(tmp_path: Path, checkpoint: Path, some: list[Demonstration]) -> None:
    changed = replace(SMALL, learning_rate=1e30, every=1, epochs=2, held_out=0, method="full")
    with pytest.raises(InputError, match="is nan at step") as raised:
        sft(some, str(checkpoint), tmp_path / "lost", changed)
    assert "lower the learning rate" in (raised.value.hint or "")
    from safetensors.torch import load_file

    from dnc_edge.train.checkpoints import last_good

    if good := last_good(tmp_path / "lost" / "runs"):
        assert all(bool(t.isfinite().all()) for t in load_file(good / "model.safetensors").values())


def run(*arguments: Any, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dnc_edge", "train", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more.pop("env", {})}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **more)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-2000:]
    figures: dict[str, Any] = json.loads(out.splitlines()[-1])
    return figures


def killed_after(process: subprocess.Popen[str], sign: Path, more: float) -> None:
    """SIGKILL, some seconds after a file is there."""
    until = time.monotonic() + 300
    while not list(sign.parent.glob(sign.name)) and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(more)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def same_weights(first: Path, second: Path) -> bool:
    import torch
    from safetensors.torch import load_file

    one, other = load_file(first), load_file(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_killed_fine_tuning_goes_on_to_the_same_weights(
    tmp_path: Path, checkpoint: Path, some: list[Demonstration]
) -> None:
    write(tmp_path / "demos.jsonl", some)
    settings = ["epochs=6", "batch=8", "micro_batch=4", "max_length=400", "every=4", "held_out=0", "dropout=0.1"]
    flags = ["--base", checkpoint, "--data", tmp_path / "demos.jsonl"]
    for setting in settings:
        flags += ["--set", setting]
    whole = finished(run("sft", tmp_path / "whole", *flags))
    killed_after(run("sft", tmp_path / "cut", *flags), tmp_path / "cut" / "runs" / "checkpoint-*", 0.1)
    assert not (tmp_path / "cut" / "adapter_model.safetensors").exists()
    resumed = finished(run("sft", tmp_path / "cut", *flags, "--resume"))
    assert resumed["steps"] == whole["steps"] >= 40
    assert same_weights(*(tmp_path / name / "adapter_model.safetensors" for name in ("whole", "cut")))


# On few demonstrations; the command takes all that may ship.
BASE = """
import itertools, json, sys
from pathlib import Path
from dnc_edge.train.arithmetic import Arithmetic
from dnc_edge.train.base import BaseConfig, base
from dnc_edge.train.sources import gsm8k
from dnc_edge.train.tokenizer import load_tokenizer

out = Path(sys.argv[1])
out.mkdir(exist_ok=True)
# Which merges are left out is drawn inside the tokenizer, beyond the reach of a seed.
config = BaseConfig(layers=1, hidden_size=64, feed_forward=64, heads=2, kv_heads=2, epochs=4, batch_tokens=3000, dropout=0.1,
                    subword_dropout=0.0, synthetic_first=50, synthetic_last=50, warmup_steps=5)
demonstrations = list(itertools.islice(gsm8k(), 200))
print(json.dumps(base(demonstrations, load_tokenizer(), out, config, resume=len(sys.argv) > 2)))
"""


def test_a_killed_base_goes_on_to_the_same_weights(tmp_path: Path, data: Path) -> None:
    def started(name: str, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", BASE, str(tmp_path / name), *more]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    whole = finished(started("whole"))
    killed_after(started("cut"), tmp_path / "cut" / "state.pt", 0.2)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    resumed = finished(started("cut", "resume"))
    assert resumed["steps"] == whole["steps"] and resumed["held_out_loss"] == whole["held_out_loss"]
    assert same_weights(*(tmp_path / name / "model.safetensors" for name in ("whole", "cut")))


def test_two_processes_share_a_fine_tuning(tmp_path: Path, checkpoint: Path, some: list[Demonstration]) -> None:
    write(tmp_path / "demos.jsonl", some)
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    ]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "dnc_edge", "train", "sft"]
    command += [str(tmp_path / "two"), "--base", str(checkpoint), "--data", str(tmp_path / "demos.jsonl")]
    for setting in ("epochs=2", "batch=8", "micro_batch=4", "max_length=400", "held_out=0"):
        command += ["--set", setting]
    made = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert made.returncode == 0, made.stderr[-2000:]
    assert (tmp_path / "two" / "adapter_model.safetensors").is_file()
    # Each step takes four examples of either process.
    state = json.loads(next((tmp_path / "two" / "runs").glob("checkpoint-*/trainer_state.json")).read_text("utf-8"))
    assert state["max_steps"] == 2 * -(-len(some) // 8)


def test_a_full_disk_is_told_and_the_last_good_checkpoint_survives(
    tmp_path: Path, checkpoint: Path, some: list[Demonstration]
) -> None:
    write(tmp_path / "demos.jsonl", some)

    def most_bytes() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    flags = ["--base", checkpoint, "--data", tmp_path / "demos.jsonl", "--set", "method=full", "--set", "every=2"]
    process = run("sft", tmp_path / "full", *flags, "--set", "held_out=0", preexec_fn=most_bytes)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 3 and "Traceback" not in err
    assert "cannot save a checkpoint" in err


def test_a_dry_run_tells_steps_tokens_memory_and_hours(tmp_path: Path, checkpoint: Path, data: Path) -> None:
    flags = ["--base", checkpoint, "--data", "gsm8k", "--set", "held_out=4", "--set", "every=100", "--dry-run"]
    out, err = run("sft", tmp_path / "none", *flags).communicate(timeout=300)
    made = json.loads(out)
    assert made["steps"] > 200 and made["tokens_an_epoch"] > 500_000, err
    assert 0 < made["trainable"] < made["parameters"] and made["memory_gib"] > 0
    parts = SftConfig().epochs * -(-made["examples"] // SftConfig().micro_batch) * made["micro_batch_seconds"]
    parts += made["steps"] * made["step_seconds"] + made["steps"] // 100 * made["evaluation_seconds"]
    assert parts > 0 and made["hours"] == pytest.approx(parts / 3600, rel=0.02)
    assert "computing in" in err and not (tmp_path / "none").exists()


def test_what_does_not_fit_the_memory_is_not_measured(
    checkpoint: Path, some: list[Demonstration], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dnc_edge.train import estimate

    monkeypatch.setattr(estimate, "available_memory", lambda: 10_000_000)
    reports = Reports()
    made = estimate.estimate(some, str(checkpoint), SMALL, progress=reports)
    assert made.steps > 0 and made.memory_gib > 0.01 and made.hours is None
    assert reports.notes[-1].startswith("hours are not measured: it needs")


def test_hours_are_near_those_of_the_run(tmp_path: Path, checkpoint: Path, some: list[Demonstration]) -> None:
    from dnc_edge.train.estimate import estimate

    config = replace(SMALL, epochs=6, held_out=0)
    seconds = (estimate(some, str(checkpoint), config).hours or 0) * 3600
    # Whatever else the machine does meanwhile: a constant was wrong by a factor of fifty.
    assert seconds / 5 < sft(some, str(checkpoint), tmp_path / "run", config)["seconds"] < 5 * seconds


def test_a_recipe_is_checked_against_what_it_sets(tmp_path: Path) -> None:
    assert recipes.load("bundled", "base", BaseConfig).layers == 12
    assert recipes.load(None, "base", BaseConfig, {"epochs": 2.5}).epochs == 2.5
    for text, complaint in (
        ("[base]\nlayer = 2", "no setting base.layer"),
        ("[base]\nlayers = 'two'", "base.layers = .two. is not a whole number"),
        ("[base]\noptimizer = 'sgd'", "base.optimizer = 'sgd'"),
        ("[base]\nlayers = 0", "base.layers = 0 is out of range"),
        ("[base]\nepochs = 0", "base.epochs = 0 is out of range"),
        ("[base]\ndropout = 2", "base.dropout = 2 is out of range"),
        ("[base]\nlearning_rate = nan", "base.learning_rate = nan is out of range"),
        ("base = 3", "no .base. table"),
        ("[other]", "no .base. table"),
        ("[base", "cannot read the recipe"),
    ):
        (tmp_path / "r.toml").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=complaint):
            recipes.load(str(tmp_path / "r.toml"), "base", BaseConfig)
    with pytest.raises(InputError, match="no recipe nothing"):
        recipes.find("nothing")


def test_every_recipe_that_comes_along_is_valid() -> None:
    from dnc_edge.train.prefer import PreferConfig
    from dnc_edge.train.stepwise import StepwiseConfig

    kinds = {"base": BaseConfig, "sft": SftConfig, "stepwise": StepwiseConfig, "prefer": PreferConfig}
    tables = [(name, table) for name in recipes.names() for table in recipes.top(name) if table in kinds]
    assert len(tables) == len(recipes.names()) >= 7
    for name, table in tables:
        recipes.load(name, table, kinds[table])
    paper = recipes.load("paper-gsm8k", "sft", SftConfig)
    assert (paper.epochs, paper.batch, paper.learning_rate, paper.method) == (5, 128, 2e-5, "full")


@pytest.mark.parametrize("name", ["t5", "llama"])
def test_two_tasks_are_learned_at_once(name: str, tmp_path: Path, data: Path) -> None:
    from dnc_edge.train import rationales
    from dnc_edge.train.stepwise import StepwiseConfig, stepwise

    source = random_model(name, tmp_path / "base", data)
    training, test = rationales.load("svamp", "train")[:24], rationales.load("svamp", "test")[:4]
    config = StepwiseConfig(epochs=3, batch=8, micro_batch=4, learning_rate=1e-3, fraction=0.5, every=3)
    figures = stepwise(training, test, str(source), tmp_path / "out", config)
    assert figures["examples"] == 12 and figures["accuracy"]["n"] == 4
    seen = losses(tmp_path / "out")
    assert seen[-1] < seen[0]
    plain = stepwise(training, test, str(source), tmp_path / "plain", replace(config, method="finetuning"))
    assert plain["steps"] == figures["steps"]


def test_the_loss_of_two_tasks_is_their_weighted_sum(tmp_path: Path, checkpoint: Path, data: Path) -> None:
    import torch

    from dnc_edge.train import rationales
    from dnc_edge.train.checkpoints import load_model, open_base
    from dnc_edge.train.stepwise import StepwiseConfig, collated, encoded

    base = open_base(str(checkpoint), scratch=tmp_path, limit=400)
    config = StepwiseConfig()
    rows = [row for one in rationales.load("svamp", "train")[:3] if (row := encoded(one, base, config))]
    batch = collated(rows, base)
    assert set(batch) == {"label", "rationale"}
    model = load_model(base, dtype=torch.float32)
    # Only targets are predicted: their tokens, the ending one included, are what counts.
    for task, inputs in batch.items():
        assert int((inputs["labels"] != -100).sum()) == sum(len(row[task][1]) for row in rows)
        assert float(model(**inputs).loss.detach()) > 0


def test_preferred_plans_gain_on_rejected_ones(tmp_path: Path, checkpoint: Path, some: list[Demonstration]) -> None:
    from dnc_edge.train.feedback import Preference
    from dnc_edge.train.prefer import PreferConfig, dpo

    pairs = [Preference(d.id, d.question, None, d.subquestions or (), ("Why not?",)) for d in some[:24]]
    config = PreferConfig(epochs=4, batch=8, micro_batch=4, learning_rate=2e-3, rank=8, every=6)
    figures = dpo(pairs, str(checkpoint), tmp_path / "dpo", config)
    assert figures["margins_right"] > 0.9 and figures["loss"] < 0.6931
    with pytest.raises(InputError, match="no pair of plans"):
        dpo([], str(checkpoint), tmp_path / "none", config)


def test_rewarded_plans_become_likelier(tmp_path: Path, checkpoint: Path, some: list[Demonstration]) -> None:
    from dnc_edge.train.prefer import PreferConfig, grpo

    config = PreferConfig(
        method="grpo", epochs=1, samples=4, batch=8, micro_batch=8, learning_rate=1e-3, longest_plan=12, rank=8
    )
    asked: list[str] = []

    def reward(question: str, context: str | None, plan: Any, gold: str) -> float:
        asked.append(question)
        return float(len(plan) > 0)

    figures = grpo(some[:4], str(checkpoint), tmp_path / "grpo", config, reward)
    assert figures["steps"] >= 2 and len(asked) >= 16 and figures["reward"] is not None


def test_two_runs_into_one_folder_are_refused(tmp_path: Path, checkpoint: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    process = run("sft", tmp_path / "out", "--base", checkpoint, "--data", "gsm8k")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "--resume" in err
    assert issubclass(UsageError, DncError)
