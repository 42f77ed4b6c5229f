"""Records survive the way to a file and back, and whatever happens to the file."""

import csv
import json
import math

import numpy as np
import pytest

from SAMSegmenterLib.errors import InputError, OutputError
from SAMSegmenterLib.evaluation.records import Record, mask_path, read_mask, read_records, write_csv, write_mask

RECORD = Record("scan 1", "left kidney", 3, "CT", "ours", "box>up", {"dice": 0.75, "hd95_mm": math.nan}, (1.0, math.nan, 0.5))
FAILED = Record("scan 2", "Läsion", 4, "", "copy", "mask", error="no memory\nat all")


def test_record_is_one_line_of_valid_json():
    line = RECORD.to_json()
    assert "\n" not in line
    assert json.loads(line)["scores"] == {"dice": 0.75, "hd95_mm": None}
    back = Record.from_json(line)
    assert back.scores["dice"] == 0.75
    assert math.isnan(back.scores["hd95_mm"])
    assert math.isnan(back.retention[1])
    assert Record.from_json(FAILED.to_json()) == FAILED


@pytest.mark.parametrize("line", ["", "[1]", "[" * 100_000, "{}", '{"case": "a"}', RECORD.to_json().replace("0.75", '"good"')])
def test_other_lines_are_refused(line):
    with pytest.raises(InputError, match="not a record"):
        Record.from_json(line)


def test_latest_record_of_an_attempt_counts_and_an_unfinished_line_does_not(tmp_path):
    path = tmp_path / "results.jsonl"
    again = Record(*FAILED.key[:1], "Läsion", 4, "", "copy", "mask", {"dice": 0.5})
    path.write_text(f"{FAILED.to_json()}\n{RECORD.to_json()}\n{again.to_json()}\n{RECORD.to_json()[:20]}", encoding="utf-8")
    assert [record.error for record in read_records(path)] == ["", ""]
    assert read_records(tmp_path / "missing") == []


def test_foreign_file_is_refused_with_its_line(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(f"{RECORD.to_json()}\nsomething else\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        read_records(path)


def test_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "results.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match=r"results\.jsonl: is damaged, or not of an evaluation"):
        read_records(tmp_path / "results.jsonl")


def test_names_that_utf_8_cannot_hold_are_kept(tmp_path):
    record = Record("scan \udcff", "organ", 1, "", "copy", "mask", error="\udcff: cannot be read")
    (tmp_path / "results.jsonl").write_text(record.to_json() + "\n", encoding="utf-8")
    assert read_records(tmp_path / "results.jsonl") == [record]
    write_csv(tmp_path / "results.csv", [record])
    assert "scan \\udcff" in (tmp_path / "results.csv").read_text(encoding="utf-8")


def test_table_for_spreadsheets(tmp_path):
    write_csv(tmp_path / "results.csv", [RECORD, FAILED])
    with open(tmp_path / "results.csv", encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["case"], first["dice"], first["hd95_mm"], first["error"]) == ("scan 1", "0.75", "", "")
    assert (second["object"], second["dice"], second["error"]) == ("Läsion", "", "no memory\nat all")


def test_masks_are_kept_small(tmp_path):
    mask = np.zeros((40, 100, 101), bool)
    mask[10:30, 20:70, 30:60] = True
    path = mask_path(tmp_path, RECORD)
    write_mask(path, mask)
    np.testing.assert_array_equal(read_mask(path), mask)
    assert path.stat().st_size < 5000
    with pytest.raises(OutputError, match="the folder cannot be made"):
        write_mask(mask_path(path, RECORD), mask)  # a file is where the folder would be
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="no readable mask"):
        read_mask(path)


def test_every_attempt_has_its_own_mask_file(tmp_path):
    tasks = "mask", "mask-3", "box>up", "box>down", "box~10%", "S1"
    names = {mask_path(tmp_path, Record("a/b", "x", 1, "", "ours", task)).name for task in tasks}
    assert len(names) == len(tasks)
    assert not any(character in name for name in names for character in '/\\<>:"|?* ')
