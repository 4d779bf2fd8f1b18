"""The tests leave no process behind, even when they are ended in the middle."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.support.processes import is_alive
from tests.e2e.support.waiting import wait_for

TESTS = """
import os, sys, time
from pathlib import Path
from tests.e2e.support.processes import Processes
processes = Processes(Path(sys.argv[1]))
command = [sys.executable, "-c", "import time; time.sleep(600)"]
child = processes.start(command, name="child", environment=dict(os.environ))
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_tests_that_are_ended(
    number: signal.Signals, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TESTS, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as tests:
        assert tests.stdout
        child = int(tests.stdout.readline())
        assert is_alive(child)
        tests.send_signal(number)

    wait_for(lambda: not is_alive(child), what="the end of the child")
