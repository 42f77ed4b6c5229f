"""What is needed in Slicer and what is missing, wheels by hand, and the self-test."""

import json
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SAMSegmenterLib.errors import CheckpointError, InputError
from SAMSegmenterLib.in_slicer.module import requirements, wheels
from SAMSegmenterLib.in_slicer.module.requirements import SAM2, TORCH, Requirement
from SAMSegmenterLib.in_slicer.module.selftest import LEAST_DICE, SelfTestResult, self_test
from SAMSegmenterLib.models import catalog
from SAMSegmenterLib.models.storage import store
from SAMSegmenterLib.session.background import RunProgress

REPOSITORY = Path(__file__).parents[3]
FAMILIES = REPOSITORY / "SAMSegmenter" / "SAMSegmenterLib" / "models" / "families"
WITH_SLICER = {"numpy>=1.26", "pydicom>=3", "requests>=2.31", "SimpleITK>=2.3"}
ON_THE_COMMAND_LINE = {"nibabel>=5.2", "psutil>=5.9", "rich>=13", "typer>=0.12"}
THIS_PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"
TINY = Requirement("samsegmenter-tiny", "1.0", "samsegmenter_tiny")
OTHER_SYSTEM = "macosx_11_0_arm64" if sys.platform != "darwin" else "win_amd64"


def wheel(folder, name, version, tags="py3-none-any"):
    """A wheel of an empty package that pip can install."""
    module, path = name.replace("-", "_"), folder / f"{name.replace('-', '_')}-{version}-{tags}.whl"
    record = f"{module}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}.py", "")
        archive.writestr(f"{record}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{record}/WHEEL", f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tags}\n")
        archive.writestr(f"{record}/RECORD", "")
    return path


def pip(*arguments):
    return subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True)


# ---------------------------------------------------------------- requirements


def test_what_pip_would_install_is_what_slicer_installs():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    stated = re.findall(r'"([\w.-]+>=[\w.]+)[;"]', text.partition("dependencies = [")[2].partition("\n]")[0])
    assert {each.specifier for each in requirements.for_computer("linux", "x86_64")} == {
        *(set(stated) - WITH_SLICER - ON_THE_COMMAND_LINE),
        SAM2.specifier,  # which pip must not be given with what it asks for
    }
    assert f"mobile = {json.dumps([requirements.TIMM.specifier])}" in text


def test_sam2_is_asked_for_alike_wherever_it_is_installed():
    for path in ("Makefile", "docs/tutorial.md", "SAMSegmenter/SAMSegmenterLib/models/sam2_package.py"):
        assert SAM2.specifier in (REPOSITORY / path).read_text(encoding="utf-8"), path
    assert f"SAM2_SOURCE := {requirements.SAM2_SOURCE.specifier}" in (REPOSITORY / "Makefile").read_text(encoding="utf-8")


def test_families_that_need_more_name_it_before_a_download(monkeypatch):
    families = {entry.family for entry in catalog.entries()}
    using_timm = {path.stem for path in FAMILIES.glob("*.py") if "from timm" in path.read_text(encoding="utf-8")}
    assert set(requirements.OPTIONAL) == using_timm <= families
    for family in families:
        requirements.check_family(family)
    monkeypatch.setattr(requirements, "_version", lambda requirement: None)
    requirements.check_family("sam2")
    with pytest.raises(InputError, match="timm"):
        requirements.check_family("edgetam")


def test_everything_is_found_here_with_its_version():
    found = {finding.requirement: finding for finding in requirements.find()}
    assert found[TORCH].version == metadata.version("torch")
    assert all(finding.is_enough for finding in found.values())
    assert requirements.missing() == []


def test_a_package_that_is_not_there_is_missing():
    assert requirements.missing([TINY]) == [TINY]
    assert requirements.find([TINY])[0].version is None


def test_a_package_that_is_too_old_is_missing():
    future = Requirement("numpy", "1000.0", "numpy")
    assert requirements.missing([future]) == [future]
    assert requirements.find([future])[0].version == metadata.version("numpy")


def test_a_package_of_which_only_the_record_is_left_is_missing():
    remains = Requirement("numpy", "1.0", "a_module_that_is_gone")
    assert requirements.missing([remains]) == [remains]


def test_looking_imports_nothing():
    code = """
import sys
from SAMSegmenterLib.in_slicer.module import requirements, selftest, wheels
assert requirements.find()
print({"torch", "torchvision", "sam2", "hydra", "safetensors"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY / "SAMSegmenter")
    assert done.stdout.strip() == "set()"


@given(st.lists(st.integers(0, 300), min_size=1, max_size=4), st.sampled_from(["", "+cu124", "rc1", ".post1", ".dev20250101", "a0"]))
def test_releases_compare_as_numbers(numbers, suffix):
    version = ".".join(map(str, numbers))
    larger = ".".join(map(str, [*numbers[:-1], numbers[-1] + 1]))
    assert requirements.release(version + suffix) == requirements.release(version) == requirements.release(version + ".0")
    assert requirements.release(version) < requirements.release(larger)


def test_sam2_is_found_in_either_package(monkeypatch):
    versions = {"sam2": "1.1.0"}
    monkeypatch.setattr(requirements, "_version", lambda requirement: versions.get(requirement.name))
    assert requirements.missing([SAM2]) == []
    versions["sam2"] = "0.4"
    assert requirements.missing([SAM2]) == [SAM2]
    versions["rf-sam-2"] = "1.0.3"
    assert requirements.missing([SAM2]) == []


def test_intel_macs_need_an_old_numpy():
    assert requirements.OLD_NUMPY in requirements.for_computer("darwin", "x86_64")
    assert requirements.OLD_NUMPY not in requirements.for_computer("darwin", "arm64")
    assert requirements.OLD_NUMPY in requirements.for_computer("linux", "x86_64", "2.2.2+cu121")
    assert requirements.OLD_NUMPY not in requirements.for_computer("linux", "x86_64", "2.14.1")
    assert requirements.OLD_NUMPY.allows("1.26.4")
    assert not requirements.OLD_NUMPY.allows("2.0")


def test_packages_that_do_not_load_are_found(tmp_path, monkeypatch):
    code_of = {"tiny_good": "", "tiny_bad": "import nothing_of_that_name", "tiny_crash": "import os; os._exit(3)", "tiny_last": ""}
    for name, code in code_of.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    needed = [Requirement(name, "1.0", name) for name in code_of]
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(requirements, "_version", lambda requirement: "1.0")
    assert requirements.broken(needed) == needed[1:3]


# ---------------------------------------------------------------- wheels


def test_a_folder_of_wheels_is_compared_with_what_is_needed(tmp_path):
    wheel(tmp_path, "samsegmenter-tiny", "1.2")
    found = wheels.look_into(tmp_path, [TINY, SAM2])
    assert found.found[TINY].version == "1.2"
    assert found.lacking == [SAM2]
    assert found.unfit == []


@pytest.mark.parametrize(("name", "version"), [("rf-sam-2", "1.0.3"), ("sam2", "1.1.0")])
def test_either_wheel_of_sam2_is_installed_without_what_it_asks_for(name, version, tmp_path):
    wheel(tmp_path, name, version)
    wheel(tmp_path, "samsegmenter-tiny", "1.2")
    others, sam2 = wheels.look_into(tmp_path, [TINY, SAM2]).pip_arguments
    assert others[-1] == TINY.specifier
    assert sam2[-2:] == ["--no-deps", f"{name}=={version}"]


@pytest.mark.parametrize(
    ("version", "tags"),
    [
        ("0.9", "py3-none-any"),
        ("1.2", "cp27-cp27m-any"),
        ("1.2", f"{THIS_PYTHON}-{THIS_PYTHON}-{OTHER_SYSTEM}"),
    ],
    ids=["too old", "another Python", "another system"],
)
def test_a_wheel_that_does_not_fit_is_named(tmp_path, version, tags):
    path = wheel(tmp_path, "samsegmenter-tiny", version, tags)
    found = wheels.look_into(tmp_path, [TINY])
    assert found.lacking == [TINY]
    assert found.unfit == [path.name]


def test_wheels_of_this_python_and_system_fit():
    listing = pip("debug", "--verbose").stdout
    tags = [tuple(line.strip().split("-")) for line in listing.splitlines() if line.startswith("  cp") and line.count("-") == 2]
    first = tags[0]
    assert wheels.Wheel("torch", "2.6", first).fits_here
    assert wheels.Wheel("safetensors", "0.4", ("cp38", "abi3", first[2])).fits_here


def test_a_name_is_read_with_build_number_and_local_version():
    read = wheels.Wheel.read(Path("Ruamel.Yaml_clib-0.2.8+cu124-1-py2.py3-none-any.whl"))
    assert (read.name, read.version, read.tags) == ("ruamel-yaml-clib", "0.2.8+cu124", ("py2.py3", "none", "any"))
    assert wheels.Wheel.read(Path("notes.whl")) is None


def test_a_folder_without_wheels_is_refused(tmp_path):
    with pytest.raises(InputError, match="there are no wheels"):
        wheels.look_into(tmp_path)


def test_pip_installs_from_the_folder_without_a_network(tmp_path):
    folder, target = tmp_path / "some wheels", tmp_path / "installed"
    folder.mkdir()
    wheel(folder, "samsegmenter-tiny", "1.2")
    (arguments,) = wheels.look_into(folder, [TINY]).pip_arguments
    done = pip("install", "--target", str(target), *arguments)
    assert done.returncode == 0, done.stderr
    assert (target / "samsegmenter_tiny.py").is_file()


def test_commands_for_another_computer_name_every_package():
    text = wheels.commands()
    assert all(f'"{each.specifier}"' in text for each in requirements.ALL)
    assert f'--no-deps "{SAM2.specifier}"' in text


# ---------------------------------------------------------------- self-test


def test_self_test_works_with_the_network_that_ships():
    *steps, outcome = self_test(lambda: False, "cpu")
    assert outcome.works
    assert set(outcome.dice) == {"liver", "kidney_right"}
    assert all(isinstance(step, RunProgress) for step in steps)
    assert outcome.slices == steps[-1].done > 20
    assert 0 < outcome.ms_per_slice < 5000
    assert "cpu" in outcome.device


def test_a_cancelled_self_test_has_no_outcome():
    taken = []
    for step in self_test(lambda: len(taken) >= 3, "cpu"):
        taken.append(step)
    assert len(taken) == 3
    assert all(isinstance(step, RunProgress) for step in taken)


def test_bad_masks_are_not_called_working():
    outcome = SelfTestResult({"liver": 0.95, "kidney_right": LEAST_DICE - 0.01}, 40, 2.0, "cpu", "float32", [])
    assert not outcome.works
    assert outcome.ms_per_slice == 50


def test_self_test_without_its_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHIPPED", tmp_path)
    with pytest.raises(CheckpointError, match="Install SAMSegmenter again"):
        next(self_test(lambda: False, "cpu"))
