"""Some minutes in the life of an online shop: visitors, journeys, orders.

Everything is made up, and the same seed makes the same shop.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from headwater import Client

_SHOP: Final = "https://driftwood.example"
_PRODUCTS: Final = {
    "espresso-blend": 14.90,
    "filter-roast": 12.50,
    "hand-grinder": 89.00,
    "gift-card": 25.00,
    "travel-mug": 21.00,
}
_REFERRERS: Final = (
    "",
    "https://www.google.com/",
    "https://duckduckgo.com/",
    "https://news.ycombinator.com/",
    "https://mail.example/?utm_source=newsletter",
)
_COMPANIES: Final = ("acme", "globex", "initech", "umbrella")
_PLANS: Final = ("free", "pro", "team")


@dataclass(frozen=True, slots=True)
class Act:
    """Something that somebody did.

    Attributes:
        at: When.
        send: Gives it to a client, and returns its id.
    """

    at: datetime
    send: Callable[[Client], str | None]


def make_traffic(until: datetime, *, minutes: int, visitors: int) -> list[Act]:
    """Returns what happened in the shop, in order of time.

    Args:
        until: Nothing happens later.
        minutes: How long before that it begins.
        visitors: How many come.
    """
    random = Random(7)  # noqa: S311 - for variety, not for secrets
    began = until - timedelta(minutes=minutes)
    acts = [
        act
        for number in range(visitors)
        for act in _Visit(random, number, began + _arrival(random, minutes)).acts()
        if act.at <= until
    ]
    return sorted(acts, key=lambda act: act.at)


def _arrival(random: Random, minutes: int) -> timedelta:
    """Returns when somebody comes: the shop is busier at some times than at others."""
    while True:
        share = random.random()
        if random.random() < 0.6 + 0.4 * math.sin(9 * share):
            return timedelta(minutes=share * minutes)


class _Visit:
    """One visitor on the way through the shop."""

    def __init__(self, random: Random, number: int, arrival: datetime) -> None:
        self._random = random
        self._number = number
        self._person = f"visitor-{number:04}"
        self._now = arrival
        self._context = {
            "$session_id": f"session-{number:04}",
            "$referrer": random.choice(_REFERRERS),
        }

    def acts(self) -> Iterator[Act]:
        yield self._view("/")
        if self._happens(0.2):
            return
        cart = []
        for product in self._random.sample(list(_PRODUCTS), self._random.randint(1, 4)):
            yield self._view(f"/products/{product}")
            if self._happens(0.35):
                cart.append(product)
                yield self._do("added_to_cart", {"product": product})
        if self._happens(0.12):
            yield from self._sign_up()
        if cart and self._happens(0.6):
            yield self._view("/checkout")
            yield self._order(cart)

    def _sign_up(self) -> Iterator[Act]:
        company = self._random.choice(_COMPANIES)
        plan = self._random.choice(_PLANS)
        yield self._view("/sign-up")
        yield self._do("signed_up", {"plan": plan})
        traits = {"plan": plan, "email": f"{self._person}@{company}.example"}
        first = {"first_seen": self._now}
        person = self._person
        yield self._act(lambda c: c.identify(person, traits, set_once=first))
        if plan == "team":
            seats = {"seats": self._random.randint(2, 60)}
            yield self._act(lambda c: c.group_identify("company", company, seats))

    def _order(self, cart: list[str]) -> Act:
        revenue = round(sum(_PRODUCTS[product] for product in cart), 2)
        order = {"order": f"D-{self._number:05}", "products": cart}
        return self._do(
            "order_completed", {**order, "revenue": revenue, "currency": "EUR"}
        )

    def _view(self, path: str) -> Act:
        return self._do("pageview", {"$current_url": _SHOP + path})

    def _do(self, event: str, properties: dict[str, object]) -> Act:
        self._now += timedelta(seconds=self._random.expovariate(1 / 9))
        at, person = self._now, self._person
        every = {**self._context, **properties}
        return self._act(lambda c: c.capture(person, event, every, timestamp=at))

    def _act(self, send: Callable[[Client], str | None]) -> Act:
        return Act(self._now, send)

    def _happens(self, chance: float) -> bool:
        return self._random.random() < chance
