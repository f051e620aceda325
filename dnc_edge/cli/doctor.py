"""`dnc-edge doctor`: what is here, what is missing, and what repairs it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from dnc_edge import output
from dnc_edge.cli import options
from dnc_edge.errors import MissingError

MARKS = {"ok": "ok", "note": "-", "warning": "!", "error": "ERROR"}


def doctor(
    online: Annotated[bool, typer.Option("--online", help="Also ask the solver of the settings.")] = False,
    json: options.Json = False,
) -> None:
    """Look at this machine: processor, engines, students, a short decode, solver, keys, log, data.

    Nothing is sent unless --online is given. Exit code 4 if a local answer is not possible.

    Examples:

      dnc-edge doctor

      dnc-edge doctor --online --json
    """
    from dnc_edge.doctor import doctor as look

    findings = []
    for finding in look(online=online):
        findings.append(finding)
        if not json:
            output.print_text(f"{MARKS[finding.state]:6}{finding.about}: {finding.text}")
            if finding.repair:
                output.print_text(f"{'':6}  {finding.repair}")
    if json:
        output.print_json([asdict(finding) for finding in findings])
    bad = [finding.about for finding in findings if finding.state == "error"]
    if bad:
        raise MissingError(f"something is wrong with {', '.join(bad)}", hint="the lines above say what repairs it")
