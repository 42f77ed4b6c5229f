"""Saved prompts with anything wrong in them: what can be read stays, what is wrong is said, and nothing else happens."""

import copy
import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.prompts.from_marks import mask_mark, prompt_set
from SAMSegmenterLib.prompts.marks import Mark, Marks, dumps, loads, salvaged
from support.json_damage import damage, places

STACK = FrameStack(Volume(np.zeros((6, 20, 24), np.uint8)), window=Window(0, 1))
MARKED = (
    Mark("a", "point", [[4, 5, 2]]),
    Mark("a", "box", [[2, 2, 3], [9, 2, 3], [9, 8, 3], [2, 8, 3]]),
    Mark("b", "scribble", [[2, 2, 3], [9, 2, 4]], positive=False),
    Mark("b", "line", [[2, 2, 3], [9, 2, 3]], item=1),
    mask_mark("b", STACK, 4, np.eye(20, 24)),
)
MARKS = Marks(tuple(replace(mark, plane="k") for mark in MARKED))
WHOLE = json.loads(dumps(MARKS))
HUGE = [10**400, -(10**18), 2**40, 1e308, float("nan"), float("inf")]
ODD = st.one_of(
    st.sampled_from([None, True, -1, 0.5, "", "\0", "\ud800", [], {}, [[]], [None], [[1e300] * 3], *HUGE]),
    st.recursive(st.integers() | st.text(max_size=3), lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each)),
)


def used(text):
    """Read marks and make prompts of them, as an effect does."""
    marks, wrong = salvaged(text)
    with suppress(InputError):
        prompt_set(marks.all, STACK)
    assert salvaged(dumps(marks))[1] == ""
    return marks, wrong


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_one_mark_that_is_damaged_leaves_the_others(data):
    document = copy.deepcopy(WHOLE)
    way = data.draw(st.sampled_from(sorted(places(document["marks"]), key=str)))
    damage(data, document["marks"], way, ODD)
    marks, wrong = used(json.dumps(document))
    kept = {json.dumps(entry) for entry in json.loads(dumps(marks) or '{"marks": []}')["marks"]}
    others = [entry for number, entry in enumerate(WHOLE["marks"]) if number != way[0]]
    assert all(json.dumps(entry) in kept for entry in others)
    assert len(marks.all) >= len(document["marks"]) - 1
    assert bool(wrong) == (len(marks.all) < len(document["marks"]))


@settings(deadline=None)
@given(odd=ODD, field=st.sampled_from(["version", "plane", "marks"]))
def test_whatever_stands_in_place_of_a_field_is_told(odd, field):
    marks, wrong = used(json.dumps({**WHOLE, field: odd}))
    assert wrong or field == "plane" or odd in ([], True)
    assert len(marks.all) in (0, len(MARKS.all))


@settings(deadline=None)
@given(text=st.text() | ODD.map(json.dumps))
def test_whatever_stands_in_place_of_it_all_is_told(text):
    marks, wrong = used(text)
    assert not marks.all
    assert bool(wrong) == bool(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "9" * 5000, '{"version": 1, "marks": ' + "[" * 900])
def test_text_that_is_nested_too_deeply_is_told(text):
    assert salvaged(text)[1]
    with pytest.raises(InputError, match="saved"):
        loads(text)


@pytest.mark.parametrize("plane", ["x", "time:k:" + "9" * 5000, "time:k:-1", [[1]], np.zeros((4, 4)).tolist(), [["1"] * 4] * 4, {}, 7])
def test_a_plane_that_is_none_leaves_the_marks(plane):
    marks, wrong = salvaged(json.dumps({**WHOLE, "plane": plane}))
    assert len(marks.all) == len(MARKS.all)
    assert "unknown plane" in wrong
    assert len(wrong) < 200


def test_a_mask_cannot_ask_for_more_memory_than_it_holds():
    for shape in ([10**6, 10**6], [-1, -8], [0, 0], [1e300, 1], [4.5, 2]):
        document = copy.deepcopy(WHOLE)
        document["marks"][4]["mask"]["shape"] = shape
        assert len(salvaged(json.dumps(document))[0].all) == 4


def test_a_mask_across_the_slices_is_refused_in_words():
    across = Mark("a", "mask", [[0, 0, 1], [0, 0, 1.1], [0, 1, 1.1]], mask=np.ones((4, 4), bool))
    with pytest.raises(InputError, match="drawn across the slices"):
        prompt_set([across], STACK)
