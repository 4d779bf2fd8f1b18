"""What happens to events when a process ends or forks: in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from headwater import FlushResult, _lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from packages.sdk.tests.conftest import (
        ClientMaker,
        Complaints,
        MemoryTransport,
        ScriptedAnswer,
        ScriptedServer,
    )

PROLOGUE = """
import atexit, faulthandler, multiprocessing, os, sys, threading, time

END = []

def say_how_long_the_exit_took():
    print(time.monotonic() - END[0] if END else 0.0)

# Handlers run in reverse order: this one after those of the library.
atexit.register(say_how_long_the_exit_took)

from headwater import Client

def client(url, **options):
    # Where a test is about delivery, a busy machine shall not be what it measures.
    given = {"flush_interval": 60.0, "exit_timeout": 30.0, **options}
    return Client("key", url, **given)
"""


# Coverage follows into new processes, where a lock of its own does not survive a fork.
ENVIRONMENT = {name: text for name, text in os.environ.items() if "COV" not in name}


def run(code: str, *arguments: str) -> tuple[int, float]:
    """Runs code in a new process; returns its status and what its exit took."""
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(code), *arguments],
        capture_output=True,
        env=ENVIRONMENT,
        text=True,
        timeout=60,
        check=False,
    )
    sys.stderr.write(done.stderr)
    lines = done.stdout.split()
    return done.returncode, float(lines[-1]) if lines else 0.0


@pytest.mark.parametrize(
    "ending, status",
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise ZeroDivisionError", 1),
        ("del c", 0),
        ("threading.Thread(target=c.capture, args=('d', '5')).start()", 0),
    ],
)
def test_events_are_delivered_however_the_process_ends(
    server: ScriptedServer, ending: str, status: int
) -> None:
    code = """
    c = client(sys.argv[1])
    for number in range(5):
        c.capture("d", str(number))
    """
    assert run(code + ending, server.url)[0] == status
    assert server.received.events[:5] == ["0", "1", "2", "3", "4"]
    assert len(server.received.batches) == 1


def test_backlog_is_delivered_at_exit(server: ScriptedServer) -> None:
    code = """
    c = client(sys.argv[1], max_batch_events=100, exit_timeout=20)
    for number in range(250):
        c.capture("d", str(number))
    """
    assert run(code, server.url)[0] == 0
    assert server.received.events == [str(number) for number in range(250)]


def test_exit_does_not_wait_for_a_server_that_is_away(server: ScriptedServer) -> None:
    server.stop()
    code = """
    c = client(sys.argv[1], exit_timeout=2.0)
    c.capture("d", "e")
    END.append(time.monotonic())
    """
    status, seconds = run(code, server.url)
    assert status == 0
    assert seconds < 3


def test_exit_shares_one_deadline_among_clients_of_a_server_that_hangs(
    server: ScriptedServer, scripted: Callable[..., ScriptedAnswer]
) -> None:
    server.script.extend([scripted(hangs=True)] * 5)
    code = """
    clients = [client(sys.argv[1], exit_timeout=0.5) for _ in range(5)]
    for c in clients:
        c.capture("d", "e")
    END.append(time.monotonic())
    """
    status, seconds = run(code, server.url)
    assert status == 0
    assert 0.4 < seconds < 2


def test_events_captured_by_late_exit_handlers_are_delivered(
    server: ScriptedServer,
) -> None:
    code = """
    c = client(sys.argv[1])
    atexit.register(c.capture, "d", "late")
    """
    run(code, server.url)
    assert server.received.events == ["late"]


def test_late_exit_handlers_of_a_program_with_multiprocessing_are_heard(
    server: ScriptedServer,
) -> None:
    code = """
    c = client(sys.argv[1])
    c.capture("d", "early")
    atexit.register(c.capture, "d", "late")
    import multiprocessing.util
    multiprocessing.util.Finalize(None, c.capture, ("d", "later"), exitpriority=5)
    """
    run(code, server.url)
    assert server.received.events == ["early", "later", "late"]


def test_forked_child_leaves_the_events_of_its_parent_to_it(
    server: ScriptedServer,
) -> None:
    code = """
    c = client(sys.argv[1])
    for number in range(3):
        c.capture("d", f"parent {number}")
    pid = os.fork()
    if pid == 0:
        assert c.queue_length == 0
        c.capture("d", "child")
        assert c.flush(20).delivered == 1
        sys.exit()
    os.waitpid(pid, 0)
    """
    assert run(code, server.url)[0] == 0
    assert server.received.names == [["child"], ["parent 0", "parent 1", "parent 2"]]


def test_forked_child_has_a_thread_and_a_connection_of_its_own(
    server: ScriptedServer,
) -> None:
    code = """
    c = client(sys.argv[1], flush_at=2)
    c.capture("d", "parent")
    c.flush()
    children = []
    for child in range(3):
        pid = os.fork()
        if pid == 0:
            c.capture("d", "child")
            c.capture("d", "child")
            while c.queue_length:
                time.sleep(0.01)
            os._exit(0)
        children.append(pid)
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    c.capture("d", "parent")
    sys.exit(any(statuses))
    """
    assert run(code, server.url)[0] == 0
    assert sorted(server.received.events) == ["child"] * 6 + ["parent"] * 2
    ids = [
        event.event_id for batch in server.received.batches for event in batch.events
    ]
    assert len(set(ids)) == 8


def test_fork_in_the_middle_of_captures_leaves_no_lock_held(
    server: ScriptedServer,
) -> None:
    code = """
    c = client(sys.argv[1], max_queue_size=50, flush_interval=0.01)

    def work():
        while not END:
            c.capture("d", "parent")

    threading.Thread(target=work).start()
    statuses = []
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            faulthandler.dump_traceback_later(15, exit=True)
            c.capture("d", "child")
            os._exit(c.flush(20).delivered != 1)
        statuses.append(os.waitpid(pid, 0)[1])
    END.append(time.monotonic())
    sys.exit(any(statuses))
    """
    assert run(code, server.url)[0] == 0
    assert server.received.events.count("child") == 6


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_deliver_at_their_end(
    server: ScriptedServer, tmp_path: object, method: str
) -> None:
    code = f"""
    import pathlib

    MODULE = '''
    import sys
    from headwater import Client

    def work(client_or_url):
        is_url = isinstance(client_or_url, str)
        c = Client("key", client_or_url, exit_timeout=30.0) if is_url else client_or_url
        c.capture("d", "child")
    '''
    path = pathlib.Path({str(tmp_path)!r})
    (path / "job.py").write_text(__import__("textwrap").dedent(MODULE))
    sys.path.insert(0, str(path))
    import job

    c = client(sys.argv[1])
    c.capture("d", "parent")
    context = multiprocessing.get_context({method!r})
    argument = c if {method!r} == "fork" else sys.argv[1]
    process = context.Process(target=job.work, args=(argument,))
    process.start()
    process.join()
    sys.exit(process.exitcode)
    """
    assert run(code, server.url)[0] == 0
    assert server.received.names == [["child"], ["parent"]]


def test_import_of_the_library_does_not_import_httpx() -> None:
    assert run("sys.exit('httpx' in sys.modules)")[0] == 0


def test_end_of_the_process_shuts_every_client_down(
    make_client: ClientMaker, transport: MemoryTransport, complaints: Complaints
) -> None:
    client = make_client()
    client.capture("d", "e")
    _lifecycle.deliver_at_exit()
    assert transport.received.events == ["e"]
    client.capture("d", "late")
    assert complaints.kinds == ["ClosedError"]


@pytest.mark.parametrize("is_closed", [True, False])
def test_child_of_a_fork_begins_anew_and_closed_clients_stay_closed(
    make_client: ClientMaker, transport: MemoryTransport, *, is_closed: bool
) -> None:
    client = make_client()
    client.capture("", "counted by the parent")
    if is_closed:
        client.shutdown()
    _lifecycle._reset_after_fork()
    assert client.stats().captured == 0
    assert (client.capture("d", "child") is None) == is_closed
    assert client.flush() == FlushResult(int(not is_closed), 0, 0, timed_out=False)


def test_fork_waits_for_the_import_of_httpx(server: ScriptedServer) -> None:
    code = """
    import builtins
    importing = threading.Event()
    original = builtins.__import__

    def slow_import(name, *arguments, **options):
        if name in {"httpx", "httpcore"}:
            importing.set()
            time.sleep(0.1)
        return original(name, *arguments, **options)

    builtins.__import__ = slow_import
    c = client(sys.argv[1], flush_at=1)
    c.capture("d", "parent")
    importing.wait()
    pid = os.fork()
    if pid == 0:
        c.capture("d", "child")
        os._exit(c.flush(20).delivered != 1)
    sys.exit(os.waitpid(pid, 0)[1] != 0)
    """
    assert run(code, server.url)[0] == 0
    assert sorted(server.received.events) == ["child", "parent"]


def test_fork_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lifecycle, "_LONGEST_FORK_WAIT_S", 0.01)
    guard = _lifecycle.ForkGuard()
    with guard:
        guard.before_fork()
        guard.after_fork_in_parent()
    guard.before_fork()
    guard.after_fork_in_parent()
    with guard:
        pass


def test_guard_held_at_the_fork_is_free_in_the_child() -> None:
    guard = _lifecycle.ForkGuard()
    guard.__enter__()
    guard.after_fork_in_child()
    with guard:
        pass


@pytest.mark.parametrize("is_child", [True, False])
def test_child_of_multiprocessing_is_watched_once_and_its_parent_never(
    monkeypatch: pytest.MonkeyPatch, *, is_child: bool
) -> None:
    calls = []

    class Multiprocessing:
        @staticmethod
        def parent_process() -> object:
            return object() if is_child else None

        @staticmethod
        def Finalize(*arguments: object, **_: object) -> None:  # noqa: N802 - its name
            calls.append(arguments)

    for name in ("process", "util"):
        monkeypatch.setitem(sys.modules, f"multiprocessing.{name}", Multiprocessing)
    monkeypatch.setattr(_lifecycle, "_finalised_pid", 0)
    _lifecycle.watch_process_end()
    _lifecycle.watch_process_end()
    assert calls == [(None, _lifecycle.deliver_at_exit)] * is_child
