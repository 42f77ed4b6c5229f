"""What the commands that only look tell: `samsegmenter info` of an image, `samsegmenter models` of the models."""

from dicom_slices import slice_at
from SAMSegmenterLib.models import catalog, store

pytest_plugins = ["cli_fixtures"]


def test_models_lists_every_model_and_where_it_is(samsegmenter, tmp_path, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path))
    found = catalog.entries()[1]
    (tmp_path / found.file).write_bytes(b"weights")
    outcome = samsegmenter("models")
    assert outcome.code == 0
    for entry in catalog.entries():
        assert entry.id in outcome.out
        assert entry.licence in outcome.out
    assert str(tmp_path / found.file) in outcome.out


def test_a_terminal_shows_the_folder_of_models_as_it_is(samsegmenter, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "[red]mine[/b]"))
    outcome = samsegmenter("models")
    assert outcome.code == 0, outcome
    assert "[red]mine[/b]" in outcome.out


def test_info_tells_what_an_image_is(samsegmenter, scan):
    outcome = samsegmenter("info", scan)
    assert outcome.code == 0
    for words in ("ball.nrrd", "48 x 48 x 20", "0.8 x 0.8 x 2.5 mm", "L, P, S", "level", "width"):
        assert words in outcome.out


def test_info_of_a_dicom_folder(samsegmenter, data):
    outcome = samsegmenter("info", data / "ct_abdomen_dicom")
    assert outcome.code == 0
    for words in ("512 x 512 x 20", "CT", "level 40, width 400"):
        assert words in outcome.out


def test_info_of_slices_that_are_not_even_needs_resampling(samsegmenter, tmp_path):
    for number, z in enumerate((0, 1, 2, 3, 5, 6)):
        slice_at((0, 0, z)).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    refused, resampled = samsegmenter("info", tmp_path), samsegmenter("info", tmp_path, "--resample")
    assert refused.code == 1
    assert "are 2 mm apart" in refused.err
    assert "8 x 6 x 7" in resampled.out
