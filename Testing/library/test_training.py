"""Training: what the network is shown is right, a step improves what it should, and a run can be resumed."""

import io
import json
import math
import multiprocessing
import os
import random

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from typer.testing import CliRunner

from SAMSegmenterLib.cli import app
from SAMSegmenterLib.errors import CheckpointError, InputError, OutputError, SAMSegmenterError
from SAMSegmenterLib.frames import View
from SAMSegmenterLib.models.loading import load_model
from SAMSegmenterLib.training import prompting
from SAMSegmenterLib.training.appearance import Appearance, blurred
from SAMSegmenterLib.training.chance import SmoothField, rotations
from SAMSegmenterLib.training.curve import draw_curve
from SAMSegmenterLib.training.labelmaps import SIDE, Labelmaps
from SAMSegmenterLib.training.losses import judge, judge_candidates, mask_loss
from SAMSegmenterLib.training.network import Trainee, make_network
from SAMSegmenterLib.training.recipe import LENGTHS, Recipe
from SAMSegmenterLib.training.rollout import Rollout
from SAMSegmenterLib.training.scenes import PRIMITIVES, Scenes, Seen
from SAMSegmenterLib.training.sequences import OVERVIEW, Sequences, _followed, look_through
from SAMSegmenterLib.training.trainer import LOG, STATE, WEIGHTS, Trainer
from SAMSegmenterLib.training.views import Extents, Slices, carried, following, on_slice, whole
from SAMSegmenterLib.training.workers import train

CPU = torch.device("cpu")
SMALL = Recipe(minutes=0.02, size=64, frames=3, objects=2)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    random.seed(0)


def disc(size, x, y, radius):
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (((columns - x) ** 2 + (rows - y) ** 2) <= radius**2).float()


def moving_disc(frames=3, size=64, target=32):
    """A bright disc that moves to the right, as one sequence of one object seen through one view."""
    images = torch.stack([0.2 + 0.6 * disc(size, 24 + 4 * n, 32, 12) for n in range(frames)])[None]
    masks = torch.stack([disc(target, 12 + 2 * n, 16, 6) for n in range(frames)])[None, None]
    views = torch.tensor([0.0, 0.0, 1.0]).expand(1, frames, 3)
    return Sequences(images, masks.expand(1, 3, -1, -1, -1), views, torch.ones(1, 3, dtype=torch.bool))


# ---------------------------------------------------------------- anatomy


def test_rotations_turn_without_stretching():
    turns = rotations((5, 2), CPU)
    torch.testing.assert_close(turns @ turns.transpose(-1, -2), torch.eye(3).expand(5, 2, 3, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(5, 2))


def test_smooth_field_is_one_function_of_space():
    field, places = SmoothField(2, 3, 6, CPU), torch.rand(2, 10, 3)
    together = field.at(places)
    apart = torch.cat([field.at(places[:, n : n + 1]) for n in range(10)], -1)
    torch.testing.assert_close(together, apart)
    assert (field.at(places + 1e-4) - together).abs().max() < 0.01


def test_scene_looks_the_same_at_every_resolution():
    slices = Slices(2, 2, CPU)
    scenes = Scenes(2, slices.focus)
    coarse = scenes.look(slices.positions(whole(slices), 16)).labels.view(2, 2, 16, 16)
    fine = scenes.look(slices.positions(whole(slices), 48)).labels.view(2, 2, 48, 48)
    assert torch.equal(fine[..., 1::3, 1::3], coarse)  # their middles coincide
    assert coarse.min() >= 0
    assert coarse.max() <= PRIMITIVES + 1
    assert coarse.unique().numel() > 3


def test_view_shows_its_part_of_the_slice():
    slices = Slices(1, 1, CPU)
    scenes = Scenes(1, slices.focus)
    complete = scenes.look(slices.positions(whole(slices), 64)).labels.view(64, 64)
    quarter = torch.tensor([[[0.5, -0.5, 0.5]]])
    part = scenes.look(slices.positions(quarter, 32)).labels.view(32, 32)
    assert torch.equal(part, complete[:32, 32:])


def test_label_maps_keep_their_shapes():
    volume = np.zeros((20, 30, 40), np.int16)
    volume[5:15, 5:25, 10:30] = 17
    volume[8:12, 10:20, 15:25] = 400
    maps = Labelmaps([volume], CPU)
    assert maps.cubes.shape == (1, SIDE, SIDE, SIDE)
    assert maps.cubes.unique().tolist() == [0, 1, 2]
    assert (maps.cubes == 2).sum() / (maps.cubes > 0).sum() == pytest.approx(4 * 10 * 10 / (10 * 20 * 20), rel=0.05)
    slices = Slices(2, 3, CPU)
    sequences = look_through(slices, maps.scenes(2), 2, 64, 32, 32)
    assert sequences.images.shape == (2, 3, 64, 64)


def test_many_labels_and_negative_ones_are_told_apart():
    volume = np.arange(-200, 700, dtype=np.int16).reshape(9, 10, 10)
    maps = Labelmaps([volume], CPU)
    assert maps.cubes.unique().tolist() == list(range(900))
    assert maps.labels == 900
    alone = Labelmaps([np.full((4, 4, 4), -1, np.int8)], CPU)
    assert alone.cubes.unique().tolist() == [1]  # 0 would be outside


def test_label_maps_that_number_their_voxels_are_refused():
    with pytest.raises(InputError, match="40000 different labels"):
        Labelmaps([np.arange(40_001).reshape(1, 1, -1)], CPU)


def test_extents_are_those_of_the_object():
    mask = torch.zeros(1, 2, 8, 8)
    mask[0, 0, 2:5, 1:7] = 1
    extents = Extents.of(mask)
    assert extents.boxes[0, 0].tolist() == [-0.75, -0.5, 0.75, 0.25]
    assert extents.present.tolist() == [[True, False]]


def test_views_follow_the_object_and_wait_where_it_is_absent():
    boxes = torch.tensor([[[-0.2, -0.2, 0.2, 0.2], [0.3, 0.3, 0.7, 0.7], [0.3, 0.3, 0.7, 0.7], [0, 0, 0, 0]]]).repeat(200, 1, 1)
    present = torch.tensor([[True, True, True, False]]).repeat(200, 1)
    views = following(Extents(boxes, present))
    after = views[:, 2]  # the object has been seen at its new place
    assert (after[:, :2] - after[:, 2:] < 0.3).all()
    assert (after[:, :2] + after[:, 2:] > 0.7).all()
    still = (views[:, 3] == views[:, 2]).all(1).float().mean()
    assert 0.8 < still < 1


def test_memories_are_carried_as_the_engine_carries_them():
    old, new = View(10, 20, 64, 64, 64), View(18, 12, 48, 48, 64)
    maps = torch.rand(1, 4, 16, 16)
    by_row, by_column = (torch.from_numpy(matrix) for matrix in new.transfer(old, 16))
    expected = by_row @ maps @ by_column.T
    units = [torch.tensor([[view.left + view.width / 2, view.top + view.height / 2, view.width / 2]]) for view in (old, new)]
    inside = slice(4, 12)  # at the border of the old view the two fade out differently
    torch.testing.assert_close(carried(maps, *units)[..., inside, inside], expected[..., inside, inside], rtol=1e-3, atol=1e-3)


def test_blur_keeps_the_mean_and_spreads():
    image = torch.zeros(1, 1, 21, 21)
    image[0, 0, 10, 10] = 1
    soft = blurred(image, torch.tensor([1.0]))
    assert soft.sum() == pytest.approx(1, abs=1e-4)
    assert soft[0, 0, 10, 10] == pytest.approx(1 / (2 * math.pi), rel=0.01)


def test_contrast_is_the_step_at_the_border():
    look = Appearance(1, 3, None, CPU)
    look._grey[0] = torch.tensor([0.0, 0.5, 0.6, 0.0])
    look._rim[0] = torch.tensor([0.0, 0.8, 0.6, 0.0])
    labels = torch.zeros(1, 6, 6, dtype=torch.long)
    labels[0, 2:4, 2:4] = 1
    assert look.contrasts(labels)[0, :3].tolist() == pytest.approx([0.5, 0.8, 0])  # of what is on either side the rim is seen


def test_rims_are_the_outer_layers_of_objects():
    slices = Slices(20, 1, CPU)
    seen = Scenes(20, slices.focus).look(slices.positions(whole(slices), 64))
    labels, rims = seen.labels.view(20, 64, 64), seen.rims.view(20, 64, 64)
    objects = (labels > 0) & (labels <= PRIMITIVES)
    assert not (rims & ~objects).any()
    assert 0.1 < rims.sum() / objects.sum() < 0.8
    surface = (labels[:, 1:] == 0) & (labels[:, :-1] == 1) & rims.any((1, 2))[:, None, None]  # of the body
    assert surface.any()
    assert rims[:, :-1][surface].all()


def test_a_rim_has_a_grey_value_of_its_own():
    look = Appearance(1, 3, None, CPU)
    look._grey[:], look._rim[:], look._texture[:], look._blur[:] = 0.3, 0.9, 0, 0.05
    look._scanned = lambda image: image
    labels, rims = torch.ones(1, 64, dtype=torch.long), torch.arange(64)[None] < 32
    image = look.render(Seen(labels, torch.zeros(1, 4, 64), rims), torch.zeros(1, 64, 3), 1, 8)
    assert (image[0, 0, :3] > 2 * image[0, 0, 5:]).all()


def test_beyond_the_slice_there_is_nothing_to_see():
    slices = Slices(40, 1, CPU)
    sequences = look_through(slices, Scenes(40, slices.focus), 3, 64, 64, 64)
    beyond = on_slice(sequences.views, 64) == 0
    assert beyond.any()
    assert (sequences.images[beyond] == 0).all()
    assert not sequences.masks[beyond[:, None].expand_as(sequences.masks)].any()


def test_all_parts_of_a_label_are_followed_or_the_one_that_was_chosen():
    overview = torch.zeros(2, 1, OVERVIEW, OVERVIEW, dtype=torch.long)
    overview[:, 0, 5:15, 5:15] = overview[:, 0, 40:60, 40:60] = 3
    seeds = torch.tensor([[10 * OVERVIEW + 10]]).expand(2, 1)
    masks = _followed(overview, seeds, torch.tensor([True, False]).view(2, 1, 1, 1, 1))
    assert masks.sum((1, 2, 3, 4)).tolist() == [100 + 400, 100]


def test_sequences_are_what_the_engine_would_see():
    slices = Slices(4, 5, CPU)
    sequences = look_through(slices, Scenes(4, slices.focus), 3, 64, 40, 32)
    assert sequences.images.shape == (4, 5, 64, 64)
    assert sequences.masks.shape == (4, 3, 5, 32, 32)
    steps = sequences.images * 255
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
    assert set(sequences.masks.unique().tolist()) <= {0.0, 1.0}
    followed = sequences.masks[:, 0, 0][sequences.usable[:, 0]]
    middle = followed[:, 4:28, 4:28].sum((1, 2)) / followed.sum((1, 2))
    assert (middle > 0.6).all()  # the object that the view follows lies within it


# ---------------------------------------------------------------- prompts and losses


def test_clicks_lie_inside_and_boxes_around():
    masks = torch.stack([disc(32, 10, 20, 5), disc(32, 22, 8, 7)])
    for _ in range(20):
        first = prompting.clicks(masks, 64).xy[:, 0]
        column, row = ((first + 0.5) / 2).long().unbind(1)
        assert (masks[torch.arange(2), row, column] == 1).all()
        box = prompting.box(masks, 64)
        assert box.labels[:, :2].tolist() == [[2, 3], [2, 3]]
        edges = torch.tensor([[10, 30, 32, 52], [30, 2, 60, 32]]) - 0.5
        assert (box.xy[:, :2].flatten(1) - edges).abs().max() <= 0.12 * 30 + 1


def test_correction_clicks_into_the_larger_error():
    mask, found = disc(32, 10, 16, 6), disc(32, 24, 16, 4)
    prompt = prompting.correction(torch.stack([found, mask + found]), torch.stack([mask, mask]), 64)
    assert prompt.labels[:, 0].tolist() == [1, 0]
    (missing, excess), places = (mask, found), ((prompt.xy[:, 0] + 0.5) / 2).long()
    assert missing[places[0, 1], places[0, 0]] == 1
    assert excess[places[1, 1], places[1, 0]] == 1


def test_perfect_masks_cost_nothing():
    target = disc(32, 16, 16, 8)[None]
    logits = (target * 40 - 20)[:, None]
    loss, overlap = mask_loss(logits, target)
    assert loss.item() == pytest.approx(0, abs=1e-3)
    assert overlap.item() == pytest.approx(1)
    worse, overlap = mask_loss(-logits, target)
    assert worse.item() > 10
    assert overlap.item() == pytest.approx(0, abs=1e-3)


def test_absent_objects_are_asked_for_their_score_alone():
    target, masks = torch.zeros(1, 16, 16), torch.full((1, 16, 16), 9.0)
    right = judge(masks, torch.ones(1), torch.tensor([-9.0]), target, torch.ones(1))
    wrong = judge(masks, torch.ones(1), torch.tensor([9.0]), target, torch.ones(1))
    assert right.loss < 0.01 < 4 < wrong.loss
    assert right.present.item() == 0


def test_one_right_candidate_is_enough():
    target = disc(16, 8, 8, 4)[None]
    right, wrong = target * 20 - 10, 10 - target * 20
    good = judge_candidates(torch.stack([right, wrong, wrong], 1), torch.tensor([[1.0, 0, 0]]), target, torch.ones(1))
    bad = judge_candidates(torch.stack([wrong, wrong, wrong], 1), torch.tensor([[0.0, 0, 0]]), target, torch.ones(1))
    assert good < bad / 3


# ---------------------------------------------------------------- the network in training


def test_trainee_answers_as_the_engine_does(shipped_model):
    """A prompted and a tracked slice: the network in training and the one in use give the same logits."""
    from SAMSegmenterLib.propagation.memory import Recall
    from SAMSegmenterLib.propagation.network import Network

    size = shipped_model.native_size
    trainee = Trainee(make_network(size, shipped_model.network.state_dict()).eval())
    used = Network(shipped_model.network, size, "cpu", torch.float32, shipped_model.mean, shipped_model.std)
    pixels = np.stack([(moving_disc(2, size).images[0, n].numpy() * 255).round().astype(np.uint8) for n in range(2)])
    first, second = used.encode(pixels)
    points, labels = np.array([[40.0, 50.0], [60.0, 80.0]]), np.array([2, 3])
    decoded = used.prompt(first, points, labels)
    memory = used.remember([first], decoded, prompted=True)[0]
    recall = Recall(((0, memory.tokens),), ((1, memory.pointer),))
    expected = used.track([second], [recall], 64)
    with torch.no_grad():
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (shipped_model.mean, shipped_model.std))
        frames = trainee.look((torch.from_numpy(pixels)[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std)
        at = [frames.of(torch.tensor([n])) for n in range(2)]
        prompt = prompting.Prompt(torch.tensor(points[None], dtype=torch.float32), torch.tensor(labels[None], dtype=torch.int32))
        answer = trainee.prompted(at[0], prompt)
        torch.testing.assert_close(answer.masks[:, :1], decoded.logits, rtol=1e-3, atol=1e-3)
        hard = torch.where(torch.nn.functional.interpolate(answer.masks[:, :1], (size, size), mode="bilinear") > 0, 20.0, -20.0)
        kept = trainee.remembered(at[0], hard, answer.token, answer.score)
        tracked = trainee.tracked(at[1], {"cond_frame_outputs": {0: kept}, "non_cond_frame_outputs": {}}, 1, 64)
    for found, given in ((answer.score, decoded.score), (tracked.score, expected.score), (tracked.quality[:, 0], expected.quality)):
        torch.testing.assert_close(found, given.flatten(), rtol=0.02, atol=0.02)  # the engine rounds memories to bfloat16


def test_steps_on_one_sequence_learn_it():
    network = make_network(64)
    trainee, optimizer = Trainee(network), torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(30):
        torch.manual_seed(1)
        random.seed(1)
        loss = Rollout(trainee, moving_disc(), taught=1.0).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_every_part_of_the_network_learns():
    network = make_network(64)
    asked = set()
    for _ in range(8):
        rollout = Rollout(Trainee(network), moving_disc(4), taught=0.5)
        rollout.loss.backward()
        asked |= set(rollout.tally.means())
    idle = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.abs().sum() > 0]
    assert set(idle) <= {"no_mem_pos_enc", "no_obj_ptr", "no_obj_embed_spatial"}  # the first is never used, the others where it is absent
    assert {"box", "box corrected", "click", "1 click", "painted", "tracked"} <= asked


# ---------------------------------------------------------------- runs


def test_recipe_warms_up_and_ends_slowly():
    recipe = Recipe(rate=1e-3, rise=10, last=0.02)
    assert recipe.rate_at(0, 0) == pytest.approx(1e-4)
    assert recipe.rate_at(100, 0) == pytest.approx(1e-3)
    assert recipe.rate_at(100, 1) == pytest.approx(2e-5)
    assert {Recipe(scratch=True).length_at(0.0, random.Random(n)) for n in range(50)} == {1}
    assert Recipe().objects_of(1) > Recipe().objects_of(3)
    assert {Recipe().length_at(0.5, random.Random(n)) for n in range(200)} == {1, *LENGTHS}


def test_run_writes_weights_that_load_and_can_be_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr("SAMSegmenterLib.training.trainer.LOG_EVERY", 0)
    told = []
    train(SMALL, tmp_path, CPU, 1, report=told.append)
    model = load_model(tmp_path / WEIGHTS)
    assert (tmp_path / WEIGHTS).stat().st_size < 12e6
    assert all(torch.isfinite(value).all() for value in model.network.state_dict().values())
    assert [entry["step"] for entry in told] == list(range(1, len(told) + 1))
    resumed = Trainer(Recipe(**{**vars(SMALL), "minutes": told[-1]["minutes"] + 0.05}), tmp_path, CPU)
    assert resumed.step == len(told)
    resumed.run()
    assert resumed.step > len(told)
    assert len((tmp_path / LOG).read_text().splitlines()) == resumed.step
    draw_curve(tmp_path / LOG, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_interrupted_run_keeps_its_state(tmp_path, monkeypatch):
    trainer = Trainer(SMALL, tmp_path, CPU)
    steps = iter([{"loss": 1.0}])

    def step(*_):
        trainer.step += 1
        try:
            return next(steps)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(trainer, "_train", step)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert (tmp_path / STATE).exists()
    assert Trainer(SMALL, tmp_path, CPU).step == trainer.step


def test_same_seed_gives_the_same_run(tmp_path):
    values = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        trainer = Trainer(SMALL, tmp_path / name, CPU)
        values.append(trainer._train(Trainee(trainer.network), 0.5))
    assert values[0] == values[1]


def test_workers_train_together_until_they_are_stopped(tmp_path):
    train(Recipe(minutes=0.03, size=64, frames=1, objects=2), tmp_path, CPU, 2)
    recipe = json.loads(_header(tmp_path / WEIGHTS)["__metadata__"]["recipe"])
    trained = torch.load(tmp_path / STATE, weights_only=True)["step"]
    assert recipe["size"] == 64
    assert trained > 0
    train(Recipe(minutes=60, size=64, frames=1, objects=2), tmp_path, CPU, 2, stopped=lambda: True)
    assert torch.load(tmp_path / STATE, weights_only=True)["step"] >= trained


def test_a_workers_error_arrives_as_it_was(tmp_path):
    (tmp_path / STATE).write_bytes(b"not a state")
    with pytest.raises(CheckpointError, match=r"state\.pt: cannot be resumed") as refusal:
        train(SMALL, tmp_path, CPU, 2)
    assert "Traceback" not in str(refusal.value)


def test_a_worker_that_is_killed_is_told(tmp_path):
    with pytest.raises(SAMSegmenterError, match=r"training has ended: process [01] terminated"):
        train(SMALL, tmp_path, CPU, 2, stopped=_kill_a_child)


def _kill_a_child():
    multiprocessing.active_children()[0].kill()
    return False


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files, which Windows does not")
def test_full_disk_is_told_and_the_earlier_state_kept(tmp_path):
    import resource

    trainer = Trainer(SMALL, tmp_path, CPU)
    trainer.run(stopped=lambda: True)
    before, limits = (tmp_path / STATE).read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"state\.pt: could not be written"):
            trainer.run(stopped=lambda: True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / STATE).read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
def test_who_can_read_the_state_can_read_the_weights(tmp_path):
    before = os.umask(0o022)
    try:
        Trainer(SMALL, tmp_path, CPU).run(stopped=lambda: True)
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in (STATE, WEIGHTS)} == {0o644}


def _saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


JUNK = b"not a state", b"", b"\x80\x02X\xff", _saved({"step": 1}), _saved([1, 2]), _saved({"network": 3}), b"\x80\x02G\x00."


@pytest.mark.parametrize("content", JUNK)
def test_damaged_state_is_named(tmp_path, content):
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.pt.*damaged"):
        Trainer(SMALL, tmp_path, CPU)


def test_weights_of_another_network_are_refused():
    with pytest.raises(CheckpointError, match="do not fit"):
        make_network(64, {"some.weight": torch.zeros(3)})


# ---------------------------------------------------------------- the command


def test_command_trains_from_label_maps_and_draws_the_curve(tmp_path, monkeypatch):
    monkeypatch.setattr("SAMSegmenterLib.training.trainer.LOG_EVERY", 0)
    brain = np.zeros((24, 24, 24), np.uint8)
    brain[4:20, 4:20, 4:20] = 1
    (tmp_path / "maps").mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(brain), str(tmp_path / "maps" / "one.nii.gz"))
    options = ["--minutes", "0.02", "--size", "64", "--frames", "3", "--workers", "1", "--labelmaps", str(tmp_path / "maps")]
    result = CliRunner().invoke(app, ["train-default", "--output", str(tmp_path / "run"), "--from", "samsegmenter-pico", *options])
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "run").iterdir()} == {STATE, LOG, WEIGHTS, "curve.png"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "100"], "multiple of 32"),
        (["--labelmaps", "{empty}"], "no label maps"),
        (["--from", "nowhere.pt"], "no such model file"),
        (["--labelmaps", "nowhere"], "nowhere: there is no such folder"),
        (["--rate", "nan"], "--rate"),
        (["--rate", "-1"], "--rate"),
        (["--seed", "99999999999999999999"], "--seed"),
    ],
)
def test_command_says_what_is_wrong(tmp_path, monkeypatch, options, message):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "empty").mkdir()
    options = [option.format(empty=tmp_path / "empty") for option in options]
    result = CliRunner().invoke(app, ["train-default", "--output", str(tmp_path / "run"), *options])
    assert result.exit_code != 0
    assert message in " ".join((result.output + str(result.exception)).split())


def test_weights_to_begin_from_are_not_passed_over_in_silence(tmp_path):
    options = ["--output", str(tmp_path), "--minutes", "0.01", "--size", "64", "--frames", "1", "--workers", "1"]
    options += ["--from", "samsegmenter-pico"]
    first, again = (CliRunner().invoke(app, ["train-default", *options]) for _ in range(2))
    assert first.exit_code == again.exit_code == 0
    assert "training goes on from" not in first.output
    assert f"training goes on from {tmp_path / STATE}; to begin from samsegmenter-pico" in again.output


def _header(path):
    with path.open("rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))
