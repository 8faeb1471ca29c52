"""Values drawn by Hypothesis in advance, for asynchronous tests whose examples are independent."""

from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Value = TypeVar("Value")


def sampled(strategy: st.SearchStrategy[Value], *, count: int) -> list[Value]:
    """Draw `count` values, the same ones in each run."""
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
