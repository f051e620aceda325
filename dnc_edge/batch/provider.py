"""Half price: plans are made here, the solving goes to a provider's batch service as files.

A folder holds the whole job: `plans.jsonl` (records without answers), `requests-001.jsonl` and so on (what is
uploaded), `batches.json` (what became of each), `job.json` (whom it asks, and how). Every step may be run again:
nothing is submitted twice.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dnc_edge import files, parse, prompts
from dnc_edge.batch import outputs
from dnc_edge.batch.batch import batch
from dnc_edge.batch.service import Service
from dnc_edge.edge import Edge
from dnc_edge.errors import InputError, MissingError, RecordsFailed, SolverError, UsageError
from dnc_edge.models import shown
from dnc_edge.progress import SILENT, Progress
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.events import loads
from dnc_edge.remote.refusals import refusal, words
from dnc_edge.types import Question, Record, RecordError, Usage, record_key

# What OpenAI takes in one file (platform.openai.com/docs/guides/batch), and its price.
MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
DISCOUNT = 0.5
PLANS, BATCHES, JOB = "plans.jsonl", "batches.json", "job.json"
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True)
class Job:
    """What the later steps of a job need to know of its export.

    Attributes:
        solver: whom it asks, without user and password.
        settings: that change the requests: max_tokens, shots, instruction.
        price: dollars per million input and output tokens, if they were given.
    """

    solver: str
    settings: Mapping[str, Any]
    price: tuple[float, float] | None = None


@dataclass
class Submitted:
    """One request file and what the provider says of it; `reason` is why its batch failed."""

    file: str
    sha256: str
    batch: str
    status: str
    total: int = 0
    completed: int = 0
    failed: int = 0
    reason: str = ""


def export(
    questions: Iterable[Question],
    folder: Path,
    edge: Edge,
    *,
    most_requests: int = MOST_REQUESTS,
    most_bytes: int = MOST_BYTES,
    progress: Progress = SILENT,
) -> list[Path]:
    """Decompose every question and write the provider's request files.

    Args:
        folder: takes plans and requests; plans that are there already are kept.
        edge: a decomposer, and the remote solver that will be asked.
        most_requests, most_bytes: limits of one file.
        progress: gets the counts of the plans.

    Returns:
        the request files.

    Raises:
        UsageError: the job was submitted already, or the solver is none that takes batches.
    """
    endpoint = _endpoint(edge)
    if (folder / BATCHES).exists():
        raise UsageError(f"{folder} was submitted already", hint="choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    settings = {name: getattr(edge.settings, name) for name in ("max_tokens", "shots", "instruction")}
    files.write_json(folder / JOB, asdict(Job(shown(edge.settings.solver), settings, edge.prices.remote)))
    with contextlib.suppress(RecordsFailed):  # a question without a plan is told of when the answers are collected
        batch(questions, folder / PLANS, edge, solve=False, progress=progress)
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


def job(folder: Path) -> Job:
    """What the export of a job kept.

    Raises:
        InputError: the folder holds no exported job, or its file is damaged.
    """
    path = folder / JOB
    if not path.is_file():
        raise InputError(f"{folder} holds no exported job", hint="run provider-batch export first")
    try:
        kept = Job(**json.loads(path.read_text(encoding="utf-8")))
        price = None if kept.price is None else (float(kept.price[0]), float(kept.price[1]))
        return Job(str(kept.solver), dict(kept.settings), price)
    except (ValueError, TypeError, LookupError) as error:
        raise InputError(f"{path} is damaged ({error})", hint="export the job again into another folder") from error


def _endpoint(edge: Edge) -> Endpoint:
    chat = edge.solver.chat
    if not isinstance(chat, Endpoint):
        raise UsageError("a provider's batch needs a remote solver", hint="name one with --solver openai:MODEL")
    if edge.settings.strategy != "static":
        raise UsageError("a provider's batch asks each question once", hint="take --strategy static")
    return chat


def _request(record: Record, endpoint: Endpoint, edge: Edge) -> dict[str, Any]:
    messages = prompts.solve(record.question, record.context, record.subquestions or (), shots=edge.solver.shots)
    body = endpoint.request(messages)
    for field in ("stream", "stream_options"):
        body.pop(field, None)
    return {"custom_id": record.id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def plans(folder: Path) -> Iterator[Record]:
    """The plans of a job.

    Raises:
        InputError: the folder holds none.
    """
    if not (folder / PLANS).is_file():
        raise InputError(f"{folder} holds no exported job", hint="run provider-batch export first")
    for where, line in files.lines(folder / PLANS):
        yield Record.from_json(line, where)


def submit(folder: Path, endpoint: Endpoint) -> list[Submitted]:
    """Upload every request file that has no batch yet and start its batch.

    Each batch carries its file's hash: a submission that was cut off is found again, not repeated.

    Raises:
        InputError: nothing was exported. SolverError: the provider refused.
    """
    requests = sorted(folder.glob("requests-*.jsonl"))
    if not requests:
        raise InputError(f"{folder} holds no request files", hint="run provider-batch export first")
    known = {entry.sha256: entry for entry in submitted(folder)}
    service = Service(endpoint)
    if any(files.sha256_of(file) not in known for file in requests):
        for found in service.batches():
            digest = str(_get(found.get("metadata"), "dnc_edge") or "")
            if digest and digest not in known:
                known[digest] = _entry("", digest, found)
    for file in requests:
        digest = files.sha256_of(file)
        if digest in known:
            known[digest].file = file.name
        else:
            known[digest] = _entry(file.name, digest, service.submit(file, digest))
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
    service = Service(endpoint)
    asked = [_entry(entry.file, entry.sha256, service.batch(entry.batch)) for entry in entries]
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
    service = Service(endpoint)
    replies: dict[str, dict[str, Any]] = {}
    for entry in entries:
        found = service.batch(entry.batch)
        for file in filter(None, (found.get("output_file_id"), found.get("error_file_id"))):
            for line in service.lines(str(file)):
                if line.get("custom_id"):
                    replies.setdefault(str(line["custom_id"]), line)
    why = "; ".join(sorted({entry.reason for entry in entries if entry.reason}))
    counts = {"records": 0, "failed": 0}
    pipeline = edge.pipeline()

    def lines() -> Generator[str]:
        for plan in plans(folder):
            settings = {"plan": plan.key, "solver": endpoint.identity, "batch": True}
            record = replace(plan, solver=pipeline.solver.name if pipeline.solver else None, key=record_key(settings))
            if record.error is None:
                record = _answered(record, replies.get(plan.id), endpoint, edge, why)
            counts["records"] += 1
            counts["failed"] += record.error is not None
            yield record.to_json()

    outputs.write(out, lines())
    return counts


def _answered(record: Record, line: dict[str, Any] | None, endpoint: Endpoint, edge: Edge, why: str) -> Record:
    """A plan with its reply, or with what is wrong with it."""
    if line is None:
        missing = f"the provider sent no reply for it{': ' + why if why else ''}"
        return _failed(record, SolverError(missing, code="solver_missing", retryable=True))
    response = line.get("response")
    body, status = _get(response, "body"), _status(_get(response, "status_code"))
    if isinstance(body, str):
        body = loads(body) or body
    if line.get("error") or status >= 300:
        told = line.get("error") or _get(body, "error") or body
        return _failed(record, refusal(endpoint.name, told, status=status if status >= 300 else None))
    reading = endpoint.reading(_request(record, endpoint, edge)["body"])
    reading.feed(body)
    reply = reading.reply(instead=words(body))
    used = reply.usage if reply.complete else Usage(requests=1, unaccounted=1)
    # A price that was given is taken as it is; the table's is for single requests.
    full = endpoint.cost(used, edge.prices)
    used = replace(used, cost_usd=None if full is None else full * (1.0 if edge.prices.remote else DISCOUNT))
    record = replace(
        record,
        usage={**record.usage, "solve": used},
        cost_usd=(Usage(cost_usd=record.cost_usd) + used).cost_usd,
        price_date=edge.prices.date(),
    )
    if reply.error:
        return _failed(record, reply.error)
    return replace(
        record,
        answer=parse.final_answer(reply.text),
        text=reply.text,
        subanswers=parse.subanswers(reply.text) if record.subquestions else (),
        finish_reason=reply.finish_reason,
    )


def _failed(record: Record, error: SolverError) -> Record:
    return replace(record, error=replace(RecordError.of(error), stage="solve"))


def _status(value: Any) -> int:
    """A status code as a number; 0 if it is none, as with a body alone."""
    return int(value) if str(value).isascii() and str(value).isdecimal() and len(str(value)) == 3 else 0


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


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
    files.write_json(folder / BATCHES, [asdict(entry) for entry in entries])


def _entry(file: str, digest: str, made: dict[str, Any]) -> Submitted:
    counts = [_get(made.get("request_counts"), name) for name in ("total", "completed", "failed")]
    total, completed, failed = (count if isinstance(count, int) else 0 for count in counts)
    reason = words(_get(made.get("errors"), "data") or made.get("errors"))
    return Submitted(file, digest, str(made.get("id")), str(made.get("status")), total, completed, failed, reason)
