"""Images of patients with outlines are looked at as made-up ones are."""

import numpy as np
import pytest
import torch

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.image.volume import Volume
from SAMSegmenterLib.imageio import write_volume
from SAMSegmenterLib.training.patients import Patients, read_patients
from SAMSegmenterLib.training.recipe import Recipe
from SAMSegmenterLib.training.scenes import Scenes
from SAMSegmenterLib.training.sequences import look_through
from SAMSegmenterLib.training.sources import Sources
from SAMSegmenterLib.training.squares import Slices, whole
from SAMSegmenterLib.training.stock import Stock
from support.training_steps import CPU

pytestmark = pytest.mark.usefixtures("seeded")


def patient():
    """A bright ball in noise, and its label."""
    places = np.indices((20, 40, 40)) - np.array([10, 20, 22])[:, None, None, None]
    ball = (places[0] * 2) ** 2 + places[1] ** 2 + places[2] ** 2 < 11**2
    image = np.random.default_rng(0).normal(100, 5, ball.shape) + 200 * ball
    return Volume(image.astype(np.int16), np.diag([1.0, 1, 2, 1])), 7 * ball.astype(np.uint8)


def test_scenes_show_image_and_label_at_one_place():
    slices = Slices(6, 2, CPU)
    seen = Patients([patient()], CPU).scenes(slices).look(slices.positions(whole(slices), 48))
    assert seen.labels.unique().tolist() == [0, 1]
    measured = seen.greys > 0.05  # beyond the image it is black
    assert seen.greys[seen.labels == 1].mean() > seen.greys[(seen.labels == 0) & measured].mean() + 0.4


def test_sequences_follow_the_object():
    slices = Slices(4, 5, CPU)
    sequences = look_through(slices, Patients([patient()], CPU).scenes(slices), 2, 64, 48, 32)
    assert sequences.usable.all()
    images = torch.nn.functional.avg_pool2d(sequences.images[:, 0, None], 2)[:, 0]
    inside = sequences.masks[:, 0, 0] > 0.5
    assert ((images * inside).sum((1, 2)) / inside.sum((1, 2)) - (images * ~inside).sum((1, 2)) / (~inside).sum((1, 2))).abs().min() > 0.05


def test_values_between_voxels_are_linear():
    ramp = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    stock = Stock([ramp[::-1], ramp], [np.ones(3), np.array([1.0, 2, 3])], CPU)
    places_mm = torch.tensor([[[0.5, 1, 1.5], [2.25, 3, 4.5], [2.25, 4, 4.5]]])
    assert stock.linear(torch.tensor([1]), places_mm).tolist() == [[0, 20 + 5 + 1.75, 20 + 7.5 + 1.75]]
    assert stock.linear(torch.tensor([1]), torch.full((1, 1, 3), 99.0)).tolist() == [[0]]


def test_patients_are_read_as_evaluate_reads_them(tmp_path):
    volume, labels = patient()
    write_volume(tmp_path / "one.nii.gz", volume)
    write_volume(tmp_path / "one_labels.nii.gz", Volume(labels, volume.ijk_to_ras))
    assert read_patients(tmp_path, CPU).labels == 2
    (tmp_path / "one.nii.gz").unlink()
    with pytest.raises(InputError, match=r"one_labels\.nii\.gz: there is no image"):
        read_patients(tmp_path, CPU)


def test_sources_are_looked_at_in_their_parts():
    recipe, slices = Recipe(patients=0.25, labelmaps=0.5), Slices(1, 1, CPU)
    patients = Patients([patient()], CPU)
    kinds = [type(Sources(patients=patients).scenes(slices, recipe, chance)).__name__ for chance in (0.0, 0.2, 0.3, 0.9)]
    assert kinds == ["PatientScenes", "PatientScenes", "Scenes", "Scenes"]
    assert isinstance(Sources().scenes(slices, recipe, 0.0), Scenes)
