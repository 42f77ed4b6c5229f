"""Slice models make keyframes that a propagation model carries on, or segment slice by slice."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from SAMSegmenterLib.errors import InputError, SAMSegmenterError
from SAMSegmenterLib.image.extent import dice
from SAMSegmenterLib.image.stack import FrameStack
from SAMSegmenterLib.image.window import Window
from SAMSegmenterLib.keyframes.slice_models import RECENT, Embeddings, KeyframeMaker, ask, proposed_keyframe, segment_each_slice
from SAMSegmenterLib.models.families import sam2
from SAMSegmenterLib.models.interfaces import Embedding, SliceMasks
from SAMSegmenterLib.prompts.types import Box, Keyframe, Line, MaskPrompt, Point, PromptSet, Scribble, Segment
from SAMSegmenterLib.session.run import label_each_slice, proposed
from SAMSegmenterLib.session.session import Session
from support.phantoms import ball

MIDDLE, SIDE = 16, 64
BOX = Box(21, 21, 43, 43)


@pytest.fixture(scope="module")
def volume_and_truth():
    return ball(2 * MIDDLE, SIDE)


@pytest.fixture
def stack(volume_and_truth):
    return FrameStack(volume_and_truth[0], window=Window(-160, 240))


@pytest.fixture
def truth(volume_and_truth):
    return volume_and_truth[1]


@pytest.fixture
def pico_sees(shipped_model, stack):
    """The shipped network, slice by slice."""
    return Embeddings(sam2.slice_model(shipped_model.network, shipped_model.native_size), stack)


class Noting:
    """A slice model that notes what it is asked, and answers with the left half, or with nothing."""

    size = 64

    def __init__(self, prompts=("point", "box", "mask"), finds=True):
        self.prompts, self.finds = frozenset(prompts), finds
        self.embedded, self.asked = [], []

    def embed(self, pixels):
        self.embedded.append(pixels)
        return Embedding((), pixels.shape)

    def masks(self, embedding, points=None, labels=None, box=None, mask_logits=None):
        self.asked.append({"points": points, "labels": labels, "box": box, "mask_logits": mask_logits})
        logits = np.full((2, *embedding.shape), -1, np.float32)
        logits[1, :, : SIDE // 2] = 1 if self.finds else -1
        return SliceMasks(logits, np.array([0.2, 0.7], np.float32), logits[:, ::4, ::4])

    def mask_logits(self, mask):
        return np.where(mask, 10, -10)

    def propose(self, pixels):
        return np.full(pixels.shape, 1.0 if self.finds else -1.0, np.float32)


def only(keyframe):
    return PromptSet((Segment("ball", (keyframe,)),))


def keyframe_from(keyframe, embeddings):
    return KeyframeMaker(embeddings)(only(keyframe)).segments[0].keyframes[0]


def same_prompt_on_every_slice(keyframe, embeddings, slices=None):
    return [found for _, found in segment_each_slice(only(keyframe), embeddings, slices)]


def test_a_slice_models_mask_becomes_a_painted_keyframe(pico_sees, truth):
    made = keyframe_from(Keyframe(MIDDLE, box=BOX), pico_sees)
    assert made.slice == MIDDLE
    assert made.box == BOX, "what the user marked stays beside the mask"
    assert dice(made.mask.mask, truth[MIDDLE]) > 0.9


def test_keyframes_that_are_not_in_use_are_forgotten(pico_sees):
    maker = KeyframeMaker(pico_sees)
    for n in range(3 * RECENT):
        maker(only(Keyframe(MIDDLE, box=Box(BOX.x0, BOX.y0, BOX.x1, BOX.y1 + n / 10))))
    assert len(maker._known) <= RECENT + 1


def test_a_propagation_model_carries_the_keyframe_on(shipped_model, pico_sees, stack, truth):
    session = Session(stack, shipped_model)
    made = keyframe_from(Keyframe(MIDDLE, box=BOX), pico_sees)
    session.set_keyframe("ball", made)
    for _ in session.propagate():
        pass
    assert np.array_equal(session.slice_mask("ball", MIDDLE).mask, made.mask.mask)
    assert dice(session.segment_volume("ball"), truth) > 0.85


def test_the_same_box_on_every_slice_needs_no_memory(pico_sees, truth):
    found = same_prompt_on_every_slice(Keyframe(0, box=BOX), pico_sees, (MIDDLE - 3, MIDDLE + 3))
    assert [each.slice for each in found] == list(range(MIDDLE - 3, MIDDLE + 4))
    assert all(dice(each.mask, truth[each.slice]) > 0.85 for each in found)
    alone = keyframe_from(Keyframe(MIDDLE + 2, box=BOX), pico_sees)
    assert np.array_equal(found[5].mask, alone.mask.mask), "a slice's answer does not depend on the others"


def test_every_slice_is_the_default(stack):
    found = same_prompt_on_every_slice(Keyframe(3, box=BOX), Embeddings(Noting(), stack))
    assert [each.slice for each in found] == list(range(len(stack)))
    assert found[0].quality == pytest.approx(0.7)
    assert found[0].mask.sum() == SIDE * SIDE // 2


def test_a_slice_is_looked_at_once_for_all_prompts(stack):
    model = Noting()
    embeddings = Embeddings(model, stack)
    for point in (Point(10, 10), Point(20, 20), Point(30, 30)):
        keyframe_from(Keyframe(MIDDLE, points=(point,)), embeddings)
    assert len(model.asked) == 3
    assert len(model.embedded) == 1


def test_slices_used_least_recently_are_forgotten_first(stack, pico_sees):
    room_for_two = Embeddings(pico_sees.model, stack, limit=int(2.5 * pico_sees.of(0).nbytes))
    first, second = room_for_two.of(0), room_for_two.of(1)
    assert room_for_two.of(0) is first
    room_for_two.of(2)
    assert room_for_two.of(0) is first
    assert room_for_two.of(1) is not second


def test_prompts_reach_the_model_as_points_and_a_box(stack):
    model = Noting()
    keyframe_from(Keyframe(MIDDLE, points=(Point(30, 31), Point(5, 6, positive=False)), box=BOX), Embeddings(model, stack))
    (asked,) = model.asked
    assert asked["points"].tolist() == [[30, 31], [5, 6]]
    assert asked["labels"].tolist() == [1, 0]
    assert asked["box"].tolist() == [21, 21, 43, 43]
    assert asked["mask_logits"] is None


def test_prompts_that_a_model_does_not_know_are_left_out_beside_those_it_knows(stack):
    model = Noting(prompts=["box"])
    keyframe_from(Keyframe(MIDDLE, line=Line(20, 32, 44, 32)), Embeddings(model, stack))
    assert model.asked[0]["points"] is None
    assert model.asked[0]["box"].tolist() == [20, 23, 44, 41]


def test_a_correction_is_asked_with_the_mask_that_it_corrects(stack):
    model, prior = Noting(), np.zeros((SIDE, SIDE), bool)
    prior[20:30, 20:30] = True
    keyframe_from(Keyframe(MIDDLE, points=(Point(25, 35),), prior=MaskPrompt(prior)), Embeddings(model, stack))
    assert np.array_equal(model.asked[0]["mask_logits"] > 0, prior)


def test_clicks_can_correct_the_models_own_answer(stack):
    model = Noting()
    embeddings, click = Embeddings(model, stack), Keyframe(MIDDLE, points=(Point(10, 10),))
    answer = ask(click, embeddings)
    ask(replace(click, points=(*click.points, Point(50, 10, positive=False))), embeddings, answer.low[answer.best])
    assert np.array_equal(model.asked[1]["mask_logits"], answer.low[1]), "the mask that it thought best of"


def test_a_painted_keyframe_stays_as_it_is(stack):
    model, mask = Noting(), np.eye(SIDE, dtype=bool)
    keyframe = Keyframe(MIDDLE, mask=MaskPrompt(mask))
    assert keyframe_from(keyframe, Embeddings(model, stack)) is keyframe
    assert not model.embedded


def test_a_proposal_becomes_a_keyframe(stack):
    made = proposed_keyframe(MIDDLE, stack, Noting())
    assert made.slice == MIDDLE
    assert made.mask.mask.all()


def test_every_keyframe_of_a_prompt_set_is_made_once(stack):
    model = Noting()
    make = KeyframeMaker(Embeddings(model, stack))
    prompts = PromptSet((Segment("ball", (Keyframe(3, box=BOX), Keyframe(MIDDLE, box=BOX))),))
    made = make(prompts)
    assert [keyframe.slice for keyframe in made.segments[0].keyframes] == [3, MIDDLE]
    assert all(keyframe.mask is not None for keyframe in made.segments[0].keyframes)
    assert make(prompts) == made
    assert len(model.asked) == 2


CLICK = Keyframe(MIDDLE, points=(Point(10, 10),))
MORE = replace(CLICK, points=(*CLICK.points, Point(50, 10, positive=False)))
PRIOR = MaskPrompt(np.eye(SIDE))


def made_of(*keyframes, stack):
    """What a model is asked when the user has marked these, one after the other."""
    model = Noting()
    make = KeyframeMaker(Embeddings(model, stack))
    for keyframe in keyframes:
        make(PromptSet((Segment("ball", (keyframe,)),)))
    return [asked["mask_logits"] for asked in model.asked]


def test_every_click_corrects_what_was_made_of_those_before(stack):
    first, second, third = made_of(CLICK, MORE, replace(MORE, scribbles=(Scribble(((30, 30), (35, 35))),)), stack=stack)
    assert first is None
    expected = np.where(np.arange(0, SIDE, 4) < SIDE // 2, 1, -1)
    assert np.array_equal(second, np.broadcast_to(expected, second.shape)), "the mask that it thought best of"
    assert np.array_equal(third, second)


def test_a_correction_of_what_was_found_goes_on_from_the_models_answer(stack):
    first, second = made_of(replace(CLICK, prior=PRIOR), replace(MORE, prior=PRIOR), stack=stack)
    assert np.array_equal(first > 0, PRIOR.mask)
    assert second.shape == (SIDE // 4, SIDE // 4)


@pytest.mark.parametrize(
    "changed",
    [
        replace(MORE, points=(Point(11, 10), *MORE.points[1:])),
        replace(MORE, box=Box(5, 5, 60, 60)),
        replace(MORE, slice=MIDDLE + 1),
        replace(CLICK, points=(Point(50, 10),)),
    ],
    ids=["a point moved", "a box added", "another slice", "another point instead"],
)
def test_any_other_change_has_the_model_begin_anew(stack, changed):
    assert made_of(CLICK, changed, stack=stack) == [None, None]


def test_a_click_that_is_taken_back_leads_back_to_what_was_there(stack):
    assert len(made_of(CLICK, MORE, CLICK, MORE, stack=stack)) == 2


def test_clicks_fed_back_bring_the_shipped_network_closer(pico_sees, truth):
    make = KeyframeMaker(pico_sees)
    overlaps = []
    for count in (1, 2, 3):
        points = (Point(32, 32), Point(24, 32), Point(50, 32, positive=False))[:count]
        prompts = PromptSet((Segment("ball", (Keyframe(MIDDLE, points=points),)),))
        overlaps.append(dice(make(prompts).segments[0].keyframes[0].mask.mask, truth[MIDDLE]))
    assert overlaps[-1] > 0.9
    assert overlaps[-1] >= overlaps[0] - 0.02


def test_proposals_on_slices_become_the_keyframes_of_one_segment(volume_and_truth, stack):
    prompts = proposed(volume_and_truth[0], Noting(), [9, 4, 9], "polyp", stack.window)
    (segment,) = prompts.segments
    assert segment.name == "polyp"
    assert [keyframe.slice for keyframe in segment.keyframes] == [4, 9]
    assert all(keyframe.mask.mask.all() for keyframe in segment.keyframes)
    prompts.check(stack)


@pytest.mark.parametrize(
    ("slices", "keyframe", "words"),
    [
        ((0, 9999), Keyframe(4, box=BOX), "no slice 9999"),
        ((20, 10), Keyframe(4, box=BOX), "lies behind the last"),
        ((0, 9), Keyframe(4, mask=PRIOR), "belongs to its own slice"),
    ],
)
def test_what_cannot_be_asked_on_every_slice_is_refused_before_any_is_looked_at(stack, slices, keyframe, words):
    model = Noting()
    prompts = PromptSet((Segment("ball", (Keyframe(2, box=BOX), keyframe)),))
    with pytest.raises(InputError, match=words):
        list(segment_each_slice(prompts, Embeddings(model, stack), slices))
    assert not model.embedded


def test_each_slice_is_asked_what_the_nearest_keyframe_asks(stack):
    model = Noting()
    small = Box(25, 25, 30, 30)
    prompts = PromptSet((Segment("ball", (Keyframe(4, box=BOX), Keyframe(8, box=small))),))
    found = list(segment_each_slice(prompts, Embeddings(model, stack), (4, 9)))
    assert [each.slice for _, each in found] == [4, 5, 6, 7, 8, 9]
    assert [asked["box"][0] for asked in model.asked] == [21, 21, 21, 25, 25, 25]


def test_labels_of_each_slice_stop_where_they_are_cancelled(stack, volume_and_truth):
    prompts = PromptSet((Segment("a", (Keyframe(4, box=BOX),)), Segment("b", (Keyframe(5, box=BOX),))))
    told, stop = [], []

    def progress(done, total):
        told.append((done, total))
        if done == 3:
            stop.append(True)

    labels = label_each_slice(volume_and_truth[0], prompts, Noting(), (4, 9), stack.window, progress, lambda: bool(stop)).array()
    assert told[-1] == (3, 6)
    assert np.flatnonzero(labels.any((1, 2))).tolist() == [4, 5, 6]
    assert labels[4, 0, 0] == 2, "the later segment lies over the earlier one"


def test_what_cannot_be_used_is_refused(stack):
    silent = Embeddings(Noting(finds=False), stack)
    with pytest.raises(InputError, match="finds nothing on slice 16"):
        keyframe_from(Keyframe(MIDDLE, box=BOX), silent)
    with pytest.raises(InputError, match="finds nothing on slice 16"):
        proposed_keyframe(MIDDLE, stack, Noting(finds=False))
    with pytest.raises(InputError, match="no slice 99"):
        same_prompt_on_every_slice(Keyframe(0, box=BOX), silent, (0, 99))
    with pytest.raises(InputError, match="belongs to its own slice"):
        same_prompt_on_every_slice(Keyframe(0, mask=MaskPrompt(np.eye(SIDE))), silent)
    with pytest.raises(InputError, match="no prompts"):
        ask(Keyframe(MIDDLE), silent)


def test_too_little_memory_for_a_slice_is_said_in_words(stack, monkeypatch):
    def fails(pixels):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    model = Noting()
    monkeypatch.setattr(model, "embed", fails)
    with pytest.raises(SAMSegmenterError, match="too little free memory"):
        Embeddings(model, stack).of(3)
