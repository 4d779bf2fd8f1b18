"""Reads the settings: from the environment and from an optional TOML file.

The environment (``HEADWATER_PORT``) wins over the file (``port``). Every mistake is
reported at once, and nothing here prints a secret. No other module reads the
environment.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec.inspect import Metadata, type_info

from headwater_ingest.errors import SettingsError
from headwater_ingest.setting_types import Networks, Secret
from headwater_ingest.settings import Settings
from headwater_ingest.suggest import did_you_mean

CONFIG_VARIABLE = "HEADWATER_CONFIG"

_PREFIX = "HEADWATER_"
# Variables of the same prefix that name no setting: ours, the client library's and the
# tests'. A machine that runs all of them must be able to set them.
_NOT_OURS = re.compile(
    "HEADWATER_(CONFIG|WRITE_KEY|HOST|DISABLED|STRICT|SPOOL|TIMEOUT|EXIT_TIMEOUT"
    "|FLUSH_AT|FLUSH_INTERVAL|E2E_.*)"
)
_NO_NETWORKS = "none"
_HIDDEN = "***"
_MIN_SECRET_CHARS = 16
_LONG = 72  # what is longer does not push the second column out of sight
_PASSWORD = re.compile(r"^([a-z]*://)?+([^:@/]*):.*@")


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings, and where each value came from.

    Attributes:
        values: The settings.
        sources: For each key that was set: the variable or the file.
    """

    values: Settings
    sources: Mapping[str, str]

    def show(self) -> str:
        """Print all settings as TOML with the source of each, without secrets."""
        shown = msgspec.structs.asdict(self.values)
        shown["sites_file"] = self.values.sites_path
        lines = {key: _show(key, value) for key, value in shown.items()}
        width = max(len(line) for line in lines.values() if len(line) <= _LONG)
        return "".join(
            f"{start}{end:{width}}  # {self.sources.get(key, 'default')}\n"
            for key, line in lines.items()
            for start, end in [_split_last(line)]
        )


def load_settings(
    environ: Mapping[str, str], config_file: Path | None = None
) -> LoadedSettings:
    """Read the settings from the environment and from the file, if one is named.

    A variable that is set to nothing counts as not set.

    Args:
        environ: The environment of the process.
        config_file: A TOML file; it takes the place of ``HEADWATER_CONFIG``.

    Raises:
        SettingsError: With one line for every mistake.
    """
    named = environ.get(CONFIG_VARIABLE)
    path = config_file or (Path(named) if named else None)
    problems: list[str] = []
    given = _from_file(path, problems) if path else {}
    given.update(_from_environment(environ, problems))
    values = {
        key: _convert(key, value, source=source, problems=problems)
        for key, (value, source) in given.items()
    }
    if problems:
        raise SettingsError(problems)
    settings = msgspec.structs.replace(Settings(), **values)
    return LoadedSettings(settings, {key: source for key, (_, source) in given.items()})


def _show(key: str, value: object) -> str:
    """Returns a setting as TOML; many networks have a line each."""
    if value is None:
        return f"# {key} is not set"
    line = f"{key} = {as_toml(value)}"
    if isinstance(value, Networks) and len(line) > _LONG:
        inner = "".join(f"    {as_toml(each)},\n" for each in value)
        return f"{key} = [\n{inner}]"
    return line


def _split_last(line: str) -> tuple[str, str]:
    start, newline, end = line.rpartition("\n")
    return start + newline, end


def redact(text: str) -> str:
    """Put stars in place of the password in a URL."""
    return _PASSWORD.sub(rf"\1\2:{_HIDDEN}@", text)


def documentation_of(key: str) -> tuple[str, str]:
    """Return what a setting means and which values it takes."""
    info = type_info(Settings.__annotations__[key])
    if not isinstance(info, Metadata) or not info.extra or not info.extra_json_schema:
        raise TypeError(f"the setting {key} is not documented")
    return info.extra_json_schema["description"], info.extra["expected"]


def as_toml(value: object) -> str:
    """Write a value as TOML; a secret, or the password in a URL, is not shown."""
    if isinstance(value, Secret):
        return f'"{_HIDDEN}"'
    if isinstance(value, Networks):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, str | Path):
        return msgspec.json.encode(redact(str(value))).decode()
    return repr(value)


_Given = dict[str, tuple[object, str]]  # key → value as it was written, and where


def _from_file(path: Path, problems: list[str]) -> _Given:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problems.append(f"config file {path}: cannot be read: {error.strerror}")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"config file {path}: is not TOML: {error}")
        return {}
    known = Settings.__struct_fields__
    problems += [
        f"`{key}` in {path} is no setting: {did_you_mean(key, known)}"
        for key in table
        if key not in known
    ]
    return {key: (table[key], f"file {path}") for key in known if key in table}


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> _Given:
    known = {_PREFIX + key.upper(): key for key in Settings.__struct_fields__}
    problems += [
        f"{name} is no setting: {did_you_mean(name, known, prefix=_PREFIX)}"
        for name in sorted(environ)
        if name.startswith(_PREFIX)
        and name not in known
        and not _NOT_OURS.fullmatch(name)
    ]
    return {
        key: (environ[name], f"environment {name}")
        for name, key in known.items()
        if environ.get(name)
    }


def _convert(key: str, value: object, *, source: str, problems: list[str]) -> object:
    """Return the value in the field's type, or note a problem and return None."""
    kind = Settings.__annotations__[key]
    try:
        return msgspec.convert(value, kind, strict=False, dec_hook=_convert_special)
    except msgspec.ValidationError:
        _, expected = documentation_of(key)
        shown = _HIDDEN if _is_secret(kind) else redact(str(value))
        problems.append(f"{key} = {shown!r} ({source}): give {expected}")
        return None


def _is_secret(annotation: Any) -> bool:
    return Secret in get_args(get_args(annotation)[0])


def _convert_special(kind: type, value: object) -> Path | Networks | Secret:
    if kind is Networks:
        return _read_networks(value)
    if kind is Secret:
        return _read_secret(value)
    if kind is not Path or not isinstance(value, str) or not value:
        raise TypeError
    return Path(value).expanduser()


def _read_secret(value: object) -> Secret:
    if not isinstance(value, str) or len(value) < _MIN_SECRET_CHARS:
        raise TypeError
    return Secret(value)


def _read_networks(value: object) -> Networks:
    """Reads a list, or a text with commas as a variable holds it.

    Raises:
        ValueError: One of them is neither an address nor a network.
        TypeError: It is no such list.
    """
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise TypeError
    if texts == [_NO_NETWORKS]:
        return Networks()
    return Networks(str(ip_network(str(each).strip(), strict=False)) for each in texts)
