"""Folders of models: one's own and those of others, in their order, wherever they are and whoever may write there."""

import errno
import os
from pathlib import Path

import pytest

from SAMSegmenterLib.errors import OutputError
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import folders, records, store
from support.published import MEDSAM2, TINY, placed

pytestmark = pytest.mark.usefixtures("both_folders")


@pytest.fixture
def departments_is_gone(departments, monkeypatch):
    """As on a share whose server is down: whatever one asks of the folder fails."""

    def failing(original):
        def ask(path, *arguments, **options):
            if departments in (Path(path), *Path(path).parents):
                raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", str(path))
            return original(path, *arguments, **options)

        return ask

    for owner, name in ((os, "stat"), (Path, "stat"), (Path, "read_text"), (Path, "mkdir")):
        monkeypatch.setattr(owner, name, failing(getattr(owner, name)))


def test_without_the_variable_there_is_one_folder_in_the_users_data(monkeypatch):
    monkeypatch.delenv(store.FOLDER_VARIABLE)
    assert [folder.parts[-2:] for folder in folders.folders()] == [("SAMSegmenter", "models")]


@pytest.mark.parametrize("text", ["", "  ", os.pathsep])
def test_an_empty_variable_means_the_users_data(text, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, text)
    assert folders.folders()[0].parts[-2:] == ("SAMSegmenter", "models")


def test_the_variable_may_start_with_the_home_folder(monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, os.path.join("~", "networks"))
    assert folders.folders() == (Path.home() / "networks",)


def test_the_home_of_nobody_is_a_folder_that_is_not_there(monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, "~no-such-user/models")
    assert folders.folders() == (Path("~no-such-user/models"),)
    assert store.status(TINY) is None


def test_all_folders_are_searched_in_order(mine, departments):
    shared = placed(departments, TINY)
    assert store.status(TINY) == store.locate(TINY) == shared
    own = placed(mine, TINY)
    assert store.status(TINY) == own


def test_a_folder_that_is_not_there_is_passed_over(departments, tmp_path, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, os.pathsep.join([str(tmp_path / "unplugged"), str(departments)]))
    shared = placed(departments, TINY)
    assert store.status(TINY) == shared


def test_a_share_that_is_gone_takes_nothing_else_away(mine, departments_is_gone):
    path = placed(mine, TINY)
    own = store.keep_own("mine", "mine.pt", TINY)
    with pytest.warns(UserWarning, match=r"Going on without these records: .*own\.json: cannot be read \(Transport endpoint"):
        assert store.entries() == (*catalog.entries(), own)
    assert store.status(TINY) == path
    assert store.status(MEDSAM2) is None


def test_the_first_folder_that_can_be_written_to_receives(mine, departments, monkeypatch):
    assert folders.receiving_folder() == mine
    original = folders.tempfile.TemporaryFile

    def refuse_mine(dir):
        if dir == mine:
            raise PermissionError(13, "Permission denied")
        return original(dir=dir)

    monkeypatch.setattr(folders.tempfile, "TemporaryFile", refuse_mine)
    assert folders.receiving_folder() == departments
    assert not list(mine.iterdir()) + list(departments.iterdir())


def test_a_folder_is_made_when_it_is_first_needed(tmp_path, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "new" / "folder"))
    assert folders.receiving_folder().is_dir()


def test_without_a_folder_to_write_to_all_are_named_with_the_reason(mine, departments, nothing_is_writable):
    with pytest.raises(OutputError) as refusal:
        folders.receiving_folder()
    assert all(words in str(refusal.value) for words in (str(mine), str(departments), "Permission denied", store.FOLDER_VARIABLE))


def test_a_file_in_place_of_the_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "file"))
    assert store.status(TINY) is None
    assert records.read("x.json") == {}
    with pytest.raises(OutputError, match=r"file \("):
        folders.receiving_folder()
