"""The address of a ClickHouse server, with the login, in one URL.

``clickhouse://user:password@host:port/database`` is native TCP, ``clickhouses://`` the
same over TLS. Nothing here prints the password unless it is asked for by name.
"""

from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from headwater_ingest.errors import ClickHouseUrlError

DEFAULT_DATABASE = "headwater"
DEFAULT_USER = "default"
PLAIN_PORT = 9000
TLS_PORT = 9440

_FORM = "clickhouse://user:password@host:9000/database"
_PLAIN = "clickhouse"
_TLS = "clickhouses"


@dataclass(frozen=True, slots=True)
class ClickHouseUrl:
    """Where a ClickHouse server is, and as whom to log in.

    Attributes:
        host: Host name or address.
        port: Port of the native protocol.
        user: Name to log in with.
        password: Never part of ``repr``, ``str`` or an error.
        database: Database of the session; empty leaves it to the server.
        tls: Whether the connection is encrypted.
        ca_file: PEM file of the authorities to trust; empty trusts the usual ones.
    """

    host: str
    port: int = PLAIN_PORT
    user: str = DEFAULT_USER
    password: str = field(default="", repr=False)
    database: str = DEFAULT_DATABASE
    tls: bool = False
    ca_file: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL.

        Args:
            text: ``clickhouse://user:password@host:port/database``; all but the host
                may be left out. ``clickhouses://`` takes ``?ca=FILE``. Special
                characters in names and password are percent-encoded.

        Raises:
            ClickHouseUrlError: Naming what is wrong, and quoting nothing secret.
        """
        parts = _split(text)
        tls = parts.scheme == _TLS
        return cls(
            host=_host(parts),
            port=_port(parts) or (TLS_PORT if tls else PLAIN_PORT),
            user=unquote(parts.username or "") or DEFAULT_USER,
            password=unquote(parts.password or ""),
            database=_database(parts) or DEFAULT_DATABASE,
            tls=tls,
            ca_file=_ca_file(parts),
        )

    @property
    def address(self) -> str:
        """Host and port, as people write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def redacted(self) -> str:
        """Return the URL with stars for the password, fit for a log line."""
        return self._format("***" if self.password else "")

    def with_password(self) -> str:
        """Return the whole URL. It is a secret: pass it on, never print it."""
        return self._format(quote(self.password, safe=""))

    def without_database(self) -> Self:
        """Return the same login with no database, for one that may not exist yet."""
        return replace(self, database="")

    def _format(self, password: str) -> str:
        user = quote(self.user, safe="")
        login = f"{user}:{password}" if password else user
        database = quote(self.database, safe="")
        query = f"?ca={quote(self.ca_file)}" if self.ca_file else ""
        scheme = _TLS if self.tls else _PLAIN
        return f"{scheme}://{login}@{self.address}/{database}{query}"

    def __str__(self) -> str:
        return self.redacted()


def _split(text: str) -> SplitResult:
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in {_PLAIN, _TLS}:
        raise ClickHouseUrlError(_scheme_problem(scheme if separator else ""))
    try:
        parts = urlsplit(text)
    except ValueError as error:  # only an IPv6 address can be wrong at this point
        raise _problem("the address in brackets is not IPv6") from error
    if parts.fragment:
        raise _problem("there is a '#'; in a password, write it as %23")
    return parts


def _scheme_problem(scheme: str) -> str:
    if scheme in {"http", "https"}:
        return (
            f"ClickHouse URL: {scheme}:// is ClickHouse's HTTP interface; Headwater "
            f"speaks the native protocol, so write {_FORM}"
        )
    return f"ClickHouse URL: it must start with {_PLAIN}:// or {_TLS}://, as in {_FORM}"


def _host(parts: SplitResult) -> str:
    if not parts.hostname:
        raise _problem("the host is missing")
    return parts.hostname


def _port(parts: SplitResult) -> int | None:
    # Part of a password that was not percent-encoded may sit here: do not quote it.
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise _problem(
            "the port is not a number from 1 to 65535 (in names and passwords, "
            "percent-encode : / ? # @ and %)"
        ) from None
    return port


def _database(parts: SplitResult) -> str:
    database = parts.path.removeprefix("/")
    if "/" in database:
        raise _problem("there is more than one '/' after the host")
    return unquote(database)


def _ca_file(parts: SplitResult) -> str:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    ca_file = options.pop("ca", "")
    if options:
        raise _problem("the only option after '?' is ca=FILE")
    if ca_file and parts.scheme != _TLS:
        raise _problem(f"ca=FILE needs {_TLS}://")
    return ca_file


def _problem(what: str) -> ClickHouseUrlError:
    return ClickHouseUrlError(f"ClickHouse URL: {what}; write it like {_FORM}")
