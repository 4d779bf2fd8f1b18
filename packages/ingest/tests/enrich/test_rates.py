import sys
from decimal import Decimal
from pathlib import Path

import pytest

from headwater_ingest.enrich.currency import CURRENCIES
from headwater_ingest.enrich.rates import NO_RATES, load_rates, packaged_rates
from headwater_ingest.errors import DataFileError


def write(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "rates.json"
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        '{"base": "USD", "rates": {"BRL": 0.7, "EUR": "1.2", "USD": 1}}',
        '{"base": "USD", "rates": {"BRL": 0.7, "EUR": 1.2, "BTC": "x"}}',
        '{"BRL": "0.7", "EUR": 1.2, "USD": 1.0}',
    ],
)
def test_rates_are_read_by_currency(tmp_path: Path, content: str) -> None:
    assert load_rates(write(tmp_path, content)) == {
        "BRL": Decimal("0.7"),
        "EUR": Decimal("1.2"),
        "USD": 1,
    }


@pytest.mark.parametrize(
    "content, problem",
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[]", "is no object of rates"),
        ('{"rates": []}', "is no object of rates"),
        ("{}", "has no rates"),
        ('{"rates": {"eur": 1}}', "has no rates"),
        ('{"EUR": 0}', "the rate of EUR is no positive number: 0"),
        ('{"EUR": -1}', "the rate of EUR"),
        ('{"EUR": NaN}', "the rate of EUR"),
        ('{"EUR": "NaN"}', "the rate of EUR"),
        ('{"EUR": Infinity}', "the rate of EUR"),
        ('{"EUR": 1e400}', "the rate of EUR"),
        ('{"EUR": "x"}', "the rate of EUR"),
        ('{"EUR": true}', "the rate of EUR"),
        ('{"EUR": null}', "the rate of EUR"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_broken_file_is_refused_with_its_fault(
    tmp_path: Path, content: str, problem: str
) -> None:
    with pytest.raises(DataFileError, match=problem):
        load_rates(write(tmp_path, content))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot be read: No such file"):
        load_rates(tmp_path / "rates.json")


def test_extra_has_rates_of_currencies_that_are_still_quoted() -> None:
    rates = packaged_rates()
    assert {"EUR", "USD", "GBP", "JPY", "BRL"} <= rates.keys() <= CURRENCIES.keys()
    assert rates["EUR"] == 1
    assert 50 < rates["JPY"] / rates["USD"] < 500
    assert "RUB" not in rates


def test_without_the_extra_there_are_no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "currency_converter", None)
    assert packaged_rates() == NO_RATES
