"""Is what serves now good? A table of the edges, and what holds for all samples."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.policies.verification import Sample, Terms, Traffic, Verdict, WithoutTraffic, judge, limits_of

TERMS = Terms()
BEFORE = Traffic(1000, 1, 41.0)
GOOD = Sample("", Traffic(100, 0, 45.0))
SILENT = Sample("", Traffic(19, 0, 45.0))
DOUBTFUL = (Sample("", Traffic(19, 1, 45.0)), Sample("", Traffic(1, 0, 312.0)))
SICK = Sample("503 full", Traffic(100, 0, 45.0))
ERRORS, SLOW = Sample("", Traffic(100, 6, 45.0)), Sample("", Traffic(100, 0, 312.0))
BAD = (SICK, ERRORS, SLOW)
N, P, F = Verdict.OPEN, Verdict.PASS, Verdict.FAIL


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ([], N),
        ([GOOD] * 2, N),
        ([GOOD] * 3, P),
        ([SLOW] * 2, N),
        ([SLOW] * 3, F),
        ([SLOW, GOOD, SLOW, GOOD], N),
        ([SLOW, GOOD, SLOW, GOOD, SLOW], F),
        ([SLOW, GOOD, SLOW, GOOD, GOOD], P),
        ([SICK] * 3, F),
        ([SICK, GOOD, SICK, GOOD, GOOD], P),
        ([ERRORS] * 3, F),
        ([ERRORS, SLOW, SICK, GOOD], P),  # each signal is judged for itself
        ([SLOW, SLOW, SILENT, SILENT, SILENT, SILENT], N),  # a silent sample pushes none out
        ([SLOW, SLOW, SILENT, SILENT, SILENT, SLOW], F),
        ([SILENT] * 2, N),
        ([SILENT] * 3, P),
        ([SILENT, SILENT, DOUBTFUL[0]], N),  # more is waited for, and nobody is blamed yet
        ([SILENT, SILENT, DOUBTFUL[1]], N),
        ([*DOUBTFUL, SILENT], P),
    ],
)
def test_three_of_the_last_five_samples_that_say_something_decide(samples, verdict):
    assert judge(TERMS, BEFORE, samples).verdict == verdict


@pytest.mark.parametrize(
    ("traffic", "is_over_the_limit"),
    [
        (Traffic(100, 5, 45.0), False),
        (Traffic(100, 6, 45.0), True),
        (Traffic(100, 0, 100.0), False),  # more than twice, but below what is noise
        (Traffic(100, 0, 100.1), True),
        (Traffic(20, 2, 45.0), True),
        (Traffic(19, 19, 45.0), False),
        (Traffic(100, 0, None), False),
    ],
)
def test_the_limits(traffic, is_over_the_limit):
    verdict = judge(TERMS, BEFORE, [Sample("", traffic)] * 3).verdict

    assert (verdict == F) is is_over_the_limit


@pytest.mark.parametrize(
    ("before", "limits"),
    [
        (Traffic(1000, 1, 41.0), (5, 100.0)),
        (Traffic(1000, 1, 80.0), (5, 160.0)),
        (Traffic(19, 0, 80.0), (5, None)),
        (Traffic(), (5, None)),
        (Traffic(1000, 200, 80.0), (20.0, 160.0)),  # it failed like that before
    ],
)
def test_what_is_too_much_depends_on_what_was_before(before, limits):
    found = limits_of(TERMS, before)

    assert (found.error_percent, found.p95_ms) == limits


@pytest.mark.parametrize("rule", WithoutTraffic)
def test_without_traffic_the_environment_says_what_becomes_of_it(rule):
    terms = replace(TERMS, without_traffic=rule)

    assert judge(terms, BEFORE, [SILENT] * 9, is_over=True).verdict == rule.value
    assert judge(terms, BEFORE, [SILENT] * 9).verdict == (P if rule == WithoutTraffic.PASS else N)


def test_a_breach_is_looked_into_until_the_time_is_over():
    samples = [SLOW, SILENT, SILENT, SILENT]

    assert judge(TERMS, BEFORE, samples).verdict == N
    assert judge(TERMS, BEFORE, samples, is_over=True).verdict == P


def test_what_does_not_get_healthy_in_time_fails():
    judged = judge(TERMS, BEFORE, [SICK, SICK], is_over=True)

    assert (judged.verdict, judged.sentence) == (F, "Not healthy within 120 seconds: 503 full.")


def test_the_verdict_says_its_figures():
    assert judge(TERMS, BEFORE, [SLOW, GOOD, GOOD, SLOW, SLOW]).sentence == (
        "P95 312 ms against 41 ms before, limit 100 ms, in 3 of 5 samples."
    )
    assert judge(TERMS, BEFORE, [ERRORS] * 3).sentence == (
        "6 of 100 requests failed (6.0 %), limit 5 %, in 3 of 3 samples."
    )
    assert judge(TERMS, BEFORE, [SICK] * 3).sentence == "The health check says: 503 full, in 3 of 3 samples."
    assert judge(TERMS, BEFORE, [GOOD] * 3).sentence == (
        "Good under traffic: 0.0 % of 100 requests failed, p95 45 ms against 41 ms before."
    )


traffic = st.builds(
    lambda requests, share, p95: Traffic(requests, int(requests * share), p95),
    st.integers(0, 200),
    st.floats(0, 1),
    st.none() | st.floats(0, 2000),
)
samples = st.builds(Sample, st.sampled_from(["", "", "503"]), traffic)
many = st.lists(samples, max_size=12)
terms = st.builds(
    lambda count, share, rule: Terms(samples=count, breaches=1 + int(share * (count - 1)), without_traffic=rule),
    st.integers(1, 7),
    st.floats(0, 1),
    st.sampled_from(WithoutTraffic),
)


@given(terms, traffic, many, st.sampled_from(BAD))
def test_one_more_bad_sample_never_turns_a_failure_into_anything_else(terms, before, seen, bad):
    worst = replace(bad, traffic=replace(bad.traffic, errors=100, p95_ms=1e9), fault="503")

    if judge(terms, before, seen).verdict == F:
        assert judge(terms, before, [*seen, worst]).verdict == F


@given(terms, traffic, many.flatmap(lambda seen: st.tuples(st.just(seen), st.permutations(seen))))
def test_the_order_inside_the_window_makes_no_difference(terms, before, both):
    seen, mixed = (rows[: terms.samples] for rows in both)
    if sorted(map(repr, seen)) == sorted(map(repr, mixed)):
        verdicts = {judge(terms, before, rows, is_over=True).verdict for rows in (seen, mixed)}
        assert len(verdicts) == 1


@given(terms, traffic, many)
def test_what_says_nothing_of_traffic_changes_no_verdict_on_it(terms, before, seen):
    good = [replace(sample, fault="") for sample in seen]
    padded = [row for sample in good for row in (sample, SILENT)]

    fails = [judge(terms, before, rows, is_over=True).verdict == F for rows in (good or [GOOD], padded or [GOOD])]

    if terms.without_traffic != WithoutTraffic.FAIL and len(good) >= terms.goods:
        assert fails[0] == fails[1]


@given(terms, traffic, many.filter(bool))
def test_when_the_time_is_over_there_is_a_verdict(terms, before, seen):
    assert judge(terms, before, seen, is_over=True).verdict != N


@given(terms, traffic, st.lists(samples.filter(lambda sample: sample.traffic.requests >= 20), min_size=7, max_size=12))
def test_as_many_telling_samples_as_the_terms_name_always_decide(terms, before, seen):
    assert judge(terms, before, seen).verdict in (P, F)
