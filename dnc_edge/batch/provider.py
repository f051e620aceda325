"""Half price: plans are made here, the solving goes to a provider's batch service as files.

A folder holds the whole job: `plans.jsonl` (records without answers), `requests-001.jsonl` and so on (what is
uploaded), `batches.json` (what became of each). Every step may be run again: nothing is submitted twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dnc_edge import parse, prompts
from dnc_edge.batch import outputs
from dnc_edge.batch.batch import Progress, batch
from dnc_edge.edge import Edge
from dnc_edge.errors import InputError, MissingError, RecordsFailed, SolverError, UsageError
from dnc_edge.remote.endpoint import Endpoint, translated
from dnc_edge.types import Question, Record, RecordError, Usage, record_key

# What OpenAI takes in one file (platform.openai.com/docs/guides/batch), and its price.
MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
DISCOUNT = 0.5
PLANS, BATCHES = "plans.jsonl", "batches.json"
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass
class Submitted:
    """One request file and what the provider says of it."""

    file: str
    sha256: str
    batch: str
    status: str
    total: int = 0
    completed: int = 0
    failed: int = 0


def export(
    questions: Iterable[Question],
    folder: Path,
    edge: Edge,
    *,
    most_requests: int = MOST_REQUESTS,
    most_bytes: int = MOST_BYTES,
    tell: Callable[[Progress], None] = lambda _: None,
) -> list[Path]:
    """Decompose every question and write the provider's request files.

    Args:
        folder: takes plans and requests; plans that are there already are kept.
        edge: a decomposer, and the remote solver that will be asked.
        most_requests, most_bytes: limits of one file.

    Returns:
        the request files.

    Raises:
        UsageError: the job was submitted already, or the solver is none that takes batches.
    """
    endpoint = _endpoint(edge)
    if (folder / BATCHES).exists():
        raise UsageError(f"{folder} was submitted already", hint="choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(RecordsFailed):  # a question without a plan is told of when the answers are collected
        batch(questions, folder / PLANS, edge, solve=False, tell=tell)
    for old in folder.glob("requests-*.jsonl"):
        old.unlink()
    written: list[Path] = []
    size = count = 0
    with contextlib.ExitStack() as stack:
        for record in plans(folder):
            if record.error:
                continue
            line = json.dumps(_request(record, endpoint, edge), ensure_ascii=False).encode() + b"\n"
            if not written or count == most_requests or size + len(line) > most_bytes:
                stack.close()
                written.append(folder / f"requests-{len(written) + 1:03}.jsonl")
                file = stack.enter_context(written[-1].open("wb"))
                size = count = 0
            file.write(line)
            size, count = size + len(line), count + 1
    return written


def _endpoint(edge: Edge) -> Endpoint:
    chat = getattr(edge.solver, "chat", None)
    if not isinstance(chat, Endpoint):
        raise UsageError("a provider's batch needs a remote solver", hint="name one with --solver openai:MODEL")
    if edge.settings.strategy != "static":
        raise UsageError("a provider's batch asks each question once", hint="take --strategy static")
    return chat


def _request(record: Record, endpoint: Endpoint, edge: Edge) -> dict[str, Any]:
    messages = prompts.solve(
        record.question, record.context, record.subquestions or (), shots=getattr(edge.solver, "shots", 0)
    )
    body = endpoint.request(messages)
    for field in ("stream", "stream_options"):
        body.pop(field, None)
    return {"custom_id": record.id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def plans(folder: Path) -> Iterator[Record]:
    """The plans of a job.

    Raises:
        InputError: the folder holds none.
    """
    path = folder / PLANS
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield Record.from_json(line, f"{path.name}, line {number}")
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no exported job", hint="run provider-batch export first") from error


def submit(folder: Path, endpoint: Endpoint) -> list[Submitted]:
    """Upload every request file that has no batch yet and start its batch.

    Each batch carries its file's hash: a submission that was cut off is found again, not repeated.

    Raises:
        InputError: nothing was exported. SolverError: the provider refused.
    """
    files = sorted(folder.glob("requests-*.jsonl"))
    if not files:
        raise InputError(f"{folder} holds no request files", hint="run provider-batch export first")
    known = {entry.sha256: entry for entry in submitted(folder)}
    client = endpoint.client
    with provider_errors(endpoint):
        unknown = [file for file in files if _hash(file) not in known]
        if unknown:
            for found in client.batches.list(limit=100):
                digest = (found.metadata or {}).get("dnc_edge")
                if digest and digest not in known:
                    known[digest] = _entry("", digest, found)
        for file in files:
            digest = _hash(file)
            if digest in known:
                known[digest].file = file.name
            else:
                uploaded = client.files.create(file=(file.name, file.read_bytes()), purpose="batch")
                made = client.batches.create(
                    input_file_id=uploaded.id,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={"dnc_edge": digest},
                )
                known[digest] = _entry(file.name, digest, made)
            _keep(folder, [entry for entry in known.values() if entry.file])
    return submitted(folder)


def status(folder: Path, endpoint: Endpoint) -> list[Submitted]:
    """Ask how every batch stands, and keep it.

    Raises:
        InputError: nothing was submitted. SolverError: the provider refused.
    """
    entries = submitted(folder)
    if not entries:
        raise InputError(f"{folder} was not submitted", hint="run provider-batch submit first")
    with provider_errors(endpoint):
        asked = [_entry(entry.file, entry.sha256, endpoint.client.batches.retrieve(entry.batch)) for entry in entries]
    _keep(folder, asked)
    return asked


def collect(folder: Path, out: Path, edge: Edge) -> dict[str, int]:
    """Merge the replies with the plans into records.

    A question without a reply, or with one that is no answer, gets a record with an error.

    Returns:
        how many records there are, and how many hold an error.

    Raises:
        MissingError: a batch is not finished yet. SolverError: the provider refused.
    """
    endpoint = _endpoint(edge)
    entries = status(folder, endpoint)
    if waiting := [entry.file for entry in entries if entry.status not in ENDED]:
        raise MissingError(f"{', '.join(waiting)} is not finished", hint="ask again later with provider-batch status")
    replies: dict[str, dict[str, Any]] = {}
    with provider_errors(endpoint):
        for entry in entries:
            found = endpoint.client.batches.retrieve(entry.batch)
            for file in filter(None, (found.output_file_id, found.error_file_id)):
                for line in endpoint.client.files.content(file).iter_lines():
                    with contextlib.suppress(ValueError):  # a line cut off is a missing reply
                        values = json.loads(line)
                        if isinstance(values, dict) and values.get("custom_id"):
                            replies.setdefault(str(values["custom_id"]), values)
    counts = {"records": 0, "failed": 0}
    pipeline = edge.pipeline()

    def lines() -> Generator[str]:
        for plan in plans(folder):
            settings = {"plan": plan.key, "solver": endpoint.identity(), "batch": True}
            record = replace(plan, solver=pipeline.solver.name if pipeline.solver else None, key=record_key(settings))
            if record.error is None:
                record = _answered(record, replies.get(plan.id), endpoint, edge)
            counts["records"] += 1
            counts["failed"] += record.error is not None
            yield record.to_json()

    outputs.write(out, lines())
    return counts


def _answered(record: Record, line: dict[str, Any] | None, endpoint: Endpoint, edge: Edge) -> Record:
    """A plan with its reply, or with what is wrong with it."""
    reply = (line or {}).get("response") or {}
    body = reply.get("body") or {}
    try:
        if line is None:
            raise SolverError("the provider sent no reply for it", code="solver_missing", retryable=True)
        if reply.get("status_code") != 200:
            told = (line.get("error") or body.get("error") or {}).get("message") or f"HTTP {reply.get('status_code')}"
            raise SolverError(str(told)[:300], code="solver_rejected")
        choice = body["choices"][0]
        text, finish = choice["message"].get("content") or "", choice.get("finish_reason") or "stop"
        counts = body.get("usage") or {}
        usage = Usage(
            requests=1,
            input_tokens=int(counts.get("prompt_tokens") or 0),
            cached_tokens=int((counts.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
            output_tokens=int(counts.get("completion_tokens") or 0),
            reasoning_tokens=int((counts.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0),
        )
        full = endpoint.cost(usage, edge.prices)
        # A price that was given is taken as it is; the table's is for single requests.
        share = 1.0 if edge.prices.remote else DISCOUNT
        usage = replace(usage, cost_usd=None if full is None else full * share)
        record = replace(
            record,
            usage={**record.usage, "solve": usage},
            cost_usd=None if usage.cost_usd is None else (record.cost_usd or 0.0) + usage.cost_usd,
            price_date=edge.prices.date(),
        )
        endpoint.check(text, finish, choice["message"].get("refusal") or "")
    except (KeyError, IndexError, TypeError, AttributeError):
        wrong = SolverError("the provider's line is no chat completion", code="solver_bad_reply")
        return replace(record, error=replace(RecordError.of(wrong), stage="solve"))
    except SolverError as error:
        return replace(record, error=replace(RecordError.of(error), stage="solve"))
    return replace(
        record,
        answer=parse.final_answer(text),
        text=text,
        subanswers=parse.subanswers(text),
        finish_reason=finish,
    )


def submitted(folder: Path) -> list[Submitted]:
    """What `submit` kept."""
    path = folder / BATCHES
    if not path.is_file():
        return []
    try:
        return [Submitted(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error})") from error


def _keep(folder: Path, entries: list[Submitted]) -> None:
    partial = folder / f".{BATCHES}.partial"
    partial.write_text(json.dumps([asdict(entry) for entry in entries], indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / BATCHES)


def _entry(file: str, digest: str, made: Any) -> Submitted:
    counts = made.request_counts
    total, completed, failed = (counts.total, counts.completed, counts.failed) if counts else (0, 0, 0)
    return Submitted(file, digest, made.id, made.status, total, completed, failed)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def provider_errors(endpoint: Endpoint) -> Iterator[None]:
    """The SDK's errors as ours."""
    import openai

    try:
        yield
    except openai.APIError as error:
        raise translated(error, endpoint.name) from error
