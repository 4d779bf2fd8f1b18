"""Ids: unique and in order when made, always the same when derived."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_schema.ids import (
    derive_batch_id,
    derive_event_id,
    new_batch_id,
    new_event_id,
)

FORKING = """
import os
from headwater_schema.ids import new_event_id
new_event_id()
for _ in range(2):
    if not os.fork():
        print(*[new_event_id() for _ in range(100)], flush=True)
        os._exit(0)
    os.wait()
print(*[new_event_id() for _ in range(100)])
"""


def milliseconds(uuid: UUID) -> int:
    return uuid.int >> 80


@pytest.mark.parametrize("make", [new_event_id, new_batch_id])
def test_new_id_is_a_uuid_of_version_7_that_tells_its_time(
    make: Callable[[], str],
) -> None:
    before = time.time_ns() // 1_000_000
    uuid = UUID(make())
    after = time.time_ns() // 1_000_000
    assert uuid.version == 7
    assert uuid.variant == RFC_4122
    # The counter may run ahead of the clock when very many ids are made at once.
    assert before <= milliseconds(uuid) <= after + 1000


def test_new_ids_are_in_order_of_their_making() -> None:
    ids = [new_event_id() for _ in range(20_000)]
    assert all(one < later for one, later in pairwise(ids))


def test_threads_make_different_ids_each_in_order() -> None:
    with ThreadPoolExecutor(4) as pool:
        lists = list(
            pool.map(lambda _: [new_event_id() for _ in range(5_000)], range(4))
        )
    assert all(ids == sorted(ids) for ids in lists)
    assert len({each for ids in lists for each in ids}) == 20_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_processes_make_different_ids() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, check=True, text=True
    )
    ids = run.stdout.split()
    assert len(ids) == 300
    assert len(set(ids)) == 300


@given(st.integers(1, 2**64 - 2), st.binary())
def test_derived_batch_id_depends_on_site_and_body_only(site: int, body: bytes) -> None:
    uuid = derive_batch_id(site, body)
    assert uuid == derive_batch_id(site, body)
    assert uuid != derive_batch_id(site, body + b" ")
    assert uuid != derive_batch_id(site + 1, body)
    assert uuid.version == 8
    assert uuid.variant == RFC_4122


@given(st.uuids(), st.uuids(), st.integers(0, 2**31))
def test_derived_event_id_depends_on_batch_and_index_only(
    batch_id: UUID, other_id: UUID, index: int
) -> None:
    uuid = derive_event_id(batch_id, index)
    assert uuid == derive_event_id(batch_id, index)
    assert (uuid == derive_event_id(other_id, index)) is (batch_id == other_id)
    assert uuid.version == 8
    assert uuid.variant == RFC_4122


@given(st.uuids(), st.integers(0, 2**31), st.integers(0, 2**31))
def test_derived_event_ids_are_in_the_order_of_the_batch(
    batch_id: UUID, one: int, other: int
) -> None:
    ids = derive_event_id(batch_id, one), derive_event_id(batch_id, other)
    assert (ids[0] < ids[1]) is (one < other)


def test_derived_ids_are_those_of_all_versions() -> None:
    # A change here would make duplicates of what clients without ids send again.
    batch_id = derive_batch_id(7, b'{"events":[]}')
    assert str(batch_id) == "c328ea66-59ec-85ee-8c25-6f9886580180"
    assert str(derive_event_id(batch_id, 0)) == "99fd21bd-5a23-8b51-9620-ecc000000000"


def test_sender_and_body_are_not_confused() -> None:
    assert derive_batch_id("ab", b"c") != derive_batch_id("a", b"bc")
