"""Bootstrap by patient, shares of objects, and the main table."""

import math

import numpy as np
import pytest

from SAMSegmenterLib.evaluation.records import Record
from SAMSegmenterLib.evaluation.report.statistics import Interval, bootstrap_mean, share_above, table


def record(case, label, method, dice, task="mask", error="", **scores):
    return Record(case, f"organ {label}", label, "CT", method, task, {} if error else {"dice": dice, **scores}, error=error)


def test_mean_is_over_all_objects_and_repeatable():
    values = {"a": [0.5, 0.7, 0.9], "b": [0.1]}
    one, other = bootstrap_mean(values, seed=1), bootstrap_mean(values, seed=1)
    assert one == other
    assert one.mean == pytest.approx(0.55)
    assert 0.1 <= one.low < one.mean < one.high <= 0.9


def test_interval_knows_that_objects_of_a_patient_are_alike():
    random = np.random.default_rng(0)
    alike = {str(case): list(level + random.normal(0, 0.01, 30)) for case, level in enumerate((0.5, 0.7, 0.9))}
    mixed = list(np.concatenate(list(alike.values())))
    random.shuffle(mixed)
    independent = {str(n): [value] for n, value in enumerate(mixed)}
    width = [interval.high - interval.low for interval in (bootstrap_mean(alike), bootstrap_mean(independent))]
    assert width[0] > 3 * width[1]


def test_interval_has_the_width_that_theory_gives():
    values = {str(n): [value] for n, value in enumerate(np.random.default_rng(0).normal(0, 1, 400))}
    interval = bootstrap_mean(values)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 20, rel=0.1)


def test_missing_values_are_left_out():
    assert bootstrap_mean({"a": [0.5, math.nan], "b": [math.nan]}).mean == 0.5
    assert math.isnan(bootstrap_mean({}).mean)
    assert str(Interval(math.nan, math.nan, math.nan)) == "-"


def test_share_above_compares_object_by_object():
    records = [
        record("a", 1, "ours", 0.9),
        record("a", 1, "copy", 0.8),
        record("a", 1, "grow", 0.95),
        record("a", 2, "ours", 0.6),
        record("a", 2, "copy", 0.5),
        record("b", 1, "ours", 0.7),  # no rival
        record("b", 2, "copy", 0.7),
        record("b", 2, "ours", 0, error="broken"),
        record("b", 3, "ours", 0.5),
        record("b", 3, "copy", 0.5),  # equal is not above
        record("a", 1, "copy", 0.99, task="box"),
    ]
    assert share_above(records, "mask", "ours", ["copy"]) == pytest.approx(2 / 3)
    assert share_above(records, "mask", "ours") == pytest.approx(1 / 3)
    assert math.isnan(share_above(records, "point", "ours"))


def test_table_has_a_row_for_each_task_and_method():
    records = [
        record("a", 1, "ours", 0.8, over_propagation=0.0, nsd=0.9, seconds=1.0),
        record("a", 1, "copy", 0.6),
        record("a", 1, "ours", 0.5, task="box"),
        record("b", 1, "ours", 0.6, over_propagation=0.2, nsd=0.7, seconds=3.0),
        record("b", 2, "ours", 0, error="broken"),
        Record("c", "", 0, "", "", "", error="cannot be read"),
    ]
    rows = table(records)
    assert [(row.task, row.method) for row in rows] == [("mask", "ours"), ("mask", "copy"), ("box", "ours")]
    ours = rows[0]
    assert (ours.objects, ours.failed, ours.above_others) == (2, 1, 1)
    assert ours.by_case == {"a": 0.8, "b": 0.6}
    assert ours.dice.mean == pytest.approx(0.7)
    assert (ours.nsd, ours.over_propagation, ours.seconds) == pytest.approx((0.8, 0.1, 2))
    assert math.isnan(ours.interactions_to_90)
    assert (ours.corrected, ours.interactions(90)) == (False, "")


def test_interactions_are_told_with_the_objects_on_which_they_were_enough():
    took = [record("a", n, "ours", 0.9, interactions_to_80=n, interactions_to_90=math.nan) for n in (1, 2, 4)]
    (row,) = table([*took, record("a", 5, "ours", 0.5, interactions_to_80=math.nan, interactions_to_90=math.nan)])
    assert (row.interactions(80), row.interactions(90)) == ("2 (3)", "(0)")
