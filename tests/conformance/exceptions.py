"""The cases that are not to pass, and why."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

PATH = Path(__file__).with_name("exceptions.toml")
MAX_AGENTS = 8

_REASON = re.compile(r"(§16 row ([1-9]|1[0-5])|design|agent): .+")


def read_exceptions(path: Path = PATH) -> Mapping[str, str]:
    """Returns the reason of each exception, by the case's id.

    Raises:
        ValueError: A reason is none of those that count, or agents are too many.
    """
    exceptions = tomllib.loads(path.read_text("utf-8"))
    for name, reason in exceptions.items():
        if not isinstance(reason, str) or not _REASON.fullmatch(reason):
            raise ValueError(f"{path}: {name} needs a reason: §16 row N, design, agent")
    agents = sum(reason.startswith("agent:") for reason in exceptions.values())
    if agents > MAX_AGENTS:
        raise ValueError(f"{path}: {agents} agents are excepted, {MAX_AGENTS} may be")
    return exceptions
