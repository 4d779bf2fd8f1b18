"""Signals of Celery: what is captured in a task says which, and for whom.

::

    app = Celery("shop")
    connect(exceptions=True)

Call `connect` where the application is made: in the workers it gives events the
context of the task, in those who send tasks it sends the context along.
"""

from contextlib import ExitStack
from typing import Any, Final

from celery import signals

from headwater._client import Client
from headwater._default import default_client

_HEADER: Final = "headwater"
_CARRIED: Final = ("$request_id", "$session_id")
"""Properties of the context that go along with a task."""


class _Connection:
    """What is called by the signals; one for each call of `connect`."""

    def __init__(self, client: Client | None, *, exceptions: bool) -> None:
        self._given = client
        self._exceptions = exceptions
        self._running: dict[str, ExitStack] = {}

    @property
    def client(self) -> Client:
        # Looked up each time: `headwater.init` may come later, or again.
        return self._given or default_client()

    def send(self, headers: dict[str, Any] | None = None, **_: Any) -> None:
        """Sends the context along with a task."""
        if headers is None:
            return
        context = self.client._get_context()  # noqa: SLF001 - of this library
        properties = {
            name: context.properties[name]
            for name in _CARRIED
            if name in context.properties
        }
        who = context.distinct_id
        headers[_HEADER] = {
            "distinct_id": who if who is None else str(who),
            "groups": {kind: str(key) for kind, key in context.groups.items()},
            "properties": properties,
        }

    def begin(self, task_id: str, task: Any, **_: Any) -> None:
        """Enters the context of a task."""
        carried = task.request.get(_HEADER) or {}
        properties = {
            **carried.get("properties", {}),
            "$task": task.name,
            "$task_id": task_id,
        }
        self._running[task_id] = stack = ExitStack()
        stack.enter_context(
            self.client.context(
                distinct_id=carried.get("distinct_id"),
                groups=carried.get("groups"),
                **properties,
            )
        )

    def fail(self, exception: BaseException, **_: Any) -> None:
        """Captures what a task has raised."""
        if self._exceptions:
            self.client.capture_exception(exception, handled=False)

    def end(self, task_id: str, **_: Any) -> None:
        """Leaves the context of a task."""
        stack = self._running.pop(task_id, None)
        if stack is not None:
            stack.close()

    def deliver(self, **_: Any) -> None:
        """Delivers what a process of the pool has captured.

        Celery ends it in a way that runs nothing of what is registered for the exit.
        """
        self.client.flush(self.client._driver.exit_timeout_s)  # noqa: SLF001 - of this library


def connect(client: Client | None = None, *, exceptions: bool = False) -> None:
    """Has the signals of Celery tell the client about tasks. To be called once.

    Events captured in a task get `$task` and `$task_id`, and from the context in which
    it was sent: distinct id, groups, `$request_id` and `$session_id`.

    Args:
        client: The client, or None for the default one.
        exceptions: Capture what tasks raise, once their retries are used up.
    """
    connection = _Connection(client, exceptions=exceptions)
    handlers = {
        signals.before_task_publish: connection.send,
        signals.task_prerun: connection.begin,
        signals.task_failure: connection.fail,
        signals.task_postrun: connection.end,
        signals.worker_process_shutdown: connection.deliver,
    }
    for signal, handler in handlers.items():
        # Nobody but the signal holds the connection.
        signal.connect(handler, weak=False)
