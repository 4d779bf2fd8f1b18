import json
from decimal import Decimal

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.currency import (
    CURRENCIES,
    NO_REVENUE,
    Money,
    Revenue,
    make_revenue,
    read_money,
)

RATES = {"USD": Decimal(1), "BRL": Decimal("0.7"), "EUR": Decimal("1.2")}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def test_currencies_are_those_of_the_standard() -> None:
    standard = {each.code: each.exponent for each in iso4217.Currency}
    assert standard == CURRENCIES
    assert len(CURRENCIES) == 178


@pytest.mark.parametrize(
    "amount, read",
    [
        (20, "20"),
        (20.1, "20.1"),
        (10.2, "10.2"),
        (0, "0"),
        (-5, "-5"),
        (1e3, "1000"),
        ("20.1", "20.1"),
        (" 20 ", "20"),
        ("+1", "1"),
        ("-0.5", "-0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1E-999", "0"),
        ("999999999999998.9", "999999999999998.9"),
    ],
)
def test_amount_is_a_number_or_the_text_of_one(amount: object, read: str) -> None:
    money = read_money({"amount": amount, "currency": "USD"})
    assert money is not None
    assert money.amount - Decimal(read) < Decimal("1e-900")


@pytest.mark.parametrize(
    "amount",
    [
        None,
        True,
        False,
        [],
        {},
        "",
        "abc",
        "1831d",
        "1,5",
        "1 000",
        "1_000",
        "0x10",
        "\u0661",
        "NaN",
        "Infinity",
        "1e9999",
        "1" * 65,
        1e15,
        10**400,
        float("inf"),
        float("nan"),
        "1000000000000000",
    ],
)
def test_other_amounts_are_no_money(amount: object) -> None:
    assert read_money({"amount": amount, "currency": "USD"}) is None


@pytest.mark.parametrize("currency", ["usd", "EEEE", "ADSIE", "HRK", "", None, 1, []])
def test_currency_that_is_no_current_code_is_no_money(currency: object) -> None:
    assert read_money({"amount": 1, "currency": currency}) is None


@pytest.mark.parametrize(
    "value", [None, 1, True, [], {}, "", "x", "[]", "1", "{", "\ud800"]
)
def test_what_is_no_object_is_no_money(value: object) -> None:
    assert read_money(value) is None


def test_money_may_be_the_json_text_of_an_object() -> None:
    assert read_money('{"amount": 10.2, "currency": "EUR"}') == Money(
        Decimal("10.2"), "EUR"
    )


def test_same_currency_needs_no_rate() -> None:
    assert make_revenue(usd("10.2"), "USD", {}) == Revenue(
        Decimal("10.200"), "USD", Decimal("10.200"), "USD"
    )


@pytest.mark.parametrize(
    "amount, currency, converted",
    [("10.2", "BRL", "7.14"), ("10", "EUR", "12"), ("0.001", "BRL", "0.001")],
)
def test_other_currency_is_converted(
    amount: str, currency: str, converted: str
) -> None:
    revenue = make_revenue(usd(amount), currency, RATES)
    assert not revenue.lacks_rate
    assert revenue == (Decimal(amount), "USD", Decimal(converted), currency)


def test_conversion_goes_by_both_rates() -> None:
    revenue = make_revenue(Money(Decimal(7), "BRL"), "EUR", RATES)
    assert revenue.reporting_amount == Decimal(12)


@pytest.mark.parametrize(
    "amount, rounded",
    [
        ("0.0005", "0.001"),
        ("0.00049", "0"),
        ("1.2345", "1.235"),
        ("-0.0005", "-0.001"),
        ("999999999999998.9994", "999999999999998.999"),
        ("1e-999", "0"),
    ],
)
def test_amount_is_rounded_half_up_to_three_places(amount: str, rounded: str) -> None:
    revenue = make_revenue(usd(amount), "USD", {})
    assert revenue.source_amount == Decimal(rounded)
    assert revenue.source_amount.as_tuple().exponent == -3


@pytest.mark.parametrize("rates", [{}, {"USD": Decimal(1)}, {"BRL": Decimal(1)}])
def test_missing_rate_leaves_the_source_amount(rates: dict[str, Decimal]) -> None:
    revenue = make_revenue(usd("10.2"), "BRL", rates)
    assert revenue.lacks_rate
    assert revenue == (Decimal("10.2"), "USD", None, "BRL")


def test_amount_that_outgrows_the_table_is_not_converted() -> None:
    rates = {"USD": Decimal(1), "VND": Decimal(26000)}
    assert make_revenue(usd("1e14"), "VND", rates).reporting_amount is None


def test_no_revenue_lacks_no_rate() -> None:
    assert not NO_REVENUE.lacks_rate


@given(
    ANYTHING | st.fixed_dictionaries({"amount": ANYTHING, "currency": st.just("USD")})
)
def test_no_value_makes_reading_money_fail(value: object) -> None:
    money = read_money(value)
    if money is not None:
        revenue = make_revenue(money, "EUR", RATES)
        assert revenue.source_amount is not None
        assert abs(revenue.source_amount) < 10**15


@given(st.floats(-1e14, 1e14, allow_subnormal=False) | st.integers(-(10**14), 10**14))
def test_number_and_its_text_are_the_same_money(amount: float) -> None:
    read = read_money({"amount": amount, "currency": "EUR"})
    assert read == read_money({"amount": json.dumps(amount), "currency": "EUR"})
    assert read is not None
