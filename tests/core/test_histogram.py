import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.histogram import Histogram, counted

EDGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
values = st.lists(st.floats(0, 64), min_size=1, max_size=200)


def test_a_quantile_is_read_inside_its_band():
    histogram = Histogram((10.0, 20.0), (90, 10, 0))

    assert histogram.quantile(0.5) == pytest.approx(50 / 90 * 10)
    assert histogram.quantile(0.95) == 15.0
    assert histogram.quantile(1) == 20.0


@pytest.mark.parametrize(("counts", "p95"), [((0, 0, 0), None), ((0, 0, 5), 20.0), ((0, 5, 0), 19.5), ((5, 0, 0), 9.5)])
def test_the_edges_of_a_quantile(counts, p95):
    assert Histogram((10.0, 20.0), counts).quantile(0.95) == p95


def test_a_difference_is_what_came_after():
    before, after = Histogram((10.0,), (3, 1)), Histogram((10.0,), (5, 1))

    assert after.since(before).counts == (2, 0)
    assert before.since(after) == before, "the counters began anew"
    assert after.since(Histogram((9.0,), (3, 1))) == after, "the bands are others"


def test_counts_must_fit_the_edges():
    with pytest.raises(ValueError, match="1 edges part 2 bands, not 1"):
        Histogram((10.0,), (3,))


@given(values)
def test_a_quantile_is_in_the_band_of_the_true_one(seen):
    true = sorted(seen)[-(-95 * len(seen) // 100) - 1]
    band = next(index for index, edge in enumerate(EDGES) if true <= edge)

    found = counted(seen, EDGES).quantile(0.95)

    assert (EDGES[band - 1] if band else 0) <= found <= EDGES[band]
