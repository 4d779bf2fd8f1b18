"""Runs inside the child process: ClickHouse until it is told to end.

Started as a plain file, so that nothing of the service is imported here. Its standard
input and output are the protocol with the parent: it prints the native and the HTTP
port once both listen; ``stop`` asks it to end; an end of file means that the parent is
gone. It exits with 0 when it was asked to end, with `ENGINE_ENDED` when ClickHouse
ended by itself.

``chdb-core`` is clickhouse-local in a shared library. Local keeps its server threads
only while a query runs, so the last query reads a pipe that stays open until the end.
"""

import importlib.util
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Any

ENGINE_ENDED = 5

# With clients still connected, ClickHouse itself waits 5 s for them.
_STOP_S = 30.0
# Nobody is left who could ask for patience, and what ClickHouse acknowledged is safe
# however it ends. Whoever waits for the directory waits for this.
_ORPHAN_STOP_S = 1.0
# How often to look whether the parent is still there although its pipe is open: a
# process that it forked holds the pipe too.
_PARENT_CHECK_S = 1.0

_STOP = b"stop"
_ENGINE_BYTE = b"e"


def main() -> None:
    """Run ClickHouse in the directory that the command line names."""
    parent = os.getppid()
    os.chdir(sys.argv[1])  # the engine takes config.xml from here
    announce = os.dup(1)
    os.dup2(2, 1)  # the engine prints on standard output what belongs in the log
    gate_out, gate_in = os.pipe()
    wake_out, wake_in = os.pipe()
    _wake_on_signals(wake_in)
    engine = threading.Thread(
        target=_run_engine, args=(announce, gate_out, wake_in), daemon=True
    )
    engine.start()
    patience_s = _wait_for_the_end(parent, wake_out)
    if patience_s is None:
        os._exit(ENGINE_ENDED)
    os.close(gate_in)
    engine.join(patience_s)
    os._exit(0)


def _run_engine(announce: int, gate: int, wake: int) -> None:
    """Run the queries that keep the server up; report if that ends."""
    try:
        data = str(Path("data").resolve())
        result = _load_engine().query(_queries(announce, gate), path=data)
        complaint = result.error_message() if result.has_error() else ""
    except BaseException as error:  # noqa: BLE001 - whatever it was, the log gets it
        complaint = str(error)
    if complaint:
        sys.stderr.write(complaint.partition(", Stack trace")[0].strip() + "\n")
        sys.stderr.flush()
    os.write(wake, _ENGINE_BYTE)


def _queries(announce: int, gate: int) -> str:
    # file(NUMBER) is clickhouse-local's way to name an inherited file descriptor.
    return f"""
        SYSTEM START LISTEN TCP;
        SYSTEM START LISTEN HTTP;
        INSERT INTO FUNCTION file({announce}, TSV, 'tcp UInt16, http UInt16')
            SELECT getServerPort('tcp_port'), getServerPort('http_port');
        SELECT count() FROM file({gate}, LineAsString)
            SETTINGS max_execution_time = 0, max_threads = 1
    """  # noqa: S608 - both are numbers


def _load_engine() -> Any:
    """Load the shared library alone; the package would open an engine of its own."""
    package = importlib.util.find_spec("chdb")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("chdb-core is not installed")
    [folder, *_] = package.submodule_search_locations
    [library, *_] = Path(folder).glob("_chdb*.so")
    spec = importlib.util.spec_from_file_location("_chdb", library)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{library} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _wake_on_signals(wake: int) -> None:
    """Have SIGTERM write to a pipe, since a waiting `select` goes on after signals."""
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _wait_for_the_end(parent: int, wake: int) -> float | None:
    """Wait for a reason to end.

    Returns:
        How long the engine may take over it; None if the engine itself has ended.
    """
    while True:
        ready, _, _ = select.select([0, wake], [], [], _PARENT_CHECK_S)
        if wake in ready:
            return None if _ENGINE_BYTE in os.read(wake, 64) else _STOP_S
        if 0 in ready:
            return _STOP_S if os.read(0, 64).startswith(_STOP) else _ORPHAN_STOP_S
        if os.getppid() != parent:
            return _ORPHAN_STOP_S


if __name__ == "__main__":
    main()
