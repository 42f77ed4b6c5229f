import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from rich.console import Console

from SAMSegmenterLib.cli import models
from SAMSegmenterLib.models import catalog, loading
from SAMSegmenterLib.models.detect import Ambiguous
from SAMSegmenterLib.models.storage import download, hashes, store, transfer
from support import loopback
from support.networks import weights_of_their_own

CONTENT = bytes(range(256)) * 400
PICO = store.SHIPPED / "samsegmenter_pico.safetensors"


@pytest.fixture(autouse=True)
def models_folder(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.001)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def host(monkeypatch):
    """Serves what the catalog then calls SAM 2.1 tiny (Apache-2.0) and MedSAM2 (not for commercial use)."""
    with loopback.host(CONTENT) as running:
        published = {"url": running.url, "bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
        served = {id: replace(catalog.entry(id), **published) for id in ("sam2.1-hiera-tiny", "medsam2-latest")}
        entries = tuple(served.get(entry.id, entry) for entry in catalog.entries())
        monkeypatch.setattr(catalog, "entries", lambda: entries)
        yield running


@pytest.fixture
def at_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())


@pytest.fixture
def own(tmp_path):
    return weights_of_their_own(tmp_path / "liver.safetensors")


def refused(outcome, *words):
    assert outcome.code == 1, outcome
    assert "Traceback" not in outcome.err
    return all(word in outcome.err for word in words)


# list


def test_models_alone_lists_them(samsegmenter):
    assert samsegmenter("models") == samsegmenter("models", "list")


def test_the_list_names_every_model_its_licence_and_its_place(samsegmenter, models_folder):
    installed = models_folder / catalog.entry("sam2.1-hiera-tiny").file
    installed.write_bytes(b"weights")
    lines = [line.split("\t") for line in samsegmenter("models", "list").out.splitlines()]
    assert [line[0] for line in lines] == [entry.id for entry in catalog.entries()]
    assert [line[2] for line in lines] == [entry.licence for entry in catalog.entries()]
    assert [line[3] for line in lines[:3]] == ["shipped", "shipped", str(installed)]
    assert all(line[3].startswith("not installed; ") for line in lines[3:])


def test_on_a_terminal_the_list_is_a_table(samsegmenter, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr(models, "Console", lambda: cli_models_console())
    out = samsegmenter("models").out
    for words in (
        "good for",
        "licence",
        "installed",
        "shipped",
        "156 MB",
        "no; import it",
        "not for commercial use",
        store.FOLDER_VARIABLE,
    ):
        assert words in out


def test_names_of_models_are_whole_on_a_narrow_terminal(samsegmenter, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(models, "Console", lambda: cli_models_console())
    out = samsegmenter("models").out
    assert all(entry.id in out for entry in catalog.entries())


def cli_models_console():
    return Console(force_terminal=True, color_system=None)


def test_the_list_as_json_holds_all_that_is_known(samsegmenter, models_folder):
    listed = json.loads(samsegmenter("models", "list", "--json").out)
    assert [each["id"] for each in listed] == [entry.id for entry in catalog.entries()]
    assert listed[0]["installed"] == str(PICO)
    assert listed[2]["installed"] is None
    assert listed[2]["citation"]


def test_a_file_is_converted(samsegmenter, tmp_path):
    source, target = tmp_path / "trained.pt", tmp_path / "weights only.safetensors"
    torch.save({"model": {"a": torch.ones(2)}, "epoch": 3}, source)
    outcome = samsegmenter("models", "convert", source, target)
    assert (outcome.code, outcome.out) == (0, f"{target}\n")
    assert "1 weights were kept, 1 other entries were not" in outcome.err
    assert refused(samsegmenter("models", "convert", source, target), "is there already")


@pytest.mark.parametrize("command", ["list", "get", "import", "convert", "remove", "verify"])
def test_each_command_has_help_with_an_example(command, samsegmenter, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    outcome = samsegmenter("models", command, "--help")
    assert outcome.code == 0
    assert f"Example: samsegmenter models {command}" in outcome.out


# get


def test_get_installs_and_says_where_and_under_which_licence(samsegmenter, host, models_folder):
    outcome = samsegmenter("models", "get", "sam2.1-hiera-tiny")
    installed = models_folder / "sam2.1_hiera_tiny.pt"
    assert (outcome.code, outcome.out) == (0, f"sam2.1-hiera-tiny\t{installed}\n")
    assert installed.read_bytes() == CONTENT
    for words in ("Apache-2.0", "Commercial use is allowed", "Ravi et al."):
        assert words in outcome.err


def test_get_again_downloads_nothing(samsegmenter, host):
    assert samsegmenter("models", "get", "sam2.1-hiera-tiny").code == samsegmenter("models", "get", "sam2.1-hiera-tiny").code == 0
    assert len(host.asked) == 1
    assert samsegmenter("models", "get", "samsegmenter-pico").out == f"samsegmenter-pico\t{PICO}\n"


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (CONTENT[:9], f"(9 bytes, expected {len(CONTENT)})")])
def test_get_does_not_take_a_file_that_is_cut_short(content, words, samsegmenter, host, models_folder):
    (models_folder / "sam2.1_hiera_tiny.pt").write_bytes(content)
    outcome = samsegmenter("models", "get", "sam2.1-hiera-tiny")
    assert refused(outcome, words, "models remove sam2.1-hiera-tiny")
    assert outcome.out == ""


def test_get_of_the_model_that_ships_says_what_to_do_if_it_is_missing(samsegmenter, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHIPPED", tmp_path)
    assert refused(samsegmenter("models", "get", "samsegmenter-pico"), "ships with SAMSegmenter", "install SAMSegmenter again")


def test_get_does_not_download_what_is_not_free_without_a_word_of_the_user(samsegmenter, host, models_folder):
    outcome = samsegmenter("models", "get", "medsam2-latest")
    assert refused(outcome, "research and education", "Commercial use is not allowed", "give --yes")
    assert not host.asked
    assert samsegmenter("models", "get", "medsam2-latest", "--yes").code == 0


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 1)])
def test_get_asks_at_a_terminal(answer, code, samsegmenter, host, at_a_terminal, monkeypatch):
    asked = []
    monkeypatch.setattr(typer, "confirm", lambda question, **_: asked.append(question) or answer)
    assert samsegmenter("models", "get", "medsam2-latest").code == code
    assert asked == ["Do you accept this licence?"]
    assert bool(host.asked) == answer


def test_get_of_a_model_that_must_be_fetched_by_hand_says_where(samsegmenter):
    assert refused(samsegmenter("models", "get", "sam-med2d", "--yes"), "github.com/OpenGVLab/SAM-Med2D", "models import FILE")


def test_get_of_an_unknown_model_names_the_one_that_may_be_meant(samsegmenter):
    assert refused(samsegmenter("models", "get", "sam2.1-hiera-tinny"), "'sam2.1-hiera-tinny'", "Did you mean sam2.1-hiera-tiny?")


def test_get_that_fails_leaves_no_model(samsegmenter, host, models_folder):
    host.content = CONTENT[::-1]
    assert refused(samsegmenter("models", "get", "sam2.1-hiera-tiny"), "not the file known as", host.url)
    assert not (models_folder / "sam2.1_hiera_tiny.pt").exists()


def test_ctrl_c_keeps_what_has_arrived(samsegmenter, host, monkeypatch):
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 1000)
    original = transfer.Transfer._receive

    def interrupted(self, *arguments):
        signal.raise_signal(signal.SIGINT)
        original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(transfer.Transfer, "_receive", interrupted)
        outcome = samsegmenter("models", "get", "sam2.1-hiera-tiny")
    assert outcome.code == 130
    assert (
        "interrupted. The download was stopped. The 0.0 MB that have arrived are kept; the next attempt goes on from there." in outcome.err
    )
    host.asked.clear()
    assert samsegmenter("models", "get", "sam2.1-hiera-tiny").code == 0
    assert host.asked[0]["Range"] == "bytes=1000-"


def test_the_installed_program_gets_a_model_from_a_mirror(host, models_folder, monkeypatch, tmp_path):
    """In a process of its own; the mirror has another file, so that its hash is refused."""
    monkeypatch.setenv(download.MIRROR_VARIABLE, host.url.rpartition("/")[0])
    host.script.append(loopback.says(200, b"x" * 10))
    code = "from SAMSegmenterLib.cli.main import main; main()"
    library = Path(models.__file__).parents[2]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "models", "get", "mobile-sam"], cwd=library, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert f"{host.url.rpartition('/')[0]}/mobile_sam.pt: offers 10 bytes, but the published file has 40728226" in done.stderr
    assert time.perf_counter() - start < 30


# import, remove, verify


def test_own_weights_are_imported_listed_checked_and_removed(samsegmenter, own, models_folder):
    outcome = samsegmenter("models", "import", own, "--as", "my-liver")
    kept = models_folder / "my-liver.safetensors"
    assert (outcome.code, outcome.out) == (0, f"my-liver\t{kept}\n")
    assert f"my-liver\tpropagation\tnot known\t{kept}" in samsegmenter("models").out
    assert "my-liver\tas it should be" in samsegmenter("models", "verify").out
    kept.write_bytes(PICO.read_bytes())
    assert refused(samsegmenter("models", "verify", "my-liver"), "not the file that was first used here")
    assert samsegmenter("models", "remove", "my-liver").out == f"{kept}\n"
    assert "my-liver" not in samsegmenter("models").out


def test_a_folder_is_imported_file_by_file(samsegmenter, own, tmp_path):
    folder = tmp_path / "stick"
    folder.mkdir()
    shutil.copyfile(own, folder / "good.safetensors")
    (folder / "bad.pt").write_bytes(b"no weights")
    outcome = samsegmenter("models", "import", folder)
    assert refused(outcome, "bad.pt")
    assert outcome.out.startswith("good\t")


def test_a_path_in_the_home_of_nobody_does_not_keep_the_others_out(samsegmenter, own):
    outcome = samsegmenter("models", "import", "~no-such-user/x.pt", own)
    assert refused(outcome, "~no-such-user", "there is no such model file")
    assert outcome.out.startswith("liver\t")


def test_one_name_is_not_for_several_files(samsegmenter, own):
    assert samsegmenter("models", "import", own, own, "--as", "x").code == 2


@pytest.fixture
def ambiguous(monkeypatch):
    """Files are SAM or MedSAM, unless the user says that they are something else."""
    original = loading.read

    def read(path, family=None):
        if family is None:
            raise Ambiguous(f"{path}: fits sam-vit-b and medsam-vit-b.", ("sam-vit-b", "medsam-vit-b"))
        return original(path, family)

    monkeypatch.setattr(loading, "read", read)


def test_which_of_several_networks_a_file_is_is_asked_at_a_terminal(samsegmenter, own, ambiguous, at_a_terminal, monkeypatch):
    asked = []
    monkeypatch.setattr(typer, "prompt", lambda question, **_: asked.append(question) or "samsegmenter-pico")
    assert samsegmenter("models", "import", own).out.startswith("liver\t")
    assert asked == ["liver.safetensors may be one of sam-vit-b, medsam-vit-b. Which"]


def test_which_of_several_networks_a_file_is_can_be_said(samsegmenter, own, ambiguous):
    assert refused(samsegmenter("models", "import", own), "fits sam-vit-b and medsam-vit-b")
    outcome = samsegmenter("models", "import", own, "--family", "samsegmenter-pico")
    assert outcome.code == 0
    assert "liver.safetensors: Its weights fit a SAM 2 network, and you say which." in outcome.err


def test_models_that_ship_cannot_be_removed(samsegmenter):
    assert refused(samsegmenter("models", "remove", "samsegmenter-pico"), "ships with SAMSegmenter")


def test_verify_says_what_it_checked_and_records_nothing(samsegmenter, models_folder):
    unhashed = catalog.entry("medsam2-flare25-recist")
    (models_folder / unhashed.file).write_bytes(b"weights")
    for _ in range(2):
        *shipped, other = samsegmenter("models", "verify").out.splitlines()
        assert shipped == [f"{name}\tas it should be" for name in ("samsegmenter-pico", "samsegmenter-pico-lesions")]
        assert other == f"{unhashed.id}\tno SHA-256 is published, and none is recorded before its first use"
    hashes.remember(unhashed, hashes.file_sha256(models_folder / unhashed.file))
    assert samsegmenter("models", "verify", unhashed.id).out == f"{unhashed.id}\tas it should be\n"


def test_verify_does_not_take_half_a_file_for_a_published_one(samsegmenter, models_folder):
    (models_folder / "MedSAM2_latest.pt").write_bytes(b"half")
    assert refused(samsegmenter("models", "verify"), "not the file published as medsam2-latest (4 bytes, expected 156040129)")
    assert not (models_folder / hashes.HASHES).exists()


def test_verify_goes_on_after_a_file_that_cannot_be_read(samsegmenter, models_folder, own, monkeypatch):
    samsegmenter("models", "import", own)
    original = Path.open

    def fail(path, *arguments, **options):
        if path == PICO:
            raise OSError(5, "Input/output error")
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", fail)
    outcome = samsegmenter("models", "verify")
    assert refused(outcome, f"{PICO.name}: cannot be read (Input/output error)")
    assert outcome.out == "samsegmenter-pico-lesions\tas it should be\nliver\tas it should be\n"


def test_verify_names_what_is_damaged_and_checks_the_rest(samsegmenter, models_folder):
    (models_folder / "sam2.1_hiera_tiny.pt").write_bytes(b"damaged")
    outcome = samsegmenter("models", "verify")
    assert refused(outcome, "sam2.1_hiera_tiny.pt: is not the file published as sam2.1-hiera-tiny", "models remove sam2.1-hiera-tiny")
    assert "samsegmenter-pico\tas it should be" in outcome.out
    assert refused(samsegmenter("models", "verify", "sam2-hiera-large"), "models get sam2-hiera-large")
