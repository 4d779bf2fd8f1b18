"""What is known of a metric before it has a value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric is called and what it means.

    Attributes:
        name: `headwater_<noun>_<unit>`, with `_total` for a counter.
        kind: How Prometheus reads it.
        meaning: One sentence.
        labels: Each label with the values that it takes.
        buckets: Upper bounds, for a histogram.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: Mapping[str, Iterable[str]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
