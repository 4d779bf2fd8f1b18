"""What can be wrong with a body or with a value.

ValueError
├── BodyError               nothing of the body was used
│   ├── MalformedBodyError  it is not what it should be
│   └── TooLargeError       it is over a limit
└── RefusedValueError       the value has no wire form
"""


class BodyError(ValueError):
    """A body cannot be taken; nothing of it was used."""


class MalformedBodyError(BodyError):
    """A body is not what it should be; the message names the field or the place."""


class TooLargeError(BodyError):
    """A body is over a limit; the message says which, and what to do."""


class RefusedValueError(ValueError):
    """A value has no wire form; the message says why."""
