"""How far a sum of costs may be from what a few calls say it is."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

#: The share of jobs whose cost is inside the range.
SHARE = 0.90

# Costs of calls are skewed to the right, which takes from a t interval's share: it is computed for 95%, and holds 90%
# for calls whose cost is lognormal with a sigma of up to 0.8.
_QUANTILE = NormalDist().inv_cdf(0.975)
#: Before the first call its cost is thought to spread like that of a lognormal of sigma 0.64, and to have been seen
#: in so many calls: a few that came out alike by chance prove little.
_SPREAD_BEFORE, _CALLS_BEFORE = 0.5, 3
#: Share of a mean by which models, providers and their prices drift from one day to the next.
_DRIFT = 0.02


class Range(NamedTuple):
    """A figure that is not known: its low end, what is expected, its high end."""

    low: float
    mean: float
    high: float


def variance(mean: float, spread: float, seen: float, calls: float, doubt: float = 0.0) -> float:
    """The variance of the sum of `calls` costs around `calls` times the mean of those seen.

    The sum's own spread is √N·s, the mean's standard error times N is N·s/√n; together N·s²·(1 + N/n), the variance
    of a prediction (Hahn and Meeker, Statistical Intervals, 1991, section 4.7).

    Args:
        mean: of a call's cost, as seen.
        spread: standard deviation of a call's cost over its mean, as seen.
        seen: calls that were, n.
        calls: calls to come, N.
        doubt: standard deviation of what concerns all of them alike, over the mean.
    """
    known = (_CALLS_BEFORE * _SPREAD_BEFORE + max(0.0, seen - 1) * spread**2) / (_CALLS_BEFORE + max(0.0, seen - 1))
    own = known * calls * (1 + calls / max(1.0, seen))
    return mean**2 * (own + (doubt**2 + _DRIFT**2) * calls**2)


def interval(mean: float, variance: float, seen: float) -> Range:
    """The range around a sum of that mean and variance, learned from `seen` calls: mean·exp(±t·√ln(1 + v/mean²)).

    A lognormal of that variance, so that it is as skewed as costs are and never below 0, with Student's t for what a
    few calls say of a variance.
    """
    if mean <= 0:
        return Range(0.0, 0.0, 0.0)
    width = student(max(0.0, seen - 1) + _CALLS_BEFORE) * math.sqrt(math.log1p(variance / mean**2))
    return Range(mean * math.exp(-width), mean, mean * math.exp(width))


def student(freedom: float) -> float:
    """The 97.5% quantile of Student's t with so many degrees of freedom, 3 or more, to 2%.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z, f = _QUANTILE, freedom
    return (
        z
        + (z**3 + z) / (4 * f)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * f**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * f**3)
    )
