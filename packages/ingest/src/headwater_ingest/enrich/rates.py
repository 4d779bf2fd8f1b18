"""Exchange rates: from a file of the operator's, or of the European Central Bank's.

The file is JSON in the form of Open Exchange Rates, or the inner object alone; the base
does not matter, since only quotients of rates are used:

    {"base": "USD", "rates": {"BRL": 0.7, "EUR": "1.2", "USD": 1}}
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from headwater_ingest.enrich.currency import CURRENCIES, Rates
from headwater_ingest.errors import DataFileError

NO_RATES: Final[Rates] = {}

_ECB_BASE: Final = "EUR"
_STALE: Final = timedelta(days=30)
_LEAST: Final = Decimal("1e-12")
_MOST: Final = Decimal("1e12")


def load_rates(path: Path) -> Rates:
    """Returns the rates in the file at `path`.

    Codes that are no current currencies are passed over.

    Raises:
        DataFileError: If it cannot be read, is no JSON, or a rate is no sound number.
    """
    try:
        content = json.loads(path.read_bytes(), parse_float=Decimal)
    except OSError as error:
        raise DataFileError(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataFileError(path, f"is no JSON: {error}") from error
    rates = _read_rates(path, content)
    if not rates:
        raise DataFileError(path, 'has no rates; write `{"rates": {"EUR": 0.9}}`')
    return rates


def packaged_rates() -> Rates:
    """Returns the rates in the package of the extra `currency`; none without it.

    Currencies that the bank no longer quotes have no rate.
    """
    try:
        from currency_converter import (  # type: ignore[import-untyped]  # noqa: PLC0415
            CurrencyConverter,
        )
    except ImportError:
        return NO_RATES
    quotes = CurrencyConverter(decimal=True)
    newest = max(bounds.last_date for bounds in quotes.bounds.values())
    return {
        code: Decimal(quotes.convert(1, _ECB_BASE, code, date=bounds.last_date))
        for code, bounds in quotes.bounds.items()
        if code in CURRENCIES and newest - bounds.last_date < _STALE
    }


def _read_rates(path: Path, content: Any) -> dict[str, Decimal]:
    given = content.get("rates", content) if isinstance(content, dict) else None
    if not isinstance(given, dict):
        raise DataFileError(path, "is no object of rates by currency code")
    rates = {
        code: _read_rate(path, code, rate)
        for code, rate in given.items()
        if code in CURRENCIES
    }
    base = _base(content)
    return rates if base is None else {base: Decimal(1), **rates}


def _base(content: Mapping[str, Any]) -> str | None:
    base = content.get("base")
    return base if isinstance(base, str) and base in CURRENCIES else None


def _read_rate(path: Path, code: str, value: Any) -> Decimal:
    if isinstance(value, int | str | Decimal) and not isinstance(value, bool):
        with suppress(InvalidOperation):
            rate = Decimal(value)
            if _LEAST <= rate <= _MOST:
                return rate
    raise DataFileError(path, f"the rate of {code} is no positive number: {value}")
