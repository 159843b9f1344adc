"""Which models each process of a machine takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.lanes import lane

MODELS = ["a", "b", "c", "d"]


@given(st.sets(st.sampled_from(MODELS)), st.integers(1, 8))
def test_every_model_is_taken_by_some_lane(busy: set[str], lanes: int) -> None:
    """Whatever is busy and however many lanes there are, no model is left without one."""
    assert set().union(*(lane(MODELS, busy, k, lanes) for k in range(lanes))) == set(MODELS)


@given(st.sets(st.sampled_from(MODELS), min_size=2), st.integers(4, 8))
def test_busy_models_share_no_lane_where_there_are_enough(busy: set[str], lanes: int) -> None:
    """With a lane for each busy model, a lane takes one of them, so that a model that waits stops no other."""
    assert all(len(lane(MODELS, busy, k, lanes) & busy) == 1 for k in range(lanes))


def test_one_busy_model_has_the_whole_machine() -> None:
    """Where one model has jobs, every process works for it."""
    assert all(lane(MODELS, {"c"}, k, 3) == set(MODELS) for k in range(3))
