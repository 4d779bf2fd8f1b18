"""An exception as the properties of an `$exception` event.

The form is that of other products' clients::

    {"$exception_list": [
        {"type": "KeyError", "value": "'id'", "module": "builtins",
         "mechanism": {"type": "generic", "handled": true},
         "stacktrace": {"type": "raw", "frames": [
             {"filename": "shop/cart.py", "function": "add", "module": "shop.cart",
              "lineno": 17, "in_app": true, "platform": "python"}]}}],
     "$exception_type": "KeyError", "$exception_message": "'id'",
     "$exception_level": "error"}

The first is the exception itself, then what it was caused by. Frames go from the
outermost call to the place where it was raised. Neither variables nor lines of source
are taken, and messages without what looks like a secret.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, Final

from headwater._scrub import scrub

_MAX_CHAIN: Final = 20
_MAX_FRAMES: Final = 100
_FOREIGN: Final = ("site-packages", "dist-packages")


def describe_exception(error: BaseException, *, handled: bool) -> dict[str, Any]:
    """Returns the properties of the event for `error`.

    Args:
        error: What was raised.
        handled: The application has caught it.
    """
    chain = list(_chain(error))
    described = [_describe(each, handled=handled) for each in chain]
    return {
        "$exception_list": described,
        "$exception_type": described[0]["type"],
        "$exception_message": described[0]["value"],
        "$exception_level": "error" if handled else "fatal",
    }


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields the exception, then each that it was raised from or during."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(seen) < _MAX_CHAIN:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        suppressed = each.__suppress_context__
        waiting.append(each.__cause__ or (None if suppressed else each.__context__))


def _describe(error: BaseException, *, handled: bool) -> dict[str, Any]:
    kind = type(error)
    return {
        "type": kind.__qualname__,
        "value": scrub(_message(error)),
        "module": kind.__module__,
        "mechanism": {"type": "generic", "handled": handled},
        "stacktrace": {"type": "raw", "frames": _frames(error.__traceback__)},
    }


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as fault:  # noqa: BLE001 - the exception is foreign code
        return f"<its text cannot be had: {type(fault).__name__}>"


def _frames(traceback: TracebackType | None) -> list[dict[str, Any]]:
    """Returns the frames; of a recursion the outermost and the innermost."""
    found = list(_walk(traceback))
    if len(found) > _MAX_FRAMES:
        half = _MAX_FRAMES // 2
        found = found[:half] + found[-half:]
    return [_frame(code, name, line) for code, name, line in found]


def _walk(
    traceback: TracebackType | None,
) -> Iterator[tuple[CodeType, str, int]]:
    while traceback is not None:
        frame = traceback.tb_frame
        yield frame.f_code, frame.f_globals.get("__name__", ""), traceback.tb_lineno
        traceback = traceback.tb_next


def _frame(code: CodeType, module: str, line: int) -> dict[str, Any]:
    return {
        "filename": _shown_path(code.co_filename),
        "function": code.co_qualname,
        "module": module,
        "lineno": line,
        "in_app": _is_in_app(code.co_filename),
        "platform": "python",
    }


@cache
def _library_paths() -> tuple[str, ...]:
    paths = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
    return tuple({os.path.realpath(path) + os.sep for path in paths if path})


def _is_in_app(filename: str) -> bool:
    """Whether a file is the application's: of no library, and not the interpreter's."""
    if filename.startswith("<frozen "):
        return False
    parts = filename.replace("\\", "/").split("/")
    if any(name in parts for name in _FOREIGN):
        return False
    return not os.path.realpath(filename).startswith(_library_paths())


def _shown_path(filename: str) -> str:
    """Returns a path as it is imported: where it is on disk is nobody's business."""
    path = Path(filename)
    if not path.is_absolute():
        return filename
    folders = [Path(folder or os.curdir).absolute() for folder in sys.path]
    inside = [folder for folder in folders if path.is_relative_to(folder)]
    if not inside:
        return path.name
    return str(path.relative_to(max(inside, key=lambda folder: len(folder.parts))))
