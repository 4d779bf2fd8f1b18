from __future__ import annotations

from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater_ingest.pipeline.window_keys import window_keys

SITES = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(SITES, st.lists(st.uuids(), unique=True))
def test_ids_have_different_keys_which_stay_the_same(
    site_id: int, ids: list[UUID]
) -> None:
    keys = window_keys(site_id, ids)

    assert len(set(keys)) == len(ids)
    assert all(len(key) == 16 for key in keys)
    assert window_keys(site_id, ids) == keys


@settings(deadline=None)
@given(st.lists(SITES, min_size=2, unique=True), st.lists(st.uuids(), min_size=1))
def test_an_id_has_another_key_in_each_site(sites: list[int], ids: list[UUID]) -> None:
    keys = [window_keys(site_id, ids[:1])[0] for site_id in sites]

    assert len(set(keys)) == len(sites)


def test_numbered_ids_of_numbered_sites_do_not_meet() -> None:
    ids = [UUID(int=number) for number in range(200)]
    keys = [key for site_id in range(1, 50) for key in window_keys(site_id, ids)]

    assert len(set(keys)) == len(keys)


@settings(deadline=None)
@given(SITES)
def test_keys_sort_by_time_as_the_ids_do(site_id: int) -> None:
    ids = [UUID(int=(n << 80) | (uuid4().int >> 48)) for n in range(5)]

    keys = window_keys(site_id, ids)

    assert sorted(keys) == keys
    assert [key[:8] for key in keys] == [each.bytes[:8] for each in ids]
