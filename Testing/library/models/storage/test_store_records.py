"""What is remembered of models: kept by many at once, read by all who share a folder; and which licences were accepted."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import licences, locks, records
from support.published import MEDSAM2, TINY

pytestmark = pytest.mark.usefixtures("both_folders")


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
        f"import os, pathlib, SAMSegmenterLib.models.storage.locks as locks\nwith locks.turn(pathlib.Path({str(path)!r})):\n"
        "    print('has it', flush=True)\n    os._exit(1)"
    )
    library = str(Path(locks.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": library}, capture_output=True, text=True)
    assert done.stdout.strip() == "has it"
    with locks.turn(path, cancel=lambda: True):
        path.write_text("mine now", encoding="utf-8")


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
