"""Over months of an account nothing is lost, closed too early, or out of date."""

from __future__ import annotations

import pytest

from support import history
from support.seeds import command

SEEDS = range(1000, 1005)
"""Not those that `make histories` begins with: it should find what these have not."""


@pytest.mark.parametrize("seed", SEEDS)
def test_history(seed: int) -> None:
    """Whatever goes wrong in a night, the warehouse is right after the next one without trouble."""
    played = history.play(seed)
    assert played.trouble is None, f"{played.trouble}\n{command('history', seed)}"
    assert played.count["runs"] > 60
    assert played.count["kill"] > 0
