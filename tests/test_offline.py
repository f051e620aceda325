"""`--offline`: no socket but loopback's, no look-up of a name, in any command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dnc_edge import offline
from tests.servers import Misbehaving

QUESTION = "Mia bakes 5 trays of 12 muffins and sells them for $2 each. How much money does Mia make?"
# Ends the process at the first look-up and at the first socket that leaves loopback, before dnc-edge sees either.
TRAP = """
import os, sys

def trap(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        tried = arguments[0] not in ("127.0.0.1", "localhost", b"localhost")
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        tried = isinstance(arguments[1], tuple) and not arguments[1][0].startswith("127.")
    else:
        return
    if tried:
        os.write(2, f"tried: {event} {arguments[1:]}".encode())
        os._exit(99)

sys.addaudithook(trap)
from dnc_edge.cli.main import main
main()
"""


def trapped(*arguments: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TRAP, *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=folder,
        env={**os.environ, "OPENAI_API_KEY": "sk-never-sent", "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "--solver", "openai:gpt-4o-mini", "--plan", "never", QUESTION),
        ("ask", "--solver", "http://models.example:8000/v1#m", "--plan", "never", QUESTION),
        ("students", "pull", "smollm2-135m"),
    ],
)
def test_the_trap_shuts_without_the_option_and_not_with_it(arguments: tuple[str, ...]) -> None:
    assert trapped(*arguments).returncode == 99
    refused = trapped(*arguments, "--offline")
    assert refused.returncode in (2, 4), refused.stderr
    assert "--offline was given" in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--offline", "ask", QUESTION), 0),
        (("ask", QUESTION, "--offline"), 0),
        (("decompose", "--offline", QUESTION), 0),
        (("batch", "questions.txt", "-o", "out.jsonl", "--offline"), 0),
        (("batch", "questions.txt", "-o", "dear.jsonl", "-S", "openai:gpt-4o-mini", "--offline"), 2),
        (("students", "list", "--offline"), 0),
        (("students", "pull", "someone/student", "--offline"), 4),
        (("doctor", "--offline"), 0),
        (("doctor", "--online", "--offline"), 0),
        (("log", "cost", "--offline"), 0),
        (("keys", "list", "--offline"), 0),
        (("bench", "parsers", "--offline"), 0),
        (("convert", "gguf", "someone/model", "-o", "out", "--offline"), 4),
        (("train", "demos", "d.jsonl", "--data", "questions.jsonl", "--teacher", "openai:m", "--offline"), 2),
        (("provider-batch", "export", "questions.txt", "-o", "job", "--solver", "openai:m", "--offline"), 2),
    ],
)  # fmt: skip
def test_no_command_leaves_the_machine(arguments: tuple[str, ...], code: int, tmp_path: Path) -> None:
    (tmp_path / "questions.txt").write_text("How many eggs are in four nests of three?\n", encoding="utf-8")
    row = {"id": "1", "question": "Why?", "teacher": "t", "source": "s"}
    (tmp_path / "questions.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    ended = trapped(*arguments, folder=tmp_path)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_on_this_machine_answers_whatever_proxy_is_set(host: str) -> None:
    with Misbehaving("usage") as server:
        solver = server.address.replace("127.0.0.1", host) + "#m"
        ended = trapped(
            "ask", "--offline", "-S", solver, "--plan", "never", QUESTION, HTTP_PROXY="http://proxy.example:3128"
        )
    assert ended.returncode == 0 and "The answer is: 72" in ended.stdout, ended.stderr


def test_the_environment_asks_for_it_too_and_a_question_may_hold_the_word() -> None:
    ended = trapped("ask", "--solver", "openai:m", QUESTION, DNC_EDGE_OFFLINE="1")
    assert ended.returncode == 2 and "--offline was given" in ended.stderr
    shown = trapped("decompose", "--json", "--decomposer", "trivial", "--", "--offline", DNC_EDGE_OFFLINE="0")
    assert json.loads(shown.stdout)["question"] == "--offline"


def test_what_other_code_tries_is_refused() -> None:
    code = (
        "import socket, urllib.request\n"
        "from dnc_edge import offline\n"
        "offline.enforce()\n"
        "for attempt in (lambda: urllib.request.urlopen('http://example.org'), lambda: socket.gethostbyname('example.org'),\n"
        "                lambda: socket.create_connection(('203.0.113.1', 80)),\n"
        "                lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('203.0.113.1', 53))):\n"
        "    try: attempt(); print('passed')\n"
        "    except OSError as error: print('not on this machine' in str(error))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split() == ["True"] * 4


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True), ("LOCALHOST", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True),
        ("localhost.example", False), ("10.0.0.1", False), ("127.0.0.1.example", False), ("::2", False), ("", False),
    ],
)  # fmt: skip
def test_what_counts_as_this_machine(host: str, here: bool) -> None:
    assert offline.is_here(host) == here
