"""Every file reaches its users: through CMake in Slicer, through pip elsewhere; and the Extensions Index takes what it reads."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import pytest
from PIL import Image

import SAMSegmenterLib

LIBRARY = Path(SAMSegmenterLib.__file__).parent
MODULE = LIBRARY.parent
REPOSITORY = Path(__file__).parents[2]
ICON_PX = 128
FACES = "SegmentEditorEffect", "in_slicer"
IN_SLICER = "SAMSegmenter", *(f"SAMSegmenterLib.{name}" for name in FACES)

# slicer-extension-catalog-entry-schema-v1.0.2.json of Slicer: required properties, and the others with their types.
INDEX_REQUIRED = {"$schema": str, "category": str, "scm_url": str}
INDEX_OPTIONAL = {"scm_revision": str, "scm_type": str, "build_dependencies": list, "build_subdirectory": str, "enabled": bool, "tier": int}
INDEX_OPTIONAL |= {"dicom_support_rule": str}
INDEX_TIERS = {1, 3, 5}


def cmake(path):
    return path.read_text(encoding="utf-8")


def setting(name):
    """A variable of the top-level CMakeLists.txt: one literal in quotes, as the index's checks read it."""
    return re.search(rf'set\({name} "([^"]*)"\)', cmake(REPOSITORY / "CMakeLists.txt")).group(1)


def cmake_list(name):
    body = re.search(rf"set\({name}\n(.*?)\n\)", cmake(MODULE / "CMakeLists.txt"), re.DOTALL).group(1)
    return body.split()


def listed_files():
    return cmake_list("MODULE_PYTHON_SCRIPTS") + cmake_list("MODULE_PYTHON_RESOURCES")


def modules():
    """Every Python module that CMake lists, as it is imported."""
    return [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in cmake_list("MODULE_PYTHON_SCRIPTS")]


def is_of_slicer(name):
    return any(name == part or name.startswith(f"{part}.") for part in IN_SLICER)


def files_in(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(MODULE).as_posix() for path in files}


def library_files():
    return files_in(LIBRARY)


@pytest.fixture(scope="module")
def an_installation(tmp_path_factory):
    """The folder of an installed extension: what CMake lists, and nothing else."""
    folder = tmp_path_factory.mktemp("qt-scripted-modules")
    for name in listed_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(MODULE / name, folder / name)
    return folder


def run_in(folder, code):
    """What code prints that finds the installation first, and the test host."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "Testing" / "host")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- lists


def test_cmake_lists_every_file_of_module_and_library():
    listed = listed_files()
    assert len(set(listed)) == len(listed), "a file is listed twice"
    assert set(listed) == library_files() | files_in(MODULE / "Resources") | {"SAMSegmenter.py"}


def test_cmake_tells_python_from_other_files():
    assert all(name.endswith(".py") for name in cmake_list("MODULE_PYTHON_SCRIPTS"))
    assert not any(name.endswith(".py") for name in cmake_list("MODULE_PYTHON_RESOURCES"))


def test_cmake_runs_every_self_test():
    tests = REPOSITORY / "Testing" / "Python"
    listed = re.findall(r"slicer_add_python_unittest\(SCRIPT (\S+)\)", cmake(tests / "CMakeLists.txt"))
    assert sorted(listed) == sorted(path.name for path in tests.glob("*.py"))
    assert "add_subdirectory(Testing/Python)" in cmake(REPOSITORY / "CMakeLists.txt")
    assert "WITH_GENERIC_TESTS" in cmake(MODULE / "CMakeLists.txt")


def test_pip_packages_every_file_that_is_not_python():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    patterns = re.search(r"^SAMSegmenterLib = \[(.*)\]$", text, re.MULTILINE).group(1)
    packaged = {path for pattern in re.findall(r'"([^"]+)"', patterns) for path in LIBRARY.glob(pattern) if path.is_file()}
    wanted = {MODULE / name for name in library_files() if not name.endswith(".py")}
    assert packaged == wanted


# ---------------------------------------------------------------- an installation


def test_an_installation_segments(an_installation):
    code = f"""
import importlib
for name in {[name for name in modules() if not is_of_slicer(name)]}:
    importlib.import_module(name)
import SAMSegmenterLib
from SAMSegmenterLib.in_slicer.module.selftest import self_test
print(SAMSegmenterLib.__file__)
*_, outcome = self_test(lambda: False, "cpu")
assert outcome.works, outcome
"""
    assert str(an_installation) in run_in(an_installation, code)


def test_an_installation_loads_as_a_module_with_its_effect(an_installation):
    code = f"""
import importlib, slicerhost
host = slicerhost.start()
module = host.load_module({str(an_installation / "SAMSegmenter.py")!r})
host.finish_startup()
import SAMSegmenterLib
panel = module.widgetRepresentation().self().panel
editor = host.make_editor()
assert editor.effectByName("SAMSegmenter") is not None
assert panel is not None and not host.exceptions
for name in {[name for name in modules() if is_of_slicer(name)]}:
    importlib.import_module(name)
print(SAMSegmenterLib.__file__)
module.cleanup()
slicerhost.stop()
"""
    assert str(an_installation) in run_in(an_installation, code)


# ---------------------------------------------------------------- the Extensions Index


def test_description_for_the_index_is_valid():
    entry = json.loads((REPOSITORY / "SAMSegmenter.json").read_text(encoding="utf-8"))
    allowed = INDEX_REQUIRED | INDEX_OPTIONAL
    assert INDEX_REQUIRED.keys() <= entry.keys() <= allowed.keys()
    assert all(isinstance(value, allowed[name]) for name, value in entry.items())
    assert entry["tier"] in INDEX_TIERS
    assert "v1.0.2" in entry["$schema"]


def test_description_for_the_index_agrees_with_cmake():
    entry = json.loads((REPOSITORY / "SAMSegmenter.json").read_text(encoding="utf-8"))
    project = re.search(r"project\((\w+)\)", cmake(REPOSITORY / "CMakeLists.txt")).group(1)
    assert (REPOSITORY / f"{project}.json").is_file()
    assert entry["build_dependencies"] == setting("EXTENSION_DEPENDS").split()
    assert entry["category"] == setting("EXTENSION_CATEGORY")
    assert entry["scm_url"] == setting("EXTENSION_HOMEPAGE")
    assert Path(urlparse(entry["scm_url"]).path).name == f"Slicer{project}"


@pytest.mark.parametrize("name", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_pictures_for_the_index_are_in_the_repository(name):
    for url in setting(name).split():
        path = urlparse(url).path.split("/main/")[1]
        assert (REPOSITORY / path).is_file(), path


@pytest.mark.parametrize("folder", [REPOSITORY, MODULE], ids=["extension", "module"])
def test_icons_have_the_size_that_slicer_recommends(folder):
    with Image.open(folder / "Resources" / "Icons" / "SAMSegmenter.png") as icon:
        assert icon.format == "PNG"
        assert icon.size == (ICON_PX, ICON_PX)


def test_pictures_and_files_that_the_tutorial_names_are_there():
    page = REPOSITORY / "docs" / "tutorial.md"
    named = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [name for name in named if not urlparse(name).scheme]
    assert len(local) >= 4
    missing = [name for name in local if not (page.parent / name).is_file()]
    assert not missing


def test_license_and_version_are_stated():
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{SAMSegmenterLib.__version__}]" in changelog
