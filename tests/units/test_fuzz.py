"""What the fuzzer begins with: see fuzz.py, which needs more than the tests do."""

from __future__ import annotations

from support.parsing import QUESTIONS, check, seeds


def test_honest_answers() -> None:
    """All that the sandbox answers without faults is made into records of their schemas."""
    inputs = seeds()
    assert len(inputs) >= len(QUESTIONS)
    assert all(check(data) for data in inputs)
