"""The reference page of outcomes, reasons and error codes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from headwater_schema._openapi import STATUSES
from headwater_schema.outcomes import RESERVED, ClientLoss, ErrorCode, Outcome, Reason

_INTRODUCTION: Final = """\
# Outcomes, reasons and error codes

The same words stand in answers, in metric labels, in the table `ingest_counters` and in
log lines. The lists grow: a client must take a word that it does not know.

This page is made from `headwater_schema.outcomes`:

    headwater-schema export packages/shared-schema/schema \\
        --reasons docs/reference/reasons.md
"""
_OUTCOMES: Final = "What became of an event whose request was understood."
_REASONS: Final = "Why an event was dropped or is invalid."
_LOSSES: Final = """\
Why a client gave an event up. Clients tell in `client_losses` of their next batch; the
service counts that in `headwater_client_losses_total` and, with the outcome
`client_lost`, in `ingest_counters`. Such events were never received. What the service
refused itself, and so has counted already, is not told."""
_CODES: Final = """\
Why a whole request was refused. Nothing of it was stored. The message in the answer
says what to do. Clients send a batch again on 429 and 503, and on no other of these."""


def render_reasons() -> str:
    """Returns the page as Markdown."""
    return "\n".join(
        [
            _INTRODUCTION,
            *_section("Outcomes", _OUTCOMES, ["outcome", "meaning"], _outcomes()),
            *_section(
                "Reasons", _REASONS, ["reason", "outcome", "meaning"], _reasons()
            ),
            *_section("Losses of clients", _LOSSES, ["reason", "meaning"], _losses()),
            *_section("Error codes", _CODES, ["code", "status", "meaning"], _codes()),
        ]
    )


def _outcomes() -> Iterable[list[str]]:
    return ([f"`{each}`", each.description] for each in Outcome)


def _reasons() -> Iterable[list[str]]:
    return ([f"`{each}`", each.outcome, _meaning(each)] for each in Reason)


def _meaning(reason: Reason) -> str:
    suffix = " *Reserved: not given yet.*" if reason in RESERVED else ""
    return reason.description + suffix


def _losses() -> Iterable[list[str]]:
    return ([f"`{each}`", each.description] for each in ClientLoss)


def _codes() -> Iterable[list[str]]:
    statuses = {code: status for status, codes in STATUSES.items() for code in codes}
    return ([f"`{each}`", str(statuses[each]), each.description] for each in ErrorCode)


def _section(
    title: str, text: str, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    table = [f"| {' | '.join(cells)} |" for cells in lines]
    return [f"## {title}\n", f"{text}\n", *table, ""]
