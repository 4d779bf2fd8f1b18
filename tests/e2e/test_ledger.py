"""The judge of the other tests: it must see what is missing and what is there twice."""

import pytest
from tests.e2e.support.ledger import Ledger


@pytest.mark.parametrize(
    "stored,told",
    [
        (["a", "b"], "1 missing: c"),
        (["a", "b", "c", "c"], "1 too often: c"),
        (["a", "b", "c", "d"], "1 too often: d"),
        (["a", "a", "b"], "1 missing: c; 1 too often: a"),
    ],
)
def test_what_is_stored_must_be_what_was_sent(stored: list[str], told: str) -> None:
    ledger = Ledger(sent=["a", "b", "c"])

    with pytest.raises(AssertionError, match=told):
        ledger.check_all_stored(stored)


def test_what_was_not_acknowledged_may_be_stored_once_or_not() -> None:
    ledger = Ledger(sent=["a", "b"], acknowledged=["a"])

    ledger.check_stored(["a"])
    ledger.check_stored(["b", "a"])
    for stored in (["b"], ["a", "b", "b"], ["a", "a"], ["a", "x"]):
        with pytest.raises(AssertionError, match="stored"):
            ledger.check_stored(stored)


def test_what_is_acknowledged_must_keep_its_order() -> None:
    Ledger(sent=["a", "b"], acknowledged=["a", "b"]).check_acknowledged()
    with pytest.raises(AssertionError, match="another order"):
        Ledger(sent=["a", "b"], acknowledged=["b", "a"]).check_acknowledged()
    with pytest.raises(AssertionError, match="1 missing: b"):
        Ledger(sent=["a", "b"], acknowledged=["a"]).check_acknowledged()
