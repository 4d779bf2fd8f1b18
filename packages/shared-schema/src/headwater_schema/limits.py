"""The limits of the wire format.

The SDK enforces them before it sends, the service while it decodes. Bytes are counted
after decompression. Characters are Unicode code points.
"""

from typing import Final

MAX_EVENT_BYTES: Final = 1024 * 1024
"""Largest encoded event."""

MAX_BATCH_BYTES: Final = 20 * 1024 * 1024
"""Largest encoded batch, envelope included."""

MAX_BATCH_EVENTS: Final = 10_000
"""Most events in one batch."""

MAX_FORGIVEN_BYTES: Final = 2 * 1024 * 1024
"""Most bytes of a batch that may take a second look, because they break the rules of
their format or have too many values. It takes a hundred times as long as the first."""

MAX_NAME_CHARS: Final = 200
"""Longest name of an event or of a group type."""

MAX_DISTINCT_ID_CHARS: Final = 512
"""Longest distinct id or group key; long enough for any e-mail address or UUID."""

MAX_DEPTH: Final = 32
"""Deepest nesting of lists and objects in a property; a deeper one is refused."""

MAX_INTEGER_DIGITS: Final = 4300
"""Longest integer; also what CPython converts to text without being asked twice
(``sys.set_int_max_str_digits``)."""

MAX_CLOCK_SKEW_S: Final = 300
"""Skew between the clocks of client and service that is taken for none."""
