"""The settings of the service: one frozen object, read once, at start.

Values come from the environment (``HEADWATER_PORT``) and from an optional TOML file
(``port``); the environment wins. Every mistake is reported at once, and nothing here
prints a secret. No other module reads the environment.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.inspect import Metadata, type_info

from headwater_ingest.errors import SettingsError
from headwater_ingest.suggest import did_you_mean

CONFIG_VARIABLE = "HEADWATER_CONFIG"
EMBEDDED = "embedded"

_PREFIX = "HEADWATER_"
# Variables of the same prefix that name no setting: ours, the client library's and the
# tests'. A machine that runs all of them must be able to set them.
_NOT_OURS = re.compile("HEADWATER_(CONFIG|WRITE_KEY|DISABLED|E2E_.*)")
_PASSWORD = re.compile(r"^([a-z]*://)?+([^:@/]*):.*@")


def _setting(meaning: str, *, expected: str) -> Meta:
    return Meta(description=meaning, extra={"expected": expected})


def _whole(meaning: str, *, ge: int, le: int | None = None) -> Meta:
    bounds = f"from {ge} up" if le is None else f"from {ge} to {le}"
    expected = {"expected": f"a whole number {bounds}"}
    return Meta(description=meaning, ge=ge, le=le, extra=expected)


def _seconds(meaning: str, *, ge: float = 0, le: float = 3600) -> Meta:
    expected = {"expected": f"seconds from {ge} to {le}"}
    return Meta(description=meaning, ge=ge, le=le, extra=expected)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an operator can choose."""

    listen_host: Annotated[
        str,
        Meta(pattern=r"^[^/\s]+$"),
        _setting(
            "Address to listen on. `0.0.0.0` takes requests from other machines.",
            expected="a host name or an address",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        _whole(
            "Port to listen on. `0` takes a free one; the log and `service.json` in "
            "the data directory say which.",
            ge=0,
            le=65_535,
        ),
    ] = 8080
    data_dir: Annotated[
        Path,
        _setting(
            "Directory of the journal, the sites file and the embedded ClickHouse.",
            expected="a path",
        ),
    ] = Path("data")
    clickhouse_url: Annotated[
        str,
        Meta(pattern=r"^(embedded|clickhouses?://.+)$"),
        _setting(
            "Where rows go: `embedded` runs a ClickHouse inside the service, a URL "
            "names yours (`clickhouses://` for TLS).",
            expected="`embedded` or `clickhouse://user:password@host:9000/database`",
        ),
    ] = EMBEDDED
    clickhouse_cluster: Annotated[
        str | None,
        _setting(
            "Name of the ClickHouse cluster to spread the tables over. Not set: the "
            "tables are made for a single server.",
            expected="a name from the server's `remote_servers`",
        ),
    ] = None
    clickhouse_memory_bytes: Annotated[
        int,
        _whole("Most memory that the embedded ClickHouse may use.", ge=256 * 1024**2),
    ] = 2 * 1024**3
    sites_file: Annotated[
        Path | None,
        _setting(
            "TOML file of the sites and their write keys. Not set: `sites.toml` in "
            "the data directory, which the first start writes.",
            expected="a path",
        ),
    ] = None
    journal_max_bytes: Annotated[
        int,
        _whole(
            "Room for rows that wait for ClickHouse. When it is used up, requests get "
            "503 and the clients keep their events.",
            ge=1024**2,
        ),
    ] = 2 * 1024**3
    block_rows: Annotated[
        int, _whole("Most rows in one INSERT.", ge=1, le=1_000_000)
    ] = 20_000
    block_seconds: Annotated[
        float, _seconds("Longest time that a row waits for its block to fill.", ge=0.01)
    ] = 1.0
    degraded_after_seconds: Annotated[
        float,
        _seconds(
            "Age of the oldest row not yet in ClickHouse from which on `/readyz` says "
            "`backlog_old`.",
            ge=1,
            le=86_400,
        ),
    ] = 60.0
    not_ready_seconds: Annotated[
        float,
        _seconds(
            "At a stop: time between saying not ready and refusing requests, for a "
            "load balancer to notice."
        ),
    ] = 1.0
    drain_seconds: Annotated[
        float,
        _seconds(
            "At a stop: longest time spent on writing the journal to ClickHouse. What "
            "is left is written after the next start."
        ),
    ] = 5.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        _setting(
            "Least important log line that is printed.",
            expected="one of `debug`, `info`, `warning`, `error`",
        ),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"],
        _setting(
            "Form of the log lines. `auto` is `console` on a terminal, else `json`.",
            expected="one of `auto`, `json`, `console`",
        ),
    ] = "auto"

    @property
    def sites_path(self) -> Path:
        """The sites file, whether it was named or not."""
        return self.sites_file or self.data_dir / "sites.toml"

    @property
    def clickhouse_dir(self) -> Path:
        """Where the embedded ClickHouse lives."""
        return self.data_dir / "clickhouse"

    @property
    def is_embedded(self) -> bool:
        """Whether the service runs its own ClickHouse."""
        return self.clickhouse_url == EMBEDDED


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
        lines = {
            key: f"# {key} is not set" if value is None else f"{key} = {as_toml(value)}"
            for key, value in shown.items()
        }
        width = max(map(len, lines.values()))
        return "".join(
            f"{line:{width}}  # {self.sources.get(key, 'default')}\n"
            for key, line in lines.items()
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


def redact(text: str) -> str:
    """Put stars in place of the password in a URL."""
    return _PASSWORD.sub(r"\1\2:***@", text)


def documentation_of(key: str) -> tuple[str, str]:
    """Return what a setting means and which values it takes."""
    info = type_info(Settings.__annotations__[key])
    if not isinstance(info, Metadata) or not info.extra or not info.extra_json_schema:
        raise TypeError(f"the setting {key} is not documented")
    return info.extra_json_schema["description"], info.extra["expected"]


def as_toml(value: object) -> str:
    """Write a value as TOML, without its password if it is a URL."""
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
        return msgspec.convert(value, kind, strict=False, dec_hook=_convert_path)
    except msgspec.ValidationError:
        _, expected = documentation_of(key)
        shown = redact(str(value))
        problems.append(f"{key} = {shown!r} ({source}): give {expected}")
        return None


def _convert_path(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str) or not value:
        raise TypeError
    return Path(value).expanduser()
