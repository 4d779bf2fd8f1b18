"""Options from the environment, for the default client."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from headwater._errors import SettingsError

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(text)
    return word in _TRUE


VARIABLES: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = {
    "write_key": (str, "text"),
    "host": (str, "a URL"),
    "disabled": (_switch, "1 or 0"),
    "strict": (_switch, "1 or 0"),
    "flush_at": (int, "a whole number"),
    "flush_interval": (float, "a number of seconds"),
    "timeout": (float, "a number of seconds"),
    "exit_timeout": (float, "a number of seconds"),
    "spool": (str, "a path"),
}
"""For each option that has a variable: how it is read, and what it must be."""


def read_environment(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Returns the options that are set as `HEADWATER_WRITE_KEY` and its like.

    A variable that is set to nothing counts as not set.

    Raises:
        SettingsError: With one sentence for each that cannot be read.
    """
    options = {}
    faults = []
    for option, (read, expected) in VARIABLES.items():
        variable = f"HEADWATER_{option.upper()}"
        if text := environ.get(variable):
            try:
                options[option] = read(text)
            except ValueError:
                faults.append(f"{variable} must be {expected}, not {text!r}")
    if faults:
        raise SettingsError(faults)
    return options
