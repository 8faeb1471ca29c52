"""Values made up by hypothesis, all at once: for tests whose tries are independent of each other, and asynchronous."""

from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Value = TypeVar("Value")


def sampled(strategy: st.SearchStrategy[Value], *, count: int) -> list[Value]:
    """Make up so many values; the same ones each time."""
    values: list[Value] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Value) -> None:
        values.append(value)

    collect()
    return values
