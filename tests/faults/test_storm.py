"""Under random faults nothing is lost, nothing comes twice, nothing breaks."""

from __future__ import annotations

from collections import Counter

import pytest

from support import storm
from support.seeds import command

SEEDS = range(1000, 1018)
"""Not those that `make storm` begins with: it should find what these have not."""


@pytest.mark.parametrize("seed", SEEDS)
def test_storm(seed: int) -> None:
    """Through faults, locks, kills and moving lists every record arrives, and each once a run."""
    weather = storm.blow(seed)
    assert weather.trouble is None, f"{weather.trouble}\n{command('storm', seed)}"


def test_storms_blow() -> None:
    """A storm brings faults and kills, or it would prove nothing; it says how many."""
    weathers = [storm.blow(seed) for seed in (3, 11, 15)]
    count: Counter[str] = Counter()
    for weather in weathers:
        count.update(weather.count)
    faults = sum(number for name, number in count.items() if name.startswith("fault "))
    assert faults > 10
    assert count["kills"] > 0
    assert count["processes"] > 0
    assert f"{count['kills']} kills" in storm.summary(weathers)
    assert f"{faults} faults" in storm.summary(weathers)
