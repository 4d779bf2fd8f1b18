"""Log lines: one per change of state, on standard error, as JSON or for a terminal.

Everything that the process prints goes the same way, uvicorn and the standard library
included. No line holds anything of a request: no address, no user agent, no body.
"""

import logging
import sys
from typing import Any, Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor

# What a person looks for comes first in a line.
_FIRST = ("timestamp", "level", "event")

_SHARED: tuple[Processor, ...] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def configure_logs(
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["auto", "json", "console"],
) -> None:
    """Send every log line of this process to standard error in one form.

    Args:
        level: Least important line that is printed.
        form: ``auto`` prints for a person on a terminal and JSON elsewhere.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(form),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Its information lines say what ours say; its access lines hold addresses.
    logging.getLogger("uvicorn.error").setLevel(max(root.level, logging.WARNING))
    logging.getLogger("uvicorn.access").disabled = True
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _renderer(form: Literal["auto", "json", "console"]) -> Processor:
    if form == "console" or (form == "auto" and sys.stderr.isatty()):
        return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.processors.JSONRenderer(serializer=_encode)


def _encode(event: EventDict, **_options: Any) -> str:
    first = {key: event[key] for key in _FIRST if key in event}
    return msgspec.json.encode({**first, **event}, enc_hook=str).decode()
