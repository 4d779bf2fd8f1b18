"""The admin API, on a table of sites in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette

from headwater_ingest.errors import ClickHouseUnreachableError
from headwater_ingest.http.admin import AdminApi
from headwater_ingest.sites.administration import SiteAdministration
from headwater_ingest.sites.record import SiteRecord, WriteKey
from headwater_ingest.sites.sites_toml import parse_sites

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKEN = "an-admin-token-of-the-test"
KEY = "hw_0123456789abcdef"
NOW_MS = 1_795_000_000_000


@dataclass
class MemoryTable:
    """A table of sites, which can be away."""

    records: dict[int, SiteRecord] = field(default_factory=dict)
    is_away: bool = False

    def read(self) -> list[SiteRecord]:
        if self.is_away:
            raise ClickHouseUnreachableError("here:9000", "cannot reach ClickHouse")
        return list(self.records.values())

    def write(self, records: Sequence[SiteRecord]) -> None:
        self.records |= {record.id: record for record in records}


@dataclass
class Admin:
    """The admin API and what it stands on.

    Attributes:
        changes: How many times it said that the sites may have changed.
    """

    table: MemoryTable = field(default_factory=MemoryTable)
    changes: int = 0

    def __post_init__(self) -> None:
        administration = SiteAdministration(self.table, clock_ms=lambda: NOW_MS)
        api = AdminApi(administration, token=TOKEN, on_change=self._count)
        self.app = Starlette(routes=api.routes())

    def ask(
        self,
        method: str,
        path: str = "",
        body: object = None,
        *,
        token: str | None = TOKEN,
        **headers: str,
    ) -> httpx.Response:
        """Sends a body of bytes as it is, and anything else as JSON."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        kind = "content" if isinstance(body, bytes) else "json"
        options: Any = {} if body is None else {kind: body}

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://node", trust_env=False
            ) as client:
                return await client.request(
                    method, f"/admin/sites{path}", headers=headers, **options
                )

        return asyncio.run(run())

    def take(self, method: str, path: str = "", body: object = None) -> Any:
        """Sends what must be taken, and returns the data of the answer."""
        answer = self.ask(method, path, body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["success"] is True
        return answer.json()["data"]

    def _count(self) -> None:
        self.changes += 1


@pytest.fixture
def admin() -> Admin:
    return Admin()


def assert_refused(answer: httpx.Response, status: int, code: str) -> str:
    """Asserts the form of an error, and returns its message."""
    told = answer.json()
    assert (answer.status_code, told["code"]) == (status, code)
    assert told["success"] is False
    assert told["error"] == {"code": code, "message": told["message"]}
    assert told["detail"] == told["message"]
    message: str = told["message"]
    return message


def test_a_site_is_added_with_a_key_that_is_told_once(admin: Admin) -> None:
    added = admin.take("POST", "", {"domain": "A.example", "rate_limit": 600})

    assert (added["domain"], added["rate_limit"]) == ("a.example", 600)
    assert added["write_key"].startswith("hw_")
    assert added["key_digests"] == [f"sha256:{WriteKey.of(added['write_key']).digest}"]
    assert admin.changes == 1
    shown = admin.take("GET", "/a.example")
    del added["write_key"]
    assert shown == added


def test_a_site_may_bring_its_key_or_say_that_it_has_none(admin: Admin) -> None:
    own = admin.take("POST", "", {"domain": "a.example", "write_key": KEY})
    none = admin.take("POST", "", {"domain": "b.example", "write_keys": []})
    sums_up = admin.take("POST", "", {"domain": "c.example", "consolidated": True})

    assert not {"write_key"} & (own.keys() | none.keys() | sums_up.keys())
    assert own["key_digests"] == [f"sha256:{WriteKey.of(KEY).digest}"]
    assert none["key_digests"] == sums_up["key_digests"] == []


def test_sites_are_listed(admin: Admin) -> None:
    assert admin.take("GET") == []
    for domain in ("b.example", "a.example"):
        admin.take("POST", "", {"domain": domain})

    assert [each["domain"] for each in admin.take("GET")] == ["a.example", "b.example"]
    assert admin.changes == 2


def test_fields_are_changed_and_set_back(admin: Admin) -> None:
    admin.take("POST", "", {"domain": "a.example", "rate_limit": 600})

    changes = {"rate_limit": None, "blocked_pages": ["/admin/*"]}
    edited = admin.take("PATCH", "/a.example", changes)

    assert (edited["rate_limit"], edited["blocked_pages"]) == (None, ["/admin/*"])


def test_a_site_is_renamed(admin: Admin) -> None:
    before = admin.take("POST", "", {"domain": "a.example"})

    renamed = admin.take("PATCH", "/a.example", {"domain": "b.example"})

    assert (renamed["domain"], renamed["former_domain"]) == ("b.example", "a.example")
    assert renamed["id"] == before["id"]


def test_a_site_is_removed(admin: Admin) -> None:
    admin.take("POST", "", {"domain": "a.example"})

    assert admin.take("DELETE", "/a.example") == {"removed": "a.example"}

    assert admin.take("GET") == []
    assert admin.changes == 2


@pytest.mark.parametrize(
    "body,hours", [(None, 24), (b"{}", 24), ({"overlap_hours": 0.5}, 0.5)]
)
def test_a_key_is_replaced_with_an_overlap(
    body: object, hours: float, admin: Admin
) -> None:
    before = admin.take("POST", "", {"domain": "a.example"})

    rotated = admin.take("POST", "/a.example/rotate-key", body)

    new, old = admin.table.read()[0].write_keys
    assert new == WriteKey.of(rotated["write_key"])
    assert old.digest == WriteKey.of(before["write_key"]).digest
    assert old.valid_until_ms == NOW_MS + hours * 3_600_000
    assert rotated["key_digests"][1]["valid_until"].endswith("Z")


def test_sites_are_exported_as_a_file_and_applied(admin: Admin) -> None:
    admin.take("POST", "", {"domain": "a.example", "monthly_quota": 7})
    text = admin.ask("GET", "?format=toml").text

    other = Admin()
    done = other.take("PUT", "?file=git", text.encode())

    assert done == {"applied": ["a.example"], "removed": []}
    (applied,) = other.take("GET")
    assert (applied["monthly_quota"], applied["kept_in"]) == (7, "git")
    assert other.take("PUT", "?file=git", text.encode())["applied"] == []


def test_a_file_may_be_applied_as_json(admin: Admin) -> None:
    file = {"site": [{"domain": "a.example", "write_keys": []}]}
    admin.take("PUT", "", file)

    done = admin.take("PUT", "", {"site": [{**file["site"][0], "domain": "b.example"}]})

    assert done == {"applied": ["b.example"], "removed": ["a.example"]}


def test_a_site_of_a_file_is_not_changed_until_it_is_let_go(admin: Admin) -> None:
    admin.take("PUT", "", {"site": [{"domain": "a.example", "write_keys": []}]})

    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-key")):
        answer = admin.ask(method, f"/a.example{path}", {})
        message = assert_refused(answer, 409, "kept_in_file")
        assert message.startswith("a.example is kept in a file applied over HTTP: ")

    assert admin.take("POST", "/a.example/release")["kept_in"] is None
    assert admin.take("PATCH", "/a.example", {"rate_limit": 1})["rate_limit"] == 1


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_nothing_is_done_without_the_token(
    token: str | None, method: str, admin: Admin
) -> None:
    answer = admin.ask(method, "", {"domain": "a.example"}, token=token)

    assert_refused(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert admin.table.records == {}
    assert admin.changes == 0


def test_the_word_bearer_may_be_written_in_any_case(admin: Admin) -> None:
    answer = admin.ask("GET", token=None, Authorization=f"bEARER  {TOKEN}")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "method,path,body,status,code,told",
    [
        ("GET", "/b.example", None, 404, "unknown_site", "there is no site b.ex"),
        ("PATCH", "/b.example", {}, 404, "unknown_site", "there is no site b.ex"),
        ("DELETE", "/b.example", None, 404, "unknown_site", "there is no site b.ex"),
        (
            "POST",
            "",
            {"domain": "a.example"},
            409,
            "site_exists",
            "there is a site a.example already",
        ),
        ("POST", "", {}, 422, "invalid_site", "give `domain` as a host name"),
        (
            "POST",
            "",
            {"domain": "b.example", "blocked_pages": ["x"] * 31},
            422,
            "invalid_site",
            "`blocked_pages`: `x` is no page",
        ),
        (
            "PATCH",
            "/a.example",
            {"id": 1},
            422,
            "invalid_site",
            "`id` cannot change",
        ),
        (
            "POST",
            "/a.example/rotate-key",
            {"overlap_hours": -1},
            422,
            "invalid_site",
            "give `overlap_hours` as a number from 0 to 8784",
        ),
        (
            "POST",
            "/a.example/rotate-key",
            {"overlap_hours": True},
            400,
            "malformed_body",
            "the body may say",
        ),
        ("POST", "", b"{", 400, "malformed_body", "the body is not JSON"),
        ("POST", "", b"[]", 400, "malformed_body", "the body is no JSON object"),
        ("POST", "", b'"\\ud800"', 400, "malformed_body", "the body is not JSON"),
        ("PUT", "", b"[[site", 422, "invalid_site", "the body is not TOML"),
        ("PUT", "", b"\xff", 400, "malformed_body", "the body is not TOML"),
        ("PUT", "", b"", 422, "invalid_site", "the body: has no site"),
        ("PUT", "", {"site": [7]}, 422, "invalid_site", "the body: site 1: is no tab"),
    ],
)
def test_what_is_wrong_is_told(
    method: str, path: str, body: object, status: int, code: str, *, told: str
) -> None:
    admin = Admin()
    admin.take("POST", "", {"domain": "a.example"})
    before = admin.table.read()

    answer = admin.ask(method, path, body)

    assert assert_refused(answer, status, code).startswith(told)
    assert admin.table.read() == before
    assert admin.changes == 1


def test_all_mistakes_are_told_at_once(admin: Admin) -> None:
    answer = admin.ask("POST", "", {"domain": "a b", "colour": 1, "rate_limit": -1})

    assert len(assert_refused(answer, 422, "invalid_site").splitlines()) == 3


def test_a_clickhouse_that_is_away_is_worth_another_try(admin: Admin) -> None:
    admin.table.is_away = True

    answer = admin.ask("GET")

    assert_refused(answer, 503, "clickhouse_away")
    assert answer.headers["retry-after"] == "5"


def test_a_body_that_is_too_large_is_refused(admin: Admin) -> None:
    answer = admin.ask("PUT", "", b" " * (20 * 1024 * 1024 + 1))

    assert_refused(answer, 413, "too_large")


def test_what_is_exported_is_a_sites_file(admin: Admin) -> None:
    admin.take("POST", "", {"domain": "a.example"})

    answer = admin.ask("GET", "?format=toml")

    assert answer.headers["content-type"].startswith("application/toml")
    (record,) = parse_sites(answer.text, name="it")
    assert record.write_keys == admin.table.read()[0].write_keys


def test_a_client_that_hangs_up_changes_nothing(admin: Admin) -> None:
    async def run() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/admin/sites",
            "headers": headers,
            "query_string": b"",
        }
        await admin.app(scope, receive, send)
        return sent

    asyncio.run(run())

    assert admin.table.records == {}
    assert admin.changes == 0
