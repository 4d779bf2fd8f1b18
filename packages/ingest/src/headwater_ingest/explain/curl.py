"""A `curl` command, as it is pasted from a browser, a manual or a shell's history.

Read, not run. What says how to reach the service is left out of account; what says what
to send is taken as curl takes it. An option that is not known is an error, since what
it does to the request is not known either.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus

from headwater_ingest.explain.http_request import (
    Header,
    HttpRequest,
    RequestTextError,
    split_header,
    split_target,
)

AGENT: Final = b"curl/8"

_FORM: Final = b"application/x-www-form-urlencoded"
_JSON: Final = b"application/json"

_NAMES: Final = {
    "-X": "--request",
    "-H": "--header",
    "-A": "--user-agent",
    "-e": "--referer",
    "-d": "--data",
    "--data-ascii": "--data",
    "-I": "--head",
}
_DATA: Final = frozenset(
    {"--data", "--data-raw", "--data-binary", "--data-urlencode", "--json"}
)
_TOLD: Final = {
    "-u": "a login (`-u`) is left out: the service knows keys only",
    "--user": "a login (`--user`) is left out: the service knows keys only",
}
_FLAGS: Final = (
    "-s --silent -S --show-error -i --include --show-headers -v --verbose -k "
    "--insecure -L --location -f --fail --fail-with-body --compressed -4 --ipv4 -6 "
    "--ipv6 -N --no-buffer -g --globoff -# --progress-bar -O --remote-name "
    "--http1.0 --http1.1 --http2 --http2-prior-knowledge --http3 --path-as-is "
    "--no-keepalive -n --netrc --tcp-nodelay --no-progress-meter -0 -1 --tlsv1.2 "
    "--tlsv1.3 -j"
)
_WAYS: Final = (
    "-o --output -m --max-time --connect-timeout --retry --retry-delay "
    "--retry-max-time -w --write-out -x --proxy --cacert --capath -E --cert --key "
    "--resolve --connect-to --interface -b --cookie -c --cookie-jar -D --dump-header "
    "--limit-rate --unix-socket --trace --trace-ascii --stderr"
)
_WITHOUT_VALUE: Final = frozenset(_FLAGS.split())
_WITH_VALUE: Final = frozenset(_WAYS.split())
_ENDS: Final = frozenset({"|", ">", ">>", "2>&1", "2>/dev/null", "&&", "||", ";", "&"})

_PARTS: Final = re.compile(
    r"\$'((?:[^'\\]|\\.)*)'"  # $'...', whose escapes are C's
    r"|('[^']*')"
    r'|("(?:[^"\\]|\\.)*")'
    r"|\\(\r?\n)"  # a line that goes on
    r"|(\\.)",
    re.DOTALL,
)
_ESCAPES: Final = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|(.))",
    re.DOTALL,
)
_LETTERS: Final = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "e": "\x1b"}
_MAX_CODE_POINT: Final = 0x10FFFF


@dataclass(slots=True)
class _Command:
    """What the options of a command say."""

    urls: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    defaults: dict[bytes, bytes] = field(default_factory=dict)
    data: list[bytes] | None = None
    method: str | None = None
    notes: list[str] = field(default_factory=list)


def is_curl(text: bytes) -> bool:
    """Whether a text is a command of curl, rather than a request."""
    words = text.split(maxsplit=2)
    return b"curl" in words[:1] or words[:2] == [b"$", b"curl"]


def read_curl(text: bytes) -> HttpRequest:
    """Reads a command.

    Raises:
        RequestTextError: It is none, or it has an option that is not known.
    """
    if b'^"' in text:
        raise RequestTextError(
            'this is a command for Windows\' cmd (`^"`): choose "Copy as cURL (bash)" '
            "in the browser"
        )
    words = _split(text.decode("utf-8", "surrogateescape"))
    command = _Command(defaults={b"user-agent": AGENT, b"accept": b"*/*"})
    options = _read_options(words[words.index("curl") + 1 :])
    for name, value in options:
        _apply(command, name, value)
    if len(command.urls) != 1:
        raise RequestTextError(
            f"the command has {len(command.urls)} URLs: give it one, in quotes if it "
            "has `&` or `?`"
        )
    return _make_request(command, command.urls[0])


def _split(text: str) -> list[str]:
    try:
        words = shlex.split(_PARTS.sub(_plain, text))
    except ValueError as error:
        raise RequestTextError(
            f"the command is not whole: {str(error).lower()}; a `'` within '...' is "
            "written `'\\''`"
        ) from None
    end = next((place for place, word in enumerate(words) if word in _ENDS), len(words))
    return words[:end]


def _plain(match: re.Match[str]) -> str:
    """Writes what `shlex` does not know so that it does."""
    escaped, single, double, line_end, other = match.groups()
    if escaped is not None:
        return shlex.quote(_join_halves(_ESCAPES.sub(_unescape, escaped)))
    if double is not None:
        return re.sub(r"\\\r?\n", "", double)
    return "" if line_end else single or other


def _unescape(match: re.Match[str]) -> str:
    *hexadecimal, octal, letter = match.groups()
    digits = next((each for each in hexadecimal if each), None)
    if digits or octal:
        code = int(digits, 16) if digits else int(octal, 8)
        return chr(code) if code <= _MAX_CODE_POINT else "\ufffd"
    return _LETTERS.get(letter, letter)


def _join_halves(text: str) -> str:
    """Joins the halves of characters, as which browsers write those beyond 16 bits."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _read_options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yields options with their values; a URL is the value of `--url`."""
    rest = iter(words)
    for word in rest:
        if word == "-" or not word.startswith("-"):
            yield "--url", word
        elif word.startswith("--"):
            yield word, (_next(rest, word) if _takes_value(word) else "")
        else:
            yield from _read_letters(word, rest)


def _read_letters(word: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yields the options in a word such as `-sSXPOST`."""
    for place, letter in enumerate(word[1:], 1):
        name = f"-{letter}"
        if _takes_value(name):
            yield name, word[place + 1 :] or _next(rest, name)
            return
        yield name, ""


def _takes_value(name: str) -> bool:
    name = _NAMES.get(name, name)
    if name in _WITHOUT_VALUE or name == "--head":
        return False
    known = name in _DATA or name in _NAMES.values() or name in _TOLD
    if known or name in _WITH_VALUE or name == "--url":
        return True
    raise RequestTextError(f"`{name}` is not understood: leave it out")


def _next(rest: Iterator[str], name: str) -> str:
    value = next(rest, None)
    if value is None:
        raise RequestTextError(f"`{name}` needs a value: the command ends after it")
    return value


def _apply(command: _Command, name: str, value: str) -> None:
    name = _NAMES.get(name, name)
    if name in _DATA:
        _add_data(command, name, value)
    elif name == "--url":
        command.urls.append(value)
    elif name == "--header":
        command.headers.append(value)
    elif name == "--request":
        command.method = value
    elif name == "--head":
        command.method = "HEAD"
    elif name == "--user-agent":
        command.defaults[b"user-agent"] = _encode(value)
    elif name == "--referer":
        command.defaults[b"referer"] = _encode(value)
    elif name in _TOLD:
        command.notes.append(_TOLD[name])


def _add_data(command: _Command, name: str, value: str) -> None:
    if name == "--json":
        command.defaults |= {b"content-type": _JSON, b"accept": _JSON}
    else:
        command.defaults.setdefault(b"content-type", _FORM)
    data = _read_data(name, value)
    if command.data is None:
        command.data = [data]
    elif name == "--json":
        command.data[-1] += data
    else:
        command.data.append(data)


def _read_data(name: str, value: str) -> bytes:
    if name == "--data-urlencode":
        key, equals, text = value.partition("=")
        quoted = quote_plus(_encode(text if equals else value))
        return f"{key}={quoted}".encode() if key and equals else quoted.encode()
    if name == "--data-raw" or not value.startswith("@"):
        return _encode(value)
    content = _read_file(value[1:])
    is_text = name == "--data"
    return content.translate(None, b"\r\n\0") if is_text else content


def _read_file(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:
        raise RequestTextError(
            f"the body is in the file `{name}`, which cannot be read: {error}"
        ) from None


def _make_request(command: _Command, url: str) -> HttpRequest:
    path, query = split_target(url if "://" in url else f"http://{url}")
    method = command.method or ("GET" if command.data is None else "POST")
    headers = _merge_headers(command)
    body = b"&".join(command.data or [])
    return HttpRequest(method, path, query, headers, body, tuple(command.notes))


def _merge_headers(command: _Command) -> list[Header]:
    """Returns what is sent: `Name: value`, nothing for `Name:`, empty for `Name;`."""
    given: list[Header] = []
    named = set()
    for line in command.headers:
        name, value = split_header(_encode(line))
        is_empty = b":" not in _encode(line) and name.endswith(b";")
        name = name.removesuffix(b";") if is_empty else name
        named.add(name)
        if value or is_empty:
            given.append((name, value))
    kept = [each for each in command.defaults.items() if each[0] not in named]
    return [each for each in (*kept, *given) if each[1] or each in given]


def _encode(text: str) -> bytes:
    """Returns the bytes that a text was pasted as."""
    return text.encode("utf-8", "surrogateescape")
