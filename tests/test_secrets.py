"""A planted key and a planted password are found in nothing that is printed or written, and go to nobody else."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dnc_edge.edge import Edge
from dnc_edge.errors import DncError, SolverAuth, SolverError, UsageError
from dnc_edge.remote.address import Address, masked
from dnc_edge.remote.endpoint import Endpoint
from dnc_edge.remote.retry import Retry
from tests.servers import Misbehaving

KEY, PASSWORD = "sk-planted-8261937", "pa55-planted-8261937"
MESSAGES = [{"role": "user", "content": "How many?"}]


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a folder of its own, with its store, journal and everything else it writes."""
    line = [sys.executable, "-m", "dnc_edge", *arguments]
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    variables = {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    return subprocess.run(line, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=120)


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("behaviour", ["usage", 401, 500, "html", "torn"])
def test_a_batch_shows_and_keeps_neither_key_nor_password(behaviour: str | int, tmp_path: Path) -> None:
    (tmp_path / "questions.txt").write_text("How many eggs?\nHow many hens?\n", encoding="utf-8")
    with Misbehaving(behaviour) as server:
        address = server.address.replace("://", f"://user:{PASSWORD}@")
        ended = run(
            tmp_path, "batch", "questions.txt", "-o", "out.jsonl", "-d", "trivial", "-S", f"{address}#m",
            "--max-cost", "9", "--price", "1", "1", DNC_EDGE_API_KEY=f" {KEY}\n",
        )  # fmt: skip
        sent = server.headers[0]["authorization"]
    assert sent == "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    seen = ended.stdout + ended.stderr + written(tmp_path).decode("utf-8", "replace")
    assert KEY not in seen and PASSWORD not in seen and sent.split()[1] not in seen
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("key", "sent"), [(f"{KEY}\n", f"Bearer {KEY}"), (f"  {KEY} \r\n", f"Bearer {KEY}"), ("", None), (" \n", None)]
)
def test_white_space_around_a_key_is_no_part_of_it(key: str, sent: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNC_EDGE_API_KEY", key)
    with Misbehaving("good") as server:
        list(Endpoint("m", server.address).stream(MESSAGES))
        assert server.headers[0].get("authorization") == sent


@pytest.mark.parametrize("key", [f"{KEY}\nX-Other: 1", f"{KEY} {KEY}", f"{KEY}ä", f"{KEY}\0", f"{KEY}”"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "DNC_EDGE_API_KEY": key})
    with Misbehaving("good") as server:
        with pytest.raises(UsageError, match="DNC_EDGE_API_KEY holds") as caught:
            list(Endpoint("m", server.address).stream(MESSAGES))
        assert not server.requests
    assert KEY not in str(caught.value) + str(caught.value.hint)


def test_a_key_that_a_server_sends_back_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNC_EDGE_API_KEY", KEY)

    class Echoing(Misbehaving):
        def choose(self, body: dict[str, Any]) -> str | int:
            self.told = f"Incorrect API key provided: {self.headers[-1].get('authorization')}"
            return 401

    with Echoing("good") as server, pytest.raises(SolverAuth, match="Incorrect API key") as caught:
        list(Endpoint("m", server.address, retry=Retry(attempts=1)).stream(MESSAGES))
    assert KEY not in str(caught.value) and "***" in str(caught.value)


def test_openais_key_and_account_go_to_openai_alone() -> None:
    environment = {
        "OPENAI_API_KEY": KEY, "OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj-1", "DNC_EDGE_API_KEY": "other-key",
    }  # fmt: skip
    for url in ("https://api.openai.com/v1", "https://eu.api.openai.com/v1"):
        headers = Address.parse(url).headers(environment)
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert (headers["OpenAI-Organization"], headers["OpenAI-Project"]) == ("org-1", "proj-1")
    elsewhere = (
        "http://api.openai.com/v1",
        "https://openai.com.evil.example/v1",
        "https://evilapi.openai.com.example/v1",
    )
    for url in (*elsewhere, "http://127.0.0.1:1/v1", "https://notapi.openai.community/v1"):
        assert Address.parse(url).headers(environment) == {"Authorization": "Bearer other-key"}
    with pytest.raises(SolverAuth, match="OPENAI_API_KEY is not set"):
        Address.parse("https://api.openai.com/v1").headers({})


def test_another_address_in_openai_base_url_gets_no_key_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-planted")
    with Misbehaving("good") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.address)
        list(Endpoint("m").stream(MESSAGES))
        assert KEY not in str(server.headers) and "org-planted" not in str(server.headers)
    monkeypatch.setenv("OPENAI_BASE_URL", " ")
    assert Endpoint("m").address is None


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (f"http://user:{PASSWORD}@host:8000/v1/", "http://host:8000/v1"),
        ("https://HOST/v1?api-version=2024-10-21&api-key=abc123456", "https://host/v1?api-version=2024-10-21"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_an_address_is_shown_without_its_secrets(text: str, url: str) -> None:
    address = Address.parse(text)
    assert address.url == url
    assert PASSWORD not in repr(address) and "abc123456" not in repr(address)
    assert "api-key" not in text or "abc123456" in address.at("/chat/completions")


@pytest.mark.parametrize(
    "text",
    [
        f"http://user:{PASSWORD}@host:abc/v1", "http://::1:8000/v1", "http://host:99999/v1", "http:///v1", "ftp://host/v1",
        "http://[::1/v1", f"http://user:{PASSWORD}@/v1", "http://ho st/v1", "host:8000",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(text)
    assert PASSWORD not in str(caught.value) + str(caught.value.hint)
    assert PASSWORD not in masked(text)


def test_no_error_of_a_solver_shows_the_password() -> None:
    for spec in (
        f"http://user:{PASSWORD}@127.0.0.1:9/v1#m",
        f"http://user:{PASSWORD}@host:x/v1#m",
        f"http://u:{PASSWORD}@h/v1",
    ):
        with pytest.raises(DncError) as caught, Edge(solver=spec, decomposer="trivial") as edge:
            edge.ask("How many?")
        assert PASSWORD not in repr(caught.value) + str(caught.value.hint)
        assert isinstance(caught.value, SolverError | UsageError)


def test_a_record_names_the_solver_without_its_password() -> None:
    with Misbehaving("usage") as server:
        address = server.address.replace("://", f"://user:{PASSWORD}@")
        with Edge(solver=f"{address}#m", decomposer="trivial") as edge:
            record = edge.ask("How many?")
    assert record.solver == f"{server.address}#m" and PASSWORD not in json.dumps(record.to_dict())


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks5://127.0.0.1:1"), ("all_proxy", "socks://127.0.0.1:1"), ("SSL_CERT_FILE", "/nonexistent.pem"),
     ("HTTP_PROXY", f"ftp://u:{PASSWORD}@127.0.0.1:1")],
)  # fmt: skip
def test_a_variable_of_the_environment_that_cannot_be_used_is_named(name: str, value: str, tmp_path: Path) -> None:
    ended = run(tmp_path, "ask", "-d", "trivial", "-S", "http://127.0.0.1:9/v1#m", "How many?", **{name: value})
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == UsageError.exit_code and name in line and PASSWORD not in line
