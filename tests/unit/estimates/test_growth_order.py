"""The order that sums of units run in: the one of sorting by unit, then by value, in whichever way it was found."""

from __future__ import annotations

import numpy as np
import pytest

from eduq.estimates.growth.coverage import order_within


@pytest.mark.parametrize("last", [0, 1, 40, 65_535, 65_536, 1_000_000])
def test_rows_stand_by_group_then_by_value(last: int) -> None:
    drawn = np.random.default_rng(7)
    group = np.append(drawn.integers(0, last + 1, 2000), last)
    values = np.round(drawn.normal(size=2001), 1)
    found, wanted = order_within(group, values), np.lexsort((values, group))
    assert np.array_equal(group[found], group[wanted])
    assert np.array_equal(values[found], values[wanted])
    assert np.array_equal(np.sort(found), np.arange(2001))


def test_no_rows_have_no_order() -> None:
    assert order_within(np.array([], dtype=np.int64), np.array([])).tolist() == []
