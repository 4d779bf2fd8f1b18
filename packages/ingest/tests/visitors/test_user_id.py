import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.visitors.user_id import make_user_id

SALT = b"0123456789ABCDEF"


def test_the_hash_is_siphash_2_4() -> None:
    found = make_user_id(
        SALT, user_agent="he", address="l", domain="l", root_domain="o"
    )

    assert found == 4402678656023170274


@pytest.mark.parametrize(
    "address,root_domain,expected",
    [("127.0.0.1", "example.com", 588265774476345246)],
)
def test_an_id_is_the_one_that_plausible_makes(
    address: str, root_domain: str, expected: int
) -> None:
    found = make_user_id(
        SALT,
        user_agent="",
        address=address,
        domain="site.example",
        root_domain=root_domain,
    )

    assert found == expected


@given(salt=st.binary(min_size=16, max_size=16), agent=st.text(), address=st.text())
def test_an_id_is_a_uint64_of_anything(salt: bytes, agent: str, address: str) -> None:
    found = make_user_id(
        salt, user_agent=agent, address=address, domain="d", root_domain="r"
    )

    assert 0 <= found < 2**64
