"""`headwater-ingest doctor`: looks at everything and says what is wrong, in one table.

It only reads and takes no lock, so it works while the service runs and while it does
not. Each check is a function from the settings to findings.
"""

import http.client
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import msgspec

from headwater_ingest.clickhouse.client import ClickHouseUrl, Client
from headwater_ingest.clickhouse.embedded import find_http_port, find_running
from headwater_ingest.clickhouse.embedded.process import check_installed
from headwater_ingest.clickhouse.migrate import schema_state
from headwater_ingest.clickhouse.session import open_session
from headwater_ingest.data_files import DataFiles
from headwater_ingest.doctor_keeping import look_at_keeping
from headwater_ingest.errors import HeadwaterError
from headwater_ingest.findings import Finding, Level, fail, ok, warn
from headwater_ingest.journal.accounts import Accounts
from headwater_ingest.journal.peek import JournalPeek, peek
from headwater_ingest.service_file import ServiceFile
from headwater_ingest.settings import Settings
from headwater_ingest.settings_reader import LoadedSettings, redact
from headwater_ingest.sites.known_sites import KnownSites
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.sites.sites_file import describe_loss
from headwater_ingest.sites.sites_toml import read_sites
from headwater_ingest.visitors.redis_client import ping

_TIMEOUT_S = 3.0
# With less, SQLite may not have the pages that a small batch needs.
_LEAST_FREE_BYTES = 1 << 20

# A table that blocks of events reach must remember their tokens.
_TABLES_WITHOUT_WINDOW = """
    SELECT name FROM system.tables
    WHERE database = currentDatabase() AND engine LIKE '%MergeTree'
        AND name NOT IN ('schema_migrations', 'sites', 'salts')
        AND NOT match(create_table_query, 'deduplication_window = [1-9]')
    ORDER BY name
"""


def examine(loaded: LoadedSettings) -> list[Finding]:
    """Run every check; none of them stops the others."""
    findings = [_settings(loaded)]
    for check in _CHECKS:
        findings += check(loaded.values)
    return findings


def render(findings: list[Finding]) -> str:
    """Format the findings as a table."""
    width = max(len(finding.subject) for finding in findings)
    return "".join(
        f"{finding.level:4}  {finding.subject:{width}}  {finding.detail}\n"
        for finding in findings
    )


def _settings(loaded: LoadedSettings) -> Finding:
    places = sorted({source.split(" ")[0] for source in loaded.sources.values()})
    count = len(loaded.sources)
    told = f"{count} set by {' and '.join(places)}" if count else "all at their default"
    return Finding(Level.OK, "settings", told)


def _data_directory(settings: Settings) -> Iterator[Finding]:
    path = settings.data_dir
    if not path.exists():
        yield warn("data directory", f"{path} is not there yet: `serve` makes it")
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield fail(
            "data directory",
            f"{path} is not writable for this user: change its owner, or set "
            "HEADWATER_DATA_DIR",
        )
    elif (free := shutil.disk_usage(path).free) < _LEAST_FREE_BYTES:
        yield fail(
            "data directory",
            f"the disk of {path.resolve()} is full, {free} bytes are left: free space "
            "on it; meanwhile requests are refused, and clients send them again",
        )
    else:
        yield ok("data directory", f"{path.resolve()} is writable")


def _journal(settings: Settings) -> Iterator[Finding]:
    try:
        found = peek(settings.data_dir)
    except HeadwaterError as error:
        yield fail("journal", str(error))
        return
    if found is None:
        yield warn("journal", "is not there yet: `serve` makes it")
        return
    yield _backlog(found, settings)
    if found.accounts:
        yield _accounts(found.accounts)
    yield ok("window", _describe_window(found))


def _backlog(found: JournalPeek, settings: Settings) -> Finding:
    if found.oldest_pending_at_ms is None:
        return ok("journal", "no rows wait for ClickHouse")
    age_s = _seconds_since(found.oldest_pending_at_ms)
    detail = (
        f"{found.rows_pending} rows wait for ClickHouse, the oldest for {age_s:.0f} s "
        f"({found.bytes_pending} of {settings.journal_max_bytes} bytes)"
    )
    if found.bytes_pending >= settings.journal_max_bytes:
        return fail("journal", f"{detail}: it is full, requests are refused")
    late = age_s >= settings.degraded_after_seconds
    return Finding(Level.WARN if late else Level.OK, "journal", detail)


def _accounts(found: Accounts) -> Finding:
    if wrong := found.imbalances():
        listed = ", ".join(f"{site} by {events}" for site, events in wrong.items())
        return fail(
            "accounts",
            f"accepted events and rows differ, site {listed}: keep the journal and "
            "report it, with what `headwater-ingest journal status` says",
        )
    received = sum(map(found.received, found.sites))
    return ok("accounts", f"closed: all {received} events, sites: {len(found.sites)}")


def _describe_window(found: JournalPeek) -> str:
    if found.window_from_ms is None:
        return "no ids are remembered yet"
    hours = _seconds_since(found.window_from_ms) / 3600
    return f"{found.window_events} event ids of the last {hours:.1f} h are remembered"


def _clickhouse(settings: Settings) -> Iterator[Finding]:
    try:
        url = _url(settings)
        if url is None:
            check_installed()
            yield warn("clickhouse", "the embedded server does not run: `serve` does")
            return
        with open_session(url) as client:
            [(version,)] = client.execute("SELECT version()")
            yield ok("clickhouse", f"{version} answers at {_where(settings, url)}")
            yield _schema(client, url)
            yield _deduplication(client)
    except HeadwaterError as error:
        yield fail("clickhouse", str(error))


def _url(settings: Settings) -> ClickHouseUrl | None:
    if settings.is_embedded:
        return find_running(settings.clickhouse_dir)
    return ClickHouseUrl.parse(settings.clickhouse_url)


def _where(settings: Settings, url: ClickHouseUrl) -> str:
    if not settings.is_embedded:
        return url.address
    http_port = find_http_port(settings.clickhouse_dir)
    return (
        f"{url.address}, for HTTP at http://{url.host}:{http_port}/?database="
        f"{url.database}"
    )


def _schema(client: Client, url: ClickHouseUrl) -> Finding:
    try:
        state = schema_state(client, url.database)
    except HeadwaterError as error:
        return fail("schema", str(error))
    if state.pending:
        todo = ", ".join(state.pending)
        return warn("schema", f"{todo} is to be applied: `headwater-ingest migrate`")
    return ok("schema", f"{state.applied[-1]} in database {url.database}")


def _deduplication(client: Client) -> Finding:
    tables = [name for (name,) in client.execute(_TABLES_WITHOUT_WINDOW)]
    if tables:
        return fail(
            "deduplication",
            f"{', '.join(tables)} would count a repeated block twice: set "
            "non_replicated_deduplication_window = 10000 on it",
        )
    return ok("deduplication", "every table knows a repeated block")


def _sites(settings: Settings) -> Iterator[Finding]:
    path = settings.sites_path
    if settings.sites_file is None and not path.exists():
        yield _known_sites(settings)
        return
    try:
        sites = read_sites(path)
    except HeadwaterError as error:
        yield from (fail("sites", line) for line in str(error).splitlines())
        return
    yield ok("sites", f"{_list_domains(sites)} in {path}")
    in_file = {site.id for site in sites}
    known = KnownSites.read(settings.data_dir).records
    if others := [each for each in known if each.id not in in_file]:
        yield ok("sites", f"{_list_domains(others)} in the table of sites besides")


def _known_sites(settings: Settings) -> Finding:
    known = KnownSites.read(settings.data_dir).records
    if loss := describe_loss(settings.sites_path, known):
        return warn("sites", loss)
    if known:
        return ok("sites", f"{_list_domains(known)} in the table of sites")
    return warn(
        "sites",
        f"{settings.sites_path} is not there yet: `serve` writes a first one, if there "
        "are no sites in ClickHouse either",
    )


def _list_domains(sites: Sequence[SiteRecord]) -> str:
    domains = ", ".join(site.domain for site in sites[:5])
    return domains + (f" and {len(sites) - 5} more" if len(sites) > 5 else "")


def _data_files(settings: Settings) -> Iterator[Finding]:
    problems = DataFiles(settings).problems
    good = len(settings.data_files) - len(problems)
    yield ok("data files", f"{good} of yours, beside those that come with Headwater")
    for problem in problems:
        yield warn("data files", f"{problem}; it is done without")


def _redis(settings: Settings) -> Iterator[Finding]:
    if settings.redis_url is None:
        return
    try:
        ping(settings.redis_url)
    except HeadwaterError as error:
        yield fail("redis", str(error))
        return
    yield ok("redis", f"answers at {redact(settings.redis_url)}")


def _service(settings: Settings) -> Iterator[Finding]:
    running = ServiceFile.read(settings.data_dir)
    if running is None:
        yield warn("service", "does not run on this data directory")
        return
    try:
        status, reasons = _ask_readyz(running)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        yield _silent(running, error)
        return
    detail = f"{running.url} ({running.processes}) is {status}"
    if reasons:
        detail += f": {', '.join(reasons)}"
    level = {"ready": Level.OK, "degraded": Level.WARN}.get(status, Level.FAIL)
    yield Finding(level, "service", detail)


def _silent(running: ServiceFile, error: Exception) -> Finding:
    detail = f"{running.url} (process {running.pid}) does not answer: {error}"
    try:
        os.kill(running.pid, 0)
    except ProcessLookupError:
        return warn("service", f"process {running.pid} has ended without a stop")
    except PermissionError:
        pass  # it lives, and is another user's
    return fail("service", detail)


class _Readyz(msgspec.Struct):
    """What `/readyz` says."""

    status: str
    blocked: list[str]
    degraded: list[str]


def _ask_readyz(running: ServiceFile) -> tuple[str, list[str]]:
    connection = http.client.HTTPConnection(*running.address, timeout=_TIMEOUT_S)
    with closing(connection):
        connection.request("GET", "/readyz")
        answer = msgspec.json.decode(connection.getresponse().read(), type=_Readyz)
    return answer.status, [*answer.blocked, *answer.degraded]


def _seconds_since(at_ms: int) -> float:
    return max(0.0, time.time() - at_ms / 1000)


_CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _data_directory,
    _journal,
    _clickhouse,
    _sites,
    look_at_keeping,
    _data_files,
    _redis,
    _service,
)
