import errno
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from SAMSegmenterLib.errors import CheckpointError, InputError, OutputError
from SAMSegmenterLib.models import catalog, folders, hashes, licences, locks, records, store

TINY = catalog.entry("sam2.1-hiera-tiny")
MEDSAM2 = replace(catalog.entry("medsam2-latest"), bytes=None, sha256=None)  # as models of which neither is published
PICO = catalog.entry("samsegmenter-pico")


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


@pytest.fixture
def departments(tmp_path):
    """A folder that many share, and where nobody but its keeper may write."""
    folder = tmp_path / "department"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def both(mine, departments, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, os.pathsep.join([str(mine), str(departments)]))


@pytest.fixture
def nothing_is_writable(monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folders.tempfile, "TemporaryFile", refuse)


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


@pytest.fixture
def departments_is_read_only(departments, monkeypatch):
    original = locks.shared_mode

    def refuse(folder):
        if folder == departments:
            raise PermissionError(13, "Permission denied")
        return original(folder)

    monkeypatch.setattr(locks, "shared_mode", refuse)


def placed(folder, entry, content=b"weights"):
    path = folder / entry.file
    path.write_bytes(content)
    return path


# Folders


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


# Records


def test_records_are_kept_by_model(mine):
    records.note("x.json", "a", 1)
    records.note("x.json", "b", {"c": 2})
    records.forget(mine / "x.json", "a")
    assert records.read("x.json") == {"b": {"c": 2}}


def test_ones_own_records_count_more_than_the_departments(mine, departments):
    (departments / "x.json").write_text(json.dumps({"a": 1, "b": 2}), encoding="utf-8")
    records.note("x.json", "a", 3)
    assert records.read("x.json") == {"a": 3, "b": 2}


@pytest.mark.parametrize("content", ["", "{", "[1]", "\xff"])
def test_damaged_records_are_named(content, mine):
    (mine / "x.json").write_bytes(content.encode("latin-1"))
    for use in (lambda: records.read("x.json"), lambda: records.note("x.json", "a", 1)):
        with pytest.raises(InputError, match=r"x\.json: is damaged.*Delete it"):
            use()


def test_damaged_records_of_others_are_passed_over_with_a_word(mine, departments):
    (departments / "x.json").write_text("{", encoding="utf-8")
    records.note("x.json", "a", 1)
    with pytest.warns(UserWarning, match=r"department.*x\.json: is damaged"):
        assert records.read("x.json") == {"a": 1}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o2775, 0o664), (0o755, 0o644), (0o700, 0o600)])
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_all_who_share_a_folder_can_write_its_records_and_take_turns(folder_mode, file_mode, umask, mine):
    mine.chmod(folder_mode)
    before = os.umask(umask)
    try:
        licences.accept(MEDSAM2)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in mine.iterdir()}
    assert modes == {"licences.json": file_mode, ".licences.json.lock": file_mode}


def test_records_of_many_at_once_are_all_kept():
    threads = [threading.Thread(target=records.note, args=("x.json", str(n), n)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert records.read("x.json") == {str(n): n for n in range(12)}


def test_a_program_that_dies_gives_its_turn_back(mine):
    path = mine / "x"
    code = (
        f"import os, pathlib, SAMSegmenterLib.models.locks as locks\nwith locks.turn(pathlib.Path({str(path)!r})):\n"
        "    print('has it', flush=True)\n    os._exit(1)"
    )
    library = str(Path(locks.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": library}, capture_output=True, text=True)
    assert done.stdout.strip() == "has it"
    with locks.turn(path, cancel=lambda: True):
        path.write_text("mine now", encoding="utf-8")


# Hashes


def test_a_published_hash_is_what_is_expected():
    assert hashes.expected(TINY) == TINY.sha256
    assert hashes.expected(MEDSAM2) is None


def test_comparing_a_file_records_nothing(mine):
    path = placed(mine, MEDSAM2)
    assert hashes.check(MEDSAM2, path) == hashes.file_sha256(path)
    assert hashes.expected(MEDSAM2) is None


def test_the_first_use_of_a_model_without_a_published_hash_is_remembered(mine):
    path = placed(mine, MEDSAM2)
    hashes.remember(MEDSAM2, hashes.file_sha256(path))
    hashes.remember(MEDSAM2, "0" * 64)
    assert hashes.check(MEDSAM2, path) == hashes.expected(MEDSAM2)
    placed(mine, MEDSAM2, b"other weights")
    with pytest.raises(CheckpointError, match=r"not the file that was first used here as medsam2-latest.*models remove medsam2-latest"):
        hashes.check(MEDSAM2, path)


def test_without_a_folder_to_write_to_every_use_is_the_first(departments, nothing_is_writable):
    path = placed(departments, MEDSAM2)
    hashes.remember(MEDSAM2, hashes.file_sha256(path))
    assert hashes.expected(MEDSAM2) is None


def test_a_file_of_another_size_does_not_pass_for_a_published_one(mine):
    entry = replace(MEDSAM2, bytes=5)
    with pytest.raises(CheckpointError, match=r"not the file published as medsam2-latest \(4 bytes, expected 5\).*models remove"):
        hashes.check(entry, placed(mine, entry, b"half"))


def test_an_empty_file_is_no_model(mine):
    with pytest.raises(CheckpointError, match=r"is empty.*models remove medsam2-latest"):
        hashes.check(MEDSAM2, placed(mine, MEDSAM2, b""))


def test_a_published_file_does_not_pass_for_another_one(mine, monkeypatch):
    path = placed(mine, MEDSAM2)
    known = replace(TINY, sha256=hashes.file_sha256(path))
    monkeypatch.setattr(catalog, "entries", lambda: (known, MEDSAM2))
    with pytest.raises(CheckpointError, match=r"is the file published as sam2\.1-hiera-tiny, not that of medsam2-latest"):
        hashes.check(MEDSAM2, path)


def test_a_file_that_cannot_be_read_is_named(mine):
    with pytest.raises(CheckpointError, match=r"gone\.pt: cannot be read \(No such file"):
        hashes.file_sha256(mine / "gone.pt")


def test_another_file_under_a_published_name_is_told(mine):
    with pytest.raises(CheckpointError, match=r"is not the file published as sam2\.1-hiera-tiny"):
        hashes.check(TINY, placed(mine, TINY))


# Licences


def test_licences_are_told_in_a_line():
    assert licences.terms(TINY) == f"Licence: Apache-2.0, see {TINY.licence_url}. Commercial use is allowed."
    assert licences.terms(MEDSAM2).endswith("Commercial use is not allowed.")


@pytest.mark.parametrize(
    ("id", "free"), [("sam2.1-hiera-tiny", True), ("medsam-vit-b", True), ("medsam2-latest", False), ("db-sam", False)]
)
def test_only_permissive_licences_need_no_question(id, free):
    assert licences.is_accepted(catalog.entry(id)) == free


def test_an_accepted_licence_is_remembered():
    licences.accept(MEDSAM2)
    assert licences.is_accepted(MEDSAM2)
    assert not licences.is_accepted(replace(MEDSAM2, licence="others"))
    assert not licences.is_accepted(catalog.entry("medsam2-2411"))


# Models of this machine


def test_what_is_not_here_says_how_to_get_it(mine):
    with pytest.raises(CheckpointError) as refusal:
        store.locate(TINY)
    for words in (f"samsegmenter models get {TINY.id}", TINY.url, str(mine), TINY.file):
        assert words in str(refusal.value)
    with pytest.raises(CheckpointError, match=r"github\.com/OpenGVLab/SAM-Med2D.*models import FILE"):
        store.locate(catalog.entry("sam-med2d"))


def test_a_model_is_removed_with_all_that_belongs_to_it(mine):
    path = placed(mine, MEDSAM2)
    hashes.remember(MEDSAM2, hashes.file_sha256(path))
    parts = store.transient(path)
    for part in parts:
        part.write_bytes(b"part")
    assert store.remove(MEDSAM2) == [path, *parts]
    assert not any(each.exists() for each in (path, *parts))
    assert hashes.expected(MEDSAM2) is None


def test_a_model_is_removed_from_all_folders_with_their_records(mine, departments, monkeypatch):
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(departments))
    entry = store.keep_own("mine", "mine.pt", TINY)
    path = placed(departments, entry)
    hashes.remember(entry, hashes.file_sha256(path))
    monkeypatch.setenv(store.FOLDER_VARIABLE, os.pathsep.join([str(mine), str(departments)]))
    assert store.remove(entry) == [path]
    assert store.entries() == catalog.entries()
    assert hashes.expected(entry) is None


def test_what_cannot_be_removed_is_named_after_all_else_is_gone(mine, departments, departments_is_read_only):
    (departments / hashes.RECORDS).write_text(json.dumps({MEDSAM2.id: "0" * 64}), encoding="utf-8")
    own = placed(mine, MEDSAM2)
    with pytest.raises(OutputError, match=r"department.*hashes\.json: could not be written \(Permission denied\)"):
        store.remove(MEDSAM2)
    assert not own.exists()


def test_the_hash_of_a_file_that_is_gone_can_be_forgotten(mine):
    hashes.remember(MEDSAM2, "0" * 64)
    assert store.remove(MEDSAM2) == []
    assert hashes.expected(MEDSAM2) is None


def test_a_model_that_is_being_downloaded_is_not_removed(mine):
    path = placed(mine, TINY)
    part, _ = store.transient(path)
    part.write_bytes(b"part")
    with locks.turn(path), pytest.raises(OutputError, match="is being downloaded or imported just now"):
        store.remove(TINY)
    assert path.is_file()
    assert part.is_file()


def test_models_that_ship_stay():
    with pytest.raises(InputError, match="ships with SAMSegmenter"):
        store.remove(PICO)
    assert store.status(PICO).is_file()


def test_what_is_not_installed_cannot_be_removed():
    with pytest.raises(InputError, match="not installed"):
        store.remove(TINY)


def test_a_link_is_removed_but_not_what_it_leads_to(mine, tmp_path):
    outside = tmp_path / "outside.pt"
    outside.write_bytes(b"weights")
    try:
        (mine / TINY.file).symlink_to(outside)
    except OSError:
        pytest.skip("this system does not let its users make links")
    store.remove(TINY)
    assert outside.read_bytes() == b"weights"
    assert store.status(TINY) is None


def test_a_file_that_cannot_be_deleted_is_named(mine, monkeypatch):
    path = placed(mine, TINY)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OutputError, match=rf"{TINY.file}: could not be deleted \(Permission denied\)"):
        store.remove(TINY)
    assert path.is_file()


def test_ones_own_models_are_listed_after_the_catalog(mine):
    like = replace(catalog.entry("med-sa"), native_size=256)
    entry = store.keep_own("my-adapter", "my-adapter.pth", like)
    assert store.entries() == (*catalog.entries(), entry)
    assert store.entry("my-adapter") == entry
    assert (entry.family, entry.kind, entry.normaliser, entry.native_size, entry.sizes) == ("med_sa", "slice", "med_sa", 256, (256,))
    assert (entry.url, entry.sha256, entry.commercial_use, entry.licence) == (None, None, False, "not known")
    path = placed(mine, entry)
    assert store.remove(entry) == [path]
    assert store.entries() == catalog.entries()


def test_unknown_models_list_the_known_ones():
    store.keep_own("mine", "mine.pt", TINY)
    with pytest.raises(InputError, match=r"'yours'; known are samsegmenter-pico.*mine"):
        store.entry("yours")


@pytest.mark.parametrize(
    "kept",
    [
        {"file": "../../x.pt", "like": "med-sa", "native_size": 256},
        {"file": "x.pt", "like": "sam9", "native_size": 256},
        {"file": "x.pt"},
        "x.pt",
    ],
)
def test_damaged_records_of_own_models_are_named(kept):
    records.note(store.OWN, "bad", kept)
    with pytest.raises(InputError, match=r"own\.json: the record of 'bad' is damaged"):
        store.entries()


def test_nobody_shadows_a_published_model():
    records.note(store.OWN, TINY.id, {"file": "x.pt", "like": TINY.id, "native_size": 1024})
    assert store.entry(TINY.id) == TINY
