"""The models in the module's panel: listed, downloaded once their licence is accepted, taken from files."""

from __future__ import annotations

import functools
import http.server
import threading
from dataclasses import replace

import pytest

from SAMSegmenterLib.errors import OutputError
from SAMSegmenterLib.in_slicer.module import requirements
from SAMSegmenterLib.models import catalog, loading
from SAMSegmenterLib.models.detect import Ambiguous
from SAMSegmenterLib.models.storage import store
from support.module_steps import wait_until
from support.networks import weights_of_their_own


@pytest.fixture
def no_models(tmp_path, monkeypatch):
    """The folder of models, empty."""
    monkeypatch.setenv("SAMSEGMENTER_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def a_mirror(tmp_path, monkeypatch):
    """A folder whose files are served in place of the published ones."""
    served = tmp_path / "served"
    served.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("SAMSEGMENTER_MIRROR", f"http://127.0.0.1:{server.server_port}")
    yield served
    server.shutdown()
    server.server_close()


def choose(section, id):
    section.table.selectRow(next(n for n, each in enumerate(section._models) if each.entry.id == id))


def test_models_are_listed_with_licence_and_size(the_panel, no_models):
    section = the_panel.models
    section.update()
    rows = [[section.table.item(n, column).text() for column in range(4)] for n in range(section.table.rowCount)]
    assert rows[0] == ["SAMSegmenter pico", "Apache-2.0", "7 MB", "\N{CHECK MARK}"]
    assert ["SAM 2.1 Hiera tiny", "Apache-2.0", "156 MB", ""] in rows
    choose(section, "medsam2-latest")
    assert "Commercial use is not allowed" in section.details.text
    assert "Cite: Ma et al." in section.details.text


def test_every_name_can_be_read_in_a_narrow_column(slicer_host, the_module, no_models):
    import qt

    widget = the_module.widgetRepresentation()
    table = widget.self().panel.models.table
    slicer_host.picture(widget, ())
    for row in range(table.rowCount):
        name = table.item(row, 0).text()
        room = qt.QRect(0, 0, table.columnWidth(0), table.rowHeight(row))
        inner = room.adjusted(3, 0, -4, 0)  # between the cell's margins, before the grid
        needed = widget.fontMetrics().boundingRect(inner, qt.Qt.TextWordWrap, name)
        assert room.contains(needed), f"{name}: needs {needed}, has {room}"


def test_a_licence_is_shortened_to_its_name_and_whole_in_the_tool_tip(the_panel, no_models):
    section = the_panel.models
    section.update()
    choose(section, "biosam2-hiera-tiny")
    licence = section.table.item(section.table.currentRow(), 1)
    assert licence.text() == "none"
    assert "none, as no weights are published; the code is Apache-2.0" in licence.toolTip()


def test_a_model_is_downloaded_once_its_licence_is_accepted(slicer_host, the_panel, no_models, a_mirror, monkeypatch):
    (a_mirror / "medsam_vit_b.pth").write_bytes(b"weights" * 100_000)
    smaller = tuple(replace(entry, bytes=700_000, sha256=None) if entry.id == "medsam-vit-b" else entry for entry in catalog.entries())
    monkeypatch.setattr(catalog, "entries", lambda: smaller)
    section = the_panel.models
    section.update()
    choose(section, "medsam-vit-b")
    section.download_button.click()
    question = slicer_host.user.texts("question")[0]
    assert "CC-BY-4.0" in question
    assert "127.0.0.1" in question
    wait_until(slicer_host, lambda: not section.task_row.is_running)
    assert not slicer_host.user.texts("error")
    assert (no_models / "medsam_vit_b.pth").stat().st_size == 700_000
    assert section.chosen.path == no_models / "medsam_vit_b.pth"
    assert not section.download_button.enabled


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(107, "Transport endpoint is not connected")])
def test_the_panel_opens_though_the_folder_of_models_cannot_be_read(slicer_host, the_module, monkeypatch, error):
    def is_gone(entry):
        raise error

    monkeypatch.setattr(store, "status", is_gone)
    panel = the_module.widgetRepresentation().self().panel
    assert panel.packages.table.rowCount
    assert error.strerror in slicer_host.user.texts("error")[0]
    assert not slicer_host.exceptions


def test_nothing_is_downloaded_if_the_licence_is_declined(slicer_host, the_panel, no_models, a_mirror):
    section = the_panel.models
    section.update()
    choose(section, "medsam-vit-b")
    slicer_host.user.will_answer("question", False)
    section.download_button.click()
    assert not section.task_row.is_running
    assert not no_models.exists()


def test_a_download_that_fails_is_told(slicer_host, the_panel, no_models, a_mirror):
    section = the_panel.models
    section.update()
    choose(section, "medsam-vit-b")
    section.download_button.click()
    wait_until(slicer_host, lambda: not section.task_row.is_running)
    assert "medsam_vit_b.pth" in slicer_host.user.texts("error")[0]
    assert section.download_button.enabled


def test_a_model_whose_package_is_missing_is_not_downloaded(slicer_host, the_panel, no_models, monkeypatch):
    monkeypatch.setattr(requirements, "_version", lambda requirement: None if requirement.name == "timm" else "99")
    section = the_panel.models
    section.update()
    choose(section, "edgetam")
    section.download_button.click()
    assert "timm" in slicer_host.user.texts("error")[0]
    assert not slicer_host.user.texts("question")
    assert not section.task_row.is_running


@pytest.fixture
def my_weights(tmp_path):
    return weights_of_their_own(tmp_path / "mine.safetensors")


def take(host, section, path):
    """Choose a file, and wait until it is taken or refused."""
    host.user.will_answer("file", str(path))
    section.file_button.click()
    wait_until(host, lambda: not section.task_row.is_running)


def test_a_model_is_taken_from_a_file(slicer_host, the_panel, no_models, my_weights):
    section = the_panel.models
    section.update()
    take(slicer_host, section, my_weights)
    assert not slicer_host.user.texts("error")
    assert "mine" in [each.entry.id for each in section._models]
    assert (no_models / "mine.safetensors").exists()
    (told,) = slicer_host.user.texts("info")
    assert "installed as mine" in told
    assert "Its weights have the names and shapes of SAMSegmenter pico." in told


@pytest.fixture
def doubtful(monkeypatch):
    """Files whose model only the user can tell; what the user has told."""
    said, read = [], loading.read

    def reads(path, family=None):
        if family is None:
            raise Ambiguous(f"{path}: fits both", ("sam-vit-b", "medsam-vit-b"))
        said.append(family)
        return read(path)

    monkeypatch.setattr(loading, "read", reads)
    return said


def test_where_a_file_fits_several_models_the_user_is_asked(slicer_host, the_panel, no_models, my_weights, doubtful):
    section = the_panel.models
    section.update()
    choose(section, "sam-vit-b")  # which row is chosen does not matter
    slicer_host.user.will_answer("question", "MedSAM ViT-B")
    take(slicer_host, section, my_weights)
    assert "mine.safetensors fits several models" in slicer_host.user.texts("question")[0]
    assert doubtful == ["medsam-vit-b"]
    assert "installed as mine" in slicer_host.user.texts("info")[0]
    assert not slicer_host.user.texts("error")


def test_a_user_who_does_not_know_the_model_takes_no_file(slicer_host, the_panel, no_models, my_weights, doubtful):
    take(slicer_host, the_panel.models, my_weights)
    assert not doubtful
    assert not no_models.exists()
    assert not slicer_host.user.texts("info")
    assert the_panel.models.file_button.enabled


def test_a_file_that_is_no_model_is_refused(slicer_host, the_panel, no_models, tmp_path):
    (tmp_path / "page.pt").write_text("<html>not found</html>")
    slicer_host.user.will_answer("file", str(tmp_path / "page.pt"))
    the_panel.models.file_button.click()
    wait_until(slicer_host, lambda: not the_panel.models.task_row.is_running)
    assert "is a web page" in slicer_host.user.texts("error")[0]


def test_a_damaged_record_of_models_is_told_and_the_panel_goes_on(slicer_host, the_panel, no_models):
    no_models.mkdir()
    (no_models / "own.json").write_text("{")
    the_panel.update()
    assert "own.json" in slicer_host.user.texts("error")[0]


# ---------------------------------------------------------------- removing


@pytest.fixture
def installed(the_panel, no_models):
    """The file of MedSAM, whose model is chosen."""
    no_models.mkdir()
    path = no_models / "medsam_vit_b.pth"
    path.write_bytes(b"weights" * 100_000)
    the_panel.models.update()
    choose(the_panel.models, "medsam-vit-b")
    return path


def test_a_model_is_removed_after_asking(slicer_host, the_panel, installed):
    section = the_panel.models
    section.remove_button.click()
    (question,) = slicer_host.user.texts("question")
    assert "MedSAM ViT-B" in question
    assert str(installed) in question
    assert not installed.exists()
    assert section.chosen.entry.id == "medsam-vit-b"
    assert section.table.item(section.table.currentRow(), 3).text() == ""
    assert section.download_button.enabled
    assert not section.remove_button.enabled


def test_a_model_of_ones_own_leaves_the_list_when_it_is_removed(slicer_host, the_panel, no_models, my_weights):
    section = the_panel.models
    take(slicer_host, section, my_weights)
    choose(section, "mine")
    section.remove_button.click()
    assert "cannot be downloaded again" in slicer_host.user.texts("question")[0]
    assert "mine" not in [each.entry.id for each in section._models]
    assert not (no_models / "mine.safetensors").exists()
    assert my_weights.exists()


def test_nothing_is_removed_if_the_user_declines(slicer_host, the_panel, installed):
    slicer_host.user.will_answer("question", False)
    the_panel.models.remove_button.click()
    assert installed.exists()
    assert the_panel.models.remove_button.enabled


@pytest.mark.parametrize("id", ["samsegmenter-pico", "sam2.1-hiera-tiny"], ids=["ships", "not installed"])
def test_what_ships_or_is_not_installed_cannot_be_removed(the_panel, installed, id):
    choose(the_panel.models, id)
    assert not the_panel.models.remove_button.enabled


def test_nothing_can_be_removed_from_a_folder_that_is_read_only(the_panel, installed, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: path != installed.parent)
    the_panel.models.update()
    assert not the_panel.models.remove_button.enabled


def test_a_file_that_cannot_be_removed_is_told(slicer_host, the_panel, installed, monkeypatch):
    def is_open(entry):
        raise OutputError(f"{installed}: could not be deleted (Permission denied).")

    monkeypatch.setattr(store, "remove", is_open)
    the_panel.models.remove_button.click()
    assert "could not be deleted" in slicer_host.user.texts("error")[0]
    assert the_panel.models.remove_button.enabled


def test_a_model_that_has_gone_meanwhile_is_no_longer_shown_as_installed(slicer_host, the_panel, installed):
    installed.unlink()
    the_panel.models.remove_button.click()
    assert "is not installed" in slicer_host.user.texts("error")[0]
    assert the_panel.models.chosen.path is None
