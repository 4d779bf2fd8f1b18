"""What only the store in memory promises: its room, and the file between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from headwater_ingest.visitors.memory_store import MemorySessionStore
from headwater_ingest.visitors.sessions import MAX_GAP_S, Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packages.ingest.tests.visitors.conftest import Visitors

    OpenVisitors = Callable[..., Visitors]

FACTS: dict[str, str | int] = {"referrer_source": "Google", "city_geoname_id": 12}


def memory(visitors: Visitors) -> MemorySessionStore:
    assert isinstance(visitors.store, MemorySessionStore)
    return visitors.store


def session_of(visitors: Visitors, user_id: int) -> int:
    session = visitors.visit(user_id, facts=FACTS)
    assert isinstance(session, Session)
    return session.id


def test_sessions_that_nobody_used_are_forgotten(open_visitors: OpenVisitors) -> None:
    visitors = open_visitors()
    for user_id in range(1, 100):
        visitors.visit(user_id)
    assert len(memory(visitors)) == 99

    visitors.visit(1, after_s=MAX_GAP_S)
    visitors.visit(1, after_s=MAX_GAP_S)

    assert len(memory(visitors)) == 1
    assert memory(visitors).evicted == 0


def test_after_a_long_rest_all_sessions_are_forgotten(
    open_visitors: OpenVisitors,
) -> None:
    visitors = open_visitors()
    for user_id in range(1, 100):
        visitors.visit(user_id)

    visitors.visit(1, after_s=2 * MAX_GAP_S)

    assert len(memory(visitors)) == 1


def test_no_more_sessions_are_kept_than_there_is_room_for(
    open_visitors: OpenVisitors,
) -> None:
    visitors = open_visitors(max_sessions=100)
    first = session_of(visitors, 1)

    for user_id in range(2, 1000):
        visitors.visit(user_id)
        assert len(memory(visitors)) <= 100
        assert session_of(visitors, 1) == first

    assert memory(visitors).evicted > 800


def test_sources_of_many_characters_take_up_room_too(
    open_visitors: OpenVisitors,
) -> None:
    visitors = open_visitors(max_sessions=100)

    for user_id in range(1000):
        visitors.visit(user_id, facts={"referrer": f"{user_id:04}" * 500})

    assert len(memory(visitors)) <= 15


def test_sessions_of_the_same_source_share_it(open_visitors: OpenVisitors) -> None:
    visitors = open_visitors()
    sessions = [
        visitors.visit(each, facts={"city_geoname_id": each // 50})
        for each in range(99)
    ]

    assert len({id(each.facts) for each in sessions if isinstance(each, Session)}) == 2


def test_sessions_go_on_after_a_restart(
    open_visitors: OpenVisitors, tmp_path: Path
) -> None:
    path = tmp_path / "sessions.msgpack"
    before = open_visitors()
    old = session_of(before, 1)
    before.now_s += MAX_GAP_S - 1
    young = session_of(before, 2**64 - 1)
    memory(before).save(path)

    after = open_visitors()
    after.now_s = before.now_s + 1
    memory(after).load(path)

    assert session_of(after, 1) == old
    session = after.visit(2**64 - 1)
    assert isinstance(session, Session)
    assert (session.id, session.facts) == (young, FACTS)


def test_the_file_is_for_its_owner_and_is_used_once(
    open_visitors: OpenVisitors, tmp_path: Path
) -> None:
    path = tmp_path / "sessions.msgpack"
    visitors = open_visitors()
    visitors.visit()

    memory(visitors).save(path)

    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o600
    memory(visitors).load(path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_holds_no_sessions(
    open_visitors: OpenVisitors, tmp_path: Path
) -> None:
    visitors = open_visitors()

    memory(visitors).load(tmp_path / "sessions.msgpack")

    assert len(memory(visitors)) == 0


@pytest.mark.parametrize("content", [b"", b"{}", msgspec.msgpack.encode([1, 2])])
def test_a_file_that_holds_something_else_is_left_alone(
    open_visitors: OpenVisitors, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "sessions.msgpack"
    path.write_bytes(content)

    with pytest.raises(ValueError, match="holds no sessions"):
        memory(open_visitors()).load(path)

    assert path.read_bytes() == content


def test_no_more_is_loaded_than_there_is_room_for(
    open_visitors: OpenVisitors, tmp_path: Path
) -> None:
    path = tmp_path / "sessions.msgpack"
    large = open_visitors(max_sessions=10_000)
    ids = [session_of(large, user_id) for user_id in range(1, 1001)]
    memory(large).save(path)

    small = open_visitors(max_sessions=100)
    memory(small).load(path)

    assert len(memory(small)) == 50
    assert session_of(small, 1000) == ids[-1]
