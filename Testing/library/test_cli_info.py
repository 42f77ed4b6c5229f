"""What the commands that only look tell: `samsegmenter info` of an image, `samsegmenter models` of the models."""

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
