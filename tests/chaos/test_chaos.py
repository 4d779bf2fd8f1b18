"""The short chaos matrix: a few rounds of each scenario. `make chaos` runs them all."""

import random
from pathlib import Path

import pytest
from tests.chaos.run import is_bad, render, run_scenario
from tests.chaos.scenarios import Scenario, make_short_scenarios


@pytest.mark.parametrize(
    "scenario", make_short_scenarios(), ids=lambda scenario: scenario.name
)
def test_nothing_is_lost_and_nothing_is_doubled(
    scenario: Scenario, tmp_path: Path
) -> None:
    seed = str(random.randrange(10**6))

    outcome = run_scenario(scenario, tmp_path, seed=seed)

    assert not is_bad(outcome), f"seed {seed}\n{render(outcome)}"
    assert outcome.acknowledged
