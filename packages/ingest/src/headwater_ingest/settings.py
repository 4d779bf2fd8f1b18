"""The settings of the service: one frozen object, read once, at start.

Each field says what it means and which values it takes; the reference page and every
message about a wrong value are made from that.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from headwater_ingest.setting_types import (
    Networks,
    Secret,
    seconds,
    setting,
    share,
    whole,
)

EMBEDDED = "embedded"
MAX_WORKERS = 64


# Loopback, RFC 1918, RFC 4193 and link-local: nobody outside comes from there.
_LOCAL = Networks(
    (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        "169.254.0.0/16",
        "fe80::/10",
    )
)


# No query: its options would outvote ours, and it may hold a password.
_REDIS_URL = r"^(rediss?://[^\s/?#]+(/\d+)?|unix://[^\s?#]+)$"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an operator can choose."""

    listen_host: Annotated[
        str,
        Meta(pattern=r"^[^/\s]+$"),
        setting(
            "Address to listen on. `0.0.0.0` takes requests from other machines.",
            expected="a host name or an address",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        whole(
            "Port to listen on. `0` takes a free one; the log and `service.json` in "
            "the data directory say which.",
            ge=0,
            le=65_535,
        ),
    ] = 8080
    workers: Annotated[
        int,
        whole(
            "Processes that take events. 1 is the service itself; with more, each is a "
            "process of its own, and the service keeps the journal for all of them.",
            ge=1,
            le=MAX_WORKERS,
        ),
    ] = 1
    data_dir: Annotated[
        Path,
        setting(
            "Directory of the journal, the sites file and the embedded ClickHouse.",
            expected="a path",
        ),
    ] = Path("data")
    clickhouse_url: Annotated[
        str,
        Meta(pattern=r"^(embedded|clickhouses?://.+)$"),
        setting(
            "Where rows go: `embedded` runs a ClickHouse inside the service, a URL "
            "names yours (`clickhouses://` for TLS).",
            expected="`embedded` or `clickhouse://user:password@host:9000/database`",
        ),
    ] = EMBEDDED
    clickhouse_cluster: Annotated[
        str | None,
        setting(
            "Name of the ClickHouse cluster to spread the tables over. Not set: the "
            "tables are made for a single server.",
            expected="a name from the server's `remote_servers`",
        ),
    ] = None
    clickhouse_memory_bytes: Annotated[
        int,
        whole("Most memory that the embedded ClickHouse may use.", ge=256 * 1024**2),
    ] = 2 * 1024**3
    sites_file: Annotated[
        Path | None,
        setting(
            "TOML file of sites and their write keys, which is the truth about them. "
            "Not set: `sites.toml` in the data directory, if it is there; the first "
            "start writes it if there are no sites at all.",
            expected="a path",
        ),
    ] = None
    admin_token: Annotated[
        Secret | None,
        setting(
            "Token for the admin API (`Authorization: Bearer`). Not set: there is no "
            "admin API.",
            expected="16 characters or more",
        ),
    ] = None
    trusted_proxies: Annotated[
        Networks,
        setting(
            "Peers whose headers (`X-Forwarded-For` and its like) are believed when "
            "they name the client of a web event.",
            expected="addresses and networks, separated by commas, or `none`",
        ),
    ] = _LOCAL
    geoip_city_file: Annotated[
        Path | None,
        setting(
            "Database of places (`.mmdb`) in MaxMind's schema or in the flat one with "
            "`country_code`. Not set: countries by the registries' records, no cities.",
            expected="a path",
        ),
    ] = None
    geoip_asn_file: Annotated[
        Path | None,
        setting(
            "Database of autonomous systems (`.mmdb`), by which events from data "
            "centres are dropped. Not set: none are, unless a proxy says so.",
            expected="a path",
        ),
    ] = None
    spam_file: Annotated[
        Path | None,
        setting(
            "Hosts of referrers that are spam, one a line, besides those that we know.",
            expected="a path",
        ),
    ] = None
    traffic_sources_file: Annotated[
        Path | None,
        setting(
            "TOML file of traffic sources, besides those that we know and before them.",
            expected="a path",
        ),
    ] = None
    rates_file: Annotated[
        Path | None,
        setting(
            "Exchange rates, JSON in the form of Open Exchange Rates. Not set: those "
            "of the extra `currency`, if it is installed.",
            expected="a path",
        ),
    ] = None
    redis_url: Annotated[
        Annotated[str, Meta(pattern=_REDIS_URL)] | None,
        setting(
            "Redis that the sessions of web visitors are kept in, so that several "
            "nodes share them (`rediss://` for TLS). Not set: each node has its own, "
            "in memory.",
            expected="`redis://user:password@host:6379/0` or `unix:///path/to/socket`",
        ),
    ] = None
    max_sessions: Annotated[
        int,
        whole(
            "Most open sessions of web visitors in memory. With more, those that were "
            "idle longest are forgotten, and their visitors begin new ones.",
            ge=1000,
        ),
    ] = 1_000_000
    journal_max_bytes: Annotated[
        int,
        whole(
            "Room for rows that wait for ClickHouse. When it is used up, requests get "
            "503 and the clients keep their events.",
            ge=1024**2,
        ),
    ] = 2 * 1024**3
    window_events: Annotated[
        int,
        whole(
            "Most event ids that are remembered for 24 hours, so that a repeat is a "
            "duplicate. Each takes about 25 bytes of memory and 20 on disk.",
            ge=1000,
            le=20_000_000,
        ),
    ] = 20_000_000
    block_rows: Annotated[
        int, whole("Most rows in one INSERT.", ge=1, le=1_000_000)
    ] = 20_000
    block_seconds: Annotated[
        float, seconds("Longest time that a row waits for its block to fill.", ge=0.01)
    ] = 1.0
    dead_letter_run: Annotated[
        int,
        whole(
            "Most rows that ClickHouse may refuse one after the other before the "
            "writer stops, since it is not the rows then that are at fault.",
            ge=1,
        ),
    ] = 100
    dead_letter_share: Annotated[
        float,
        share(
            "Most rows of a block that may be refused, as a part of it; "
            "`dead_letter_run` may be whatever the block."
        ),
    ] = 0.05
    archive_days: Annotated[
        int,
        whole(
            "Days for which every accepted row is kept in the archive, compressed "
            "files in the data directory; 0 is no archive.",
            ge=0,
            le=36_500,
        ),
    ] = 0
    archive_max_bytes: Annotated[
        int,
        whole(
            "Room for the archive. When it is used up, the oldest files are deleted.",
            ge=1024**2,
        ),
    ] = 10 * 1024**3
    degraded_after_seconds: Annotated[
        float,
        seconds(
            "Age of the oldest row not yet in ClickHouse from which on `/readyz` says "
            "`backlog_old`.",
            ge=1,
            le=86_400,
        ),
    ] = 60.0
    not_ready_seconds: Annotated[
        float,
        seconds(
            "At a stop: time between saying not ready and refusing requests, for a "
            "load balancer to notice."
        ),
    ] = 1.0
    drain_seconds: Annotated[
        float,
        seconds(
            "At a stop: longest time spent on writing the journal to ClickHouse. What "
            "is left is written after the next start."
        ),
    ] = 5.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        setting(
            "Least important log line that is printed.",
            expected="one of `debug`, `info`, `warning`, `error`",
        ),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"],
        setting(
            "Form of the log lines. `auto` is `console` on a terminal, else `json`.",
            expected="one of `auto`, `json`, `console`",
        ),
    ] = "auto"

    @property
    def sites_path(self) -> Path:
        """The sites file, whether it was named or not."""
        return self.sites_file or self.data_dir / "sites.toml"

    @property
    def data_files(self) -> tuple[Path, ...]:
        """The files for enrichment that the operator names."""
        files = (
            self.geoip_city_file,
            self.geoip_asn_file,
            self.spam_file,
            self.traffic_sources_file,
            self.rates_file,
        )
        return tuple(each for each in files if each is not None)

    @property
    def clickhouse_dir(self) -> Path:
        """Where the embedded ClickHouse lives."""
        return self.data_dir / "clickhouse"

    @property
    def archive_dir(self) -> Path:
        """Where the archive is, if there is one."""
        return self.data_dir / "archive"

    @property
    def is_embedded(self) -> bool:
        """Whether the service runs its own ClickHouse."""
        return self.clickhouse_url == EMBEDDED
