"""The report of an evaluation: complete, escaped, and in need of nothing else."""

import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError, OutputError
from SAMSegmenterLib.evaluation.cases import Case
from SAMSegmenterLib.evaluation.records import Record, mask_path, write_mask
from SAMSegmenterLib.evaluation.report.page import page, write_report
from SAMSegmenterLib.evaluation.report.pictures import MEANINGS, comparison, pictures, worst
from SAMSegmenterLib.evaluation.report.plots import Curve, Dots, line_plot, strip_plot
from SAMSegmenterLib.evaluation.report.statistics import table
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from support.phantoms import ball

SETTINGS = {"model": "pico", "sha256": "0" * 64}
VOID = {"meta", "img"}


def a_record(dice, method="samsegmenter", task="mask", case="a", label=1, **scores):
    scores = {"dice": dice, "over_propagation": 0.02, "seconds": 1.5, "nsd": 0.5, "hd95_mm": 3.0, **scores}
    return Record(case, f"organ {label}", label, "CT", method, task, scores, (dice, dice / 2))


@pytest.fixture
def records():
    """Two methods and two tasks on three objects of two cases."""
    return [
        a_record(dice + 0.02 * label, method, task, case, label)
        for task in ("mask-3", "mask")
        for method, dice in (("samsegmenter", 0.8), ("copy", 0.5))
        for case, label in (("a", 1), ("a", 2), ("b", 3))
    ]


@pytest.fixture
def a_case(tmp_path):
    """A ball as files of an image and of labels."""
    volume, inside = ball(slices=16, side=48)
    write_volume(tmp_path / "a.nrrd", volume)
    write_volume(tmp_path / "a_labels.nrrd", Volume(inside.astype(np.uint8), volume.ijk_to_ras))
    return Case("a", tmp_path / "a.nrrd", tmp_path / "a_labels.nrrd")


def page_of(records, folder, cases, settings):
    return page(records, table(records), folder, cases, settings)


class Page(HTMLParser):
    """Collects what a page holds, and checks that its elements are closed in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.links, self.words = [], [], [], ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_the_report_is_one_page_without_outside_links(records, tmp_path):
    write_report(records, table(records), tmp_path, [], SETTINGS)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    read = Page(html)
    assert not read.links
    assert not re.search(r"https?://|@import|url\(", html)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_report_says_what_was_run_and_what_came_of_it(records, tmp_path):
    words = Page(page_of(records, tmp_path, [], SETTINGS)).words
    for expected in ("Evaluation of pico", "0" * 64, "Masks on 3 slices", "Mask on 1 slice", "copy", "0.840", "0.820", "2.0%"):
        assert expected in words, expected
    assert "100%" in words, "better than copy on all objects"
    assert "What failed" not in words


def test_the_report_says_how_many_interactions_it_took(records, tmp_path):
    assert "Interactions" not in Page(page_of(records, tmp_path, [], SETTINGS)).words
    corrected = a_record(0.95, task="rounds", interactions_to_80=3.0, interactions_to_90=math.nan)
    words = Page(page_of([*records, corrected], tmp_path, [], SETTINGS)).words
    for expected in ("Interactions to Dice .8", "3 (1)", "(0)"):
        assert expected in words, expected


@pytest.mark.parametrize(
    ("task", "note"), [("rounds", "the marked slices count, too"), ("S2-oracle", "COSMOS"), ("box>up", "only these count")]
)
def test_the_report_explains_what_is_not_of_the_main_protocol(records, tmp_path, task, note):
    assert note not in Page(page_of(records, tmp_path, [], SETTINGS)).words
    assert note in Page(page_of([*records, a_record(0.9, task=task)], tmp_path, [], SETTINGS)).words


def test_the_best_method_is_marked_whatever_failed_before_it(tmp_path):
    failed = Record("a", "organ 1", 1, "CT", "broken", "mask", error="no")
    assert "class=best>0.800" in page_of([failed, a_record(0.8)], tmp_path, [], SETTINGS)


def test_every_object_and_score_has_its_dot(records, tmp_path):
    tags = Page(page_of(records, tmp_path, [], SETTINGS)).tags
    assert tags.count("circle") == 2 * len(records)
    assert tags.count("polyline") == 4
    assert tags.count("svg") == 6


def test_names_and_errors_are_escaped(tmp_path):
    evil = '<img src="x" onerror="alert(1)">&'
    records = [
        Record(evil, evil, 1, "", evil, evil, {"dice": 0.5, "over_propagation": 0.0}, (0.5,)),
        Record(evil, evil, 2, "", evil, evil, error=evil),
    ]
    read = Page(page_of(records, tmp_path, [], {"model": evil, evil: evil}))
    assert "img" not in read.tags
    assert not read.links
    assert evil in read.words


def test_dollars_in_names_are_only_dollars(tmp_path):
    assert "$body ${title} $$" in Page(page_of([a_record(0.5, case="$body ${title} $$")], tmp_path, [], SETTINGS)).words


def test_what_failed_is_listed_with_the_reason(records, tmp_path):
    broken = Record("c", "", 0, "", "", "", error="c_labels.nrrd: there is no image for it.")
    failed = Record("a", "organ 2", 2, "CT", "upstream", "mask", error="RuntimeError: out of memory")
    words = Page(page_of([*records, broken, failed], tmp_path, [], SETTINGS)).words
    assert all(text in words for text in ("What failed", broken.error, failed.error))


@pytest.mark.parametrize("some", [[], [Record("c", "", 0, "", "", "", error="unreadable")]], ids=["nothing", "only failures"])
def test_a_report_without_results_is_still_a_page(some, tmp_path):
    assert "How it is measured" in Page(page_of(some, tmp_path, [], {})).words


def test_scores_that_are_missing_leave_gaps(tmp_path):
    record = Record("a", "organ", 1, "", "samsegmenter", "S2", {"dice": 0.5, "seconds": 0.1})
    read = Page(page_of([record], tmp_path, [], SETTINGS))
    assert "nan" not in read.words
    assert read.tags.count("svg") == 1, "of Dice alone"


def test_a_folder_that_is_missing_is_an_error_for_the_user(records, tmp_path):
    with pytest.raises(OutputError, match="could not be written"):
        write_report(records, table(records), tmp_path / "missing", [], SETTINGS)


# ---------------------------------------------------------------- pictures


def test_the_worst_objects_are_chosen_once_each(tmp_path, a_case):
    records = [a_record(0.9), a_record(0.3, task="box"), a_record(0.5, label=2), a_record(0.1, case="elsewhere"), a_record(0.2, label=3)]
    for record in records[:4]:
        write_mask(mask_path(tmp_path, record), np.ones((1, 1, 1), bool))
    assert worst(records, tmp_path, [a_case]) == [records[1], records[2]]
    assert worst(records, tmp_path, [a_case], count=1) == [records[1]]


def test_pictures_are_in_the_page_and_unreadable_masks_left_out(tmp_path, a_case):
    record, damaged = a_record(0.7), a_record(0.2, label=2)
    _, labels, _ = a_case.load()
    write_mask(mask_path(tmp_path, record), np.roll(labels > 0, 3, axis=2))
    write_mask(mask_path(tmp_path, damaged), labels > 0)
    mask_path(tmp_path, damaged).write_bytes(b"damaged")
    assert [shown for shown, _ in pictures([damaged, record], tmp_path, [a_case])] == [record]
    read = Page(page_of([record, damaged], tmp_path, [a_case], SETTINGS))
    assert len(read.links) == 1
    assert read.links[0].startswith("data:image/png;base64,")


def test_a_comparison_shows_right_missed_and_too_much():
    volume, inside = ball(slices=16, side=48)
    picture = np.asarray(comparison(FrameStack(volume), inside, np.roll(inside, 4, axis=2)), float)
    for color in MEANINGS.values():
        assert (np.abs(picture - np.array(color) * 255).max(-1) < 2).sum() > 50
    same = np.asarray(comparison(FrameStack(volume), inside, inside), float)[:-40]  # above the legend
    assert not (np.abs(same - np.array(MEANINGS["missed"]) * 255).max(-1) < 2).any()


def test_masks_of_another_shape_are_refused():
    volume, inside = ball(slices=16, side=48)
    with pytest.raises(InputError, match="shapes"):
        comparison(FrameStack(volume), inside, inside[:3])


# ---------------------------------------------------------------- plots


def places(svg, attribute):
    return [float(value) for value in re.findall(rf'<circle[^>]* {attribute}="([\d.]+)"', svg)]


def test_dots_lie_where_their_values_are_and_stay_on_the_axis():
    dots = Dots("m", 0, [0.0, 0.5, 1.0, 7.0], ["a", "b", "c", "d"], 0.5, (0.4, 0.6))
    x = places(strip_plot([dots], "plot", [(0, "0"), (1, "1")]), "cx")
    assert x[1] == pytest.approx((x[0] + x[2]) / 2, abs=0.1)
    assert x[3] == x[2]
    roots = places(strip_plot([Dots("m", 0, [0, 0.25, 1], "abc")], "plot", [(0, "0"), (1, "1")], math.sqrt), "cx")
    assert roots[1] == pytest.approx((roots[0] + roots[2]) / 2, abs=0.1)


def test_curves_go_down_with_their_values():
    svg = line_plot([Curve("m", 0, [(1, 1.0), (2, 0.5), (3, 0.0)])], "plot", "slices")
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]+)"', svg)[1].split()]
    assert points[0][0] < points[1][0] < points[2][0]
    assert points[1][1] == pytest.approx((points[0][1] + points[2][1]) / 2, abs=0.1)
    assert points[0][1] < points[2][1]
