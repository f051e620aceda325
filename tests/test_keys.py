"""Stored keys: one an address, for its owner alone, after the environment's, and never shown."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from dnc_edge.edge import Edge
from dnc_edge.errors import InputError, SolverAuth, UsageError
from dnc_edge.remote import keys
from dnc_edge.remote.address import Address
from tests.servers import Misbehaving
from tests.test_cli import dnc_edge, refused

KEY, OTHER = "sk-stored-5528301", "sk-other-9917340"


def authorization(url: str, **environment: str) -> str | None:
    return Address.parse(url).headers(environment).get("Authorization")


def test_a_stored_key_goes_to_its_address_alone() -> None:
    keys.set_key("https://api.groq.com/openai/v1", KEY)
    keys.set_key("http://127.0.0.1:8000/v1", OTHER)
    assert authorization("https://api.groq.com/openai/v1") == f"Bearer {KEY}"
    assert authorization("http://127.0.0.1:8000/other/v1") == f"Bearer {OTHER}"
    for url in ("http://api.groq.com/v1", "https://api.groq.com.example/v1", "http://127.0.0.1:8001/v1"):
        assert authorization(url) is None


def test_the_environment_goes_before_the_file_and_a_providers_variable_to_that_provider_alone() -> None:
    keys.set_key("https://api.groq.com/openai/v1", KEY)
    url = "https://api.groq.com/openai/v1"
    assert authorization(url, DNC_EDGE_API_KEY=OTHER) == f"Bearer {OTHER}"
    assert authorization(url, DNC_EDGE_API_KEY="x", GROQ_API_KEY=OTHER) == f"Bearer {OTHER}"
    assert authorization("http://127.0.0.1:8000/v1", GROQ_API_KEY=OTHER) is None


def test_openais_regions_share_its_key() -> None:
    with pytest.raises(SolverAuth, match="no key is stored") as caught:
        authorization("https://api.openai.com/v1")
    assert "keys set openai" in str(caught.value.hint)
    keys.set_key("https://api.openai.com/v1", KEY)
    assert authorization("https://eu.api.openai.com/v1") == f"Bearer {KEY}"
    assert authorization("https://api.openai.com/v1", DNC_EDGE_API_KEY=OTHER) == f"Bearer {KEY}"


def test_only_its_owner_can_read_the_file_whatever_it_was_before() -> None:
    path = keys.keys_path()
    keys.set_key("https://a.example/v1", KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    keys.set_key("https://b.example/v1", OTHER)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert dict(keys.stored()) == {"https://a.example": KEY, "https://b.example": OTHER}
    keys.remove_key("https://a.example/anything")
    assert dict(keys.stored()) == {"https://b.example": OTHER}
    with pytest.raises(UsageError, match=r"no key is stored for https://a\.example"):
        keys.remove_key("https://a.example/v1")


@pytest.mark.parametrize("key", ["", " \n", f"{KEY} {KEY}", f"{KEY}\nX-Other: 1", f"{KEY}”"])
def test_what_cannot_be_sent_is_not_stored_and_not_shown(key: str) -> None:
    with pytest.raises(UsageError, match="nothing was stored") as caught:
        keys.set_key("https://a.example/v1", key)
    assert KEY not in str(caught.value) and not keys.keys_path().exists()


@pytest.mark.parametrize(
    "text", [f'{{"https://a.example": "{KEY}', f'["{KEY}"]', f'{{"https://a.example": [{KEY!r}]}}']
)
def test_a_damaged_file_is_named_and_not_shown(text: str) -> None:
    keys.keys_path().write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="does not hold keys") as caught:
        keys.stored()
    assert KEY not in repr(caught.value) and caught.value.__suppress_context__


def test_a_stored_key_that_a_server_sends_back_is_masked() -> None:
    with Misbehaving(401) as server:
        keys.set_key(server.address, KEY)
        server.told = f"Incorrect API key provided: {KEY}"
        with pytest.raises(SolverAuth, match="Incorrect API key") as caught, Edge(
            solver=f"{server.address}#m", plan="never"
        ) as edge:  # fmt: skip
            edge.ask("How many?")
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(caught.value) and "***" in str(caught.value)


def test_the_commands_store_list_and_remove_without_showing_a_key(tmp_path: Path) -> None:
    shown = b""
    with Misbehaving("usage") as server:
        for where in ("openai", f"{server.address}#model"):
            result = dnc_edge("keys", "set", where, stdin=f"{KEY}\n".encode())
            assert result.returncode == 0
            shown += result.stdout + result.stderr
        result = dnc_edge("ask", "--json", "--plan", "never", "--solver", f"{server.address}#m", "How many?")
        shown += result.stdout + result.stderr
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    listed = dnc_edge("keys", "list", "--json", GROQ_API_KEY=OTHER)
    places = {row["address"]: row["from"] for row in json.loads(listed.stdout)}
    path = os.environ["DNC_EDGE_KEYS"]
    assert places == {
        "https://api.openai.com": path, keys.origin(server.address): path, "https://api.groq.com": "GROQ_API_KEY",
    }  # fmt: skip
    shown += listed.stdout + dnc_edge("keys", "list").stdout
    assert KEY.encode() not in shown and OTHER.encode() not in shown
    assert KEY.encode() not in Path(os.environ["DNC_EDGE_LOG"]).read_bytes()
    assert dnc_edge("keys", "remove", "openai").returncode == 0
    assert dnc_edge("keys", "path").stdout.decode().strip() == path
    refused(dnc_edge("keys", "remove", "openai"), 2, "no key is stored for https://api.openai.com")
    refused(dnc_edge("keys", "set", "opnai", stdin=b"x\n"), 2, "there is no provider opnai; did you mean openai?")
