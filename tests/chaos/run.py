"""The chaos matrix: `python -m tests.chaos.run [--seed N] [--short] [--only TEXT]`.

Real processes are killed, and the wires between them harmed, under load. After each
scenario the ids that were sent, acknowledged and stored are compared, the sessions and
the counters with them, and the accounts of the journal must close. It prints a table
and ends with 1 if anything was lost or doubled. A seed repeats the choices, not the
timing.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clickhouse_driver.errors import Error as ClickHouseError
from httpx import HTTPError
from tests.chaos.scenarios import (
    Scenario,
    make_scenarios,
    make_short_scenarios,
)
from tests.chaos.world import Outcome, World


def run_scenario(scenario: Scenario, directory: Path, *, seed: str) -> Outcome:
    """Runs one scenario in a world of its own."""
    world = World(directory, random.Random(seed), scenario.name)
    try:
        scenario.run(world, scenario.rounds)
        if world.clients:
            world.settle()
    except (AssertionError, OSError, EOFError, ClickHouseError, HTTPError) as error:
        logs = "".join(
            f"\n--- {name}\n{log[-2000:]}"
            for name, log in world.processes.logs().items()
        )
        world.outcome.problems.append(f"{error!r}{logs}")
    finally:
        world.close()
    return world.outcome


def main() -> None:
    """Runs the matrix."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--short", action="store_true", help="a few rounds of each")
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    parser.add_argument("--jobs", type=int, default=2, help="scenarios side by side")
    options = parser.parse_args()
    scenarios = make_short_scenarios() if options.short else make_scenarios()
    chosen = [each for each in scenarios if options.only in each.name]
    if not chosen:
        names = ", ".join(each.name for each in scenarios)
        parser.error(f"no scenario has {options.only!r} in its name: {names}")
    say(f"seed {options.seed}")
    started = time.monotonic()
    outcomes = run_all(chosen, seed=options.seed, jobs=options.jobs)
    say(f"{time.monotonic() - started:.0f} s, seed {options.seed}")
    sys.exit(any(is_bad(each) for each in outcomes))


def run_all(scenarios: Sequence[Scenario], *, seed: str, jobs: int) -> list[Outcome]:
    """Runs scenarios and prints the table."""
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))

    def run(number: int) -> Outcome:
        scenario, place = scenarios[number], directory / str(number)
        found = run_scenario(scenario, place, seed=f"{seed}/{scenario.name}")
        shutil.rmtree(place, ignore_errors=True)
        return found

    say("| scenario | kills | faults | sent | acknowledged | lost | doubled | |")
    say("| --- | --- | --- | --- | --- | --- | --- | --- |")
    outcomes = []
    with ThreadPoolExecutor(jobs) as pool:
        for outcome in pool.map(run, range(len(scenarios))):
            say(render(outcome))
            outcomes.append(outcome)
    shutil.rmtree(directory, ignore_errors=True)
    say(render(add_up(outcomes)))
    return outcomes


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def add_up(outcomes: Sequence[Outcome]) -> Outcome:
    """Returns the sums of the table."""
    total = Outcome("**all**")
    for each in outcomes:
        for name in ("kills", "faults", "sent", "acknowledged", "lost", "doubled"):
            setattr(total, name, getattr(total, name) + getattr(each, name))
        total.problems += each.problems
    return total


def is_bad(outcome: Outcome) -> bool:
    """Whether a promise was broken."""
    return bool(outcome.lost or outcome.doubled or outcome.problems)


def render(outcome: Outcome) -> str:
    """Returns a row of the table, and below it what is wrong."""
    cells = (
        outcome.scenario,
        outcome.kills,
        outcome.faults,
        outcome.sent,
        outcome.acknowledged,
        outcome.lost,
        outcome.doubled,
        "**wrong**" if is_bad(outcome) else "ok",
    )
    row = f"| {' | '.join(map(str, cells))} |"
    if outcome.scenario.startswith("**"):
        return row
    return "\n".join([row, *outcome.problems])


if __name__ == "__main__":
    main()
