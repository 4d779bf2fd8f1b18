"""Money: the currencies of ISO 4217, amounts as clients send them, revenue in reports.

An amount in another currency than that of the site's goal is converted by the rates of
`rates.py`. Amounts are rounded half up to 3 places, as the table stores them.
"""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final, NamedTuple

import msgspec

_DIGITS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN "
        "BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP "
        "ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR "
        "IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT "
        "MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
        "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC "
        "SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD "
        "XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
    None: "XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX",
}

CURRENCIES: Final[Mapping[str, int | None]] = {
    code: digits for digits, codes in _DIGITS.items() for code in codes.split()
}
"""The current currency codes, each with the digits of its minor unit, if it has one."""

_PLACES: Final = Decimal("0.001")
_LIMIT: Final = Decimal(10) ** 15 - 1
"""What no amount may reach: the table has 18 digits, 3 of them after the point."""

_EXACT: Final = Context(prec=40, rounding=ROUND_HALF_UP)
_MAX_CHARS: Final = 64
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
)

Rates = Mapping[str, Decimal]
"""How many units of each currency one unit of some common currency buys."""


class Money(NamedTuple):
    """An amount of a currency."""

    amount: Decimal
    currency: str


class Revenue(NamedTuple):
    """The revenue of an event: columns of its row; None and empty mean none."""

    source_amount: Decimal | None
    source_currency: str
    reporting_amount: Decimal | None
    reporting_currency: str

    @property
    def lacks_rate(self) -> bool:
        """Whether the amount was not converted: a rate is missing, or far off."""
        return self.reporting_amount is None and bool(self.reporting_currency)


NO_REVENUE: Final = Revenue(None, "", None, "")


def read_money(value: object) -> Money | None:
    """Returns the money that a client sent: an object, or the JSON text of one.

    Its `amount` is a number or the text of one, its `currency` a current code in upper
    case; otherwise it is no money, and None.
    """
    if isinstance(value, str):
        value = _decode(value)
    if not isinstance(value, dict):
        return None
    amount, currency = _read_amount(value.get("amount")), value.get("currency")
    if amount is None or not isinstance(currency, str) or currency not in CURRENCIES:
        return None
    return Money(amount, currency)


def make_revenue(money: Money, reporting_currency: str, rates: Rates) -> Revenue:
    """Returns the revenue of an event whose goal reports in a currency.

    Args:
        money: What was earned.
        reporting_currency: The goal's currency.
        rates: Used when the currencies differ. If one of them has no rate, or the
            amount would be beyond what the table holds, there is no reporting amount.
    """
    source = _round(money.amount)
    if money.currency == reporting_currency:
        return Revenue(source, money.currency, source, reporting_currency)
    converted = _convert(money, reporting_currency, rates)
    return Revenue(source, money.currency, converted, reporting_currency)


def _convert(money: Money, currency: str, rates: Rates) -> Decimal | None:
    of_source, of_target = rates.get(money.currency), rates.get(currency)
    if of_source is None or of_target is None:
        return None
    units = _EXACT.divide(money.amount, of_source)
    converted = _EXACT.multiply(units, of_target)
    return _round(converted) if abs(converted) < _LIMIT else None


def _round(amount: Decimal) -> Decimal:
    return amount.quantize(_PLACES, context=_EXACT)


def _read_amount(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        value = repr(value) if isinstance(value, float) else _int_text(value)
    if not isinstance(value, str) or len(value) > _MAX_CHARS:
        return None
    text = value.strip()
    if not _NUMBER.fullmatch(text):
        return None
    amount = Decimal(text)
    return amount if abs(amount) < _LIMIT else None


def _int_text(value: int) -> str:
    """Spells an integer, unless it is so long that spelling it takes time."""
    return str(value) if abs(value) < _LIMIT else ""


def _decode(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
