"""The rooms and their floors: imports point downwards only, run in no circles, and the library knows no host."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import SAMSegmenterLib
from pictures.architecture import drawn

ROOT = Path(SAMSegmenterLib.__file__).parent
HOSTS = {"slicer", "qt", "ctk", "vtk", "SegmentEditorEffects", "PySide2", "PySide6", "PythonQt", "trame"}
# Filters of Slicer to compare with; `slicer` is then the module of PyPI's slicer-core, without an application.
FILTERS = "evaluation.methods.slicer_filters", {"slicer"}

# What runs inside Slicer, and nothing else, may import these.
FACES = {"SegmentEditorEffect", "in_slicer"}
SLICER = {"slicer", "qt", "ctk", "vtk", "SegmentEditorEffects", "qSlicerSegmentationsEditorEffectsPythonQt"}

# From the ground up: a file may import what stands on its own floor or below it. A room within a room is named with its house.
FLOORS = [
    {"__init__", "errors", "fields", "files", "json_text", "packages", "worker"},
    {"image"},
    {"imageio", "measuring"},
    {"prompts"},
    {"phantom"},
    {"models"},
    {"evidence", "network"},
    {"keyframes"},
    {"propagation"},
    {"session"},
    {"evaluation.methods"},
    {"evaluation"},
    {"evaluation.report", "training"},
    {"cli"},
    {"in_slicer.mrml", "in_slicer.pump"},
    {"in_slicer.module"},
    {"in_slicer.effect"},
    {"in_slicer", "SegmentEditorEffect"},
]
ROOMS = set.union(*FLOORS)
# The plain types need no more than this.
PLAIN = {"__init__", "errors", "fields", "files", "json_text", "packages", "image", "prompts"}
PLAIN_NEEDS = {"numpy", "PIL", *sys.stdlib_module_names}
# Only here may these libraries be imported.
HOMES = {
    "SimpleITK": {"evaluation", "imageio", "keyframes", "measuring"},  # the last for the components of an object
    "pydicom": {"imageio"},
    "nibabel": {"imageio"},
    "psutil": {"session"},
    "scipy": {"evaluation"},
    "matplotlib": {"training"},
    "typer": {"cli"},
    "rich": {"cli"},
    "requests": {"models"},
    "filelock": {"models"},
    "torch": {"evaluation", "evidence", "keyframes", "models", "network", "propagation", "training"},
    "segment_anything": {"models"},
    "timm": {"models"},
    "sam2": {"models"},
    **{name: set() for name in ("hydra", "omegaconf", "antlr4", "iopath")},  # sam2 imports them, and nothing here does
    "safetensors": {"models", "session", "training"},
}
# What loads torch, or what is slow to load besides.
HEAVY = {
    *("evaluation", "evidence", "keyframes", "network", "propagation", "training"),
    *("session.composition", "session.run", "session.saving", "session.session"),
}


def name_of(path):
    """The dotted name of a file of the library, without the library's own; a package's is the name of its folder."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


BELOW_THE_API = [name for name in FILES if name != "__init__"]  # which imports what it offers when that is first used


def within(name, names):
    """The longest of `names` that a dotted name lies in; empty if none."""
    return max((each for each in names if name == each or name.startswith(f"{each}.")), key=len, default="")


def house(name):
    return name.split(".")[0]


@cache
def tree(name):
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


def own(name, nodes=None):
    """The library's own files that a file imports, wherever in it, or by `nodes` alone."""
    package = name.split(".") if FILES[name].name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(tree(name)) if nodes is None else nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            base = ".".join(part for part in base if part and part != "__init__")
            for alias in node.names:
                inner = f"{base}.{alias.name}".strip(".")
                found.add(inner if inner in FILES else base or "__init__")
    return found


def outside(name):
    """The outside libraries that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def floor(name):
    room = within(name, ROOMS)
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imports_of_rooms():
    """Of each room, the other rooms that its files import."""
    found = {room: set() for room in ROOMS}
    for name in BELOW_THE_API:
        found[within(name, ROOMS)] |= {within(other, ROOMS) for other in own(name)} - {within(name, ROOMS)}
    return found


@pytest.mark.parametrize("name", BELOW_THE_API)
def test_imports_point_downwards(name):
    higher = {other for other in own(name) if floor(other) > floor(name)}
    assert not higher, f"{name} imports {higher} from above"


def test_imports_run_in_no_circles():
    assert list(TopologicalSorter({name: own(name) for name in BELOW_THE_API}).static_order())


@pytest.mark.parametrize("name", FILES)
def test_outside_libraries_stay_at_home(name):
    found = outside(name)
    allowed = SLICER if house(name) in FACES else FILTERS[1] if name == FILTERS[0] else set()
    assert not found & HOSTS - allowed, f"{name} imports a host"
    assert ROOT.name not in found, f"{name} imports the library by its name, past the check of the floors"
    strangers = {library for library in found & HOMES.keys() if house(name) not in HOMES[library]}
    assert not strangers, f"{name} imports {strangers}"


@pytest.mark.parametrize("name", [name for name in FILES if house(name) in PLAIN])
def test_plain_types_need_numpy_and_pillow_only(name):
    assert outside(name) <= PLAIN_NEEDS, f"{name} imports {outside(name) - PLAIN_NEEDS}"


def test_models_do_not_know_what_they_are_used_for():
    for name in FILES:
        if house(name) == "models":
            assert not {house(other) for other in own(name)} - {"models", "errors", "files", "packages"}, name


def test_one_file_alone_imports_sam2():
    assert [name for name in FILES if "sam2" in outside(name)] == ["models.sam2_package"]


def test_every_file_has_a_floor():
    assert {within(name, ROOMS) for name in FILES} == ROOMS


def test_the_picture_of_the_rooms_shows_the_imports_that_there_are():
    picture = (ROOT.parents[1] / "docs" / "architecture.svg").read_text(encoding="utf-8")
    assert picture == drawn(FLOORS, imports_of_rooms()), "draw it anew: python Testing/pictures/architecture.py docs/architecture.svg"


def test_faces_of_slicer_reach_torch_on_the_worker_only():
    """Slicer starts, and the effect explains what is missing, without torch: such imports stand inside functions."""
    for name in FILES:
        if house(name) in FACES or name == "session.background":
            heavy = {other for other in own(name, tree(name).body) if within(other, HEAVY)}
            assert not heavy, f"{name} imports {heavy} at once"


def test_command_line_starts_without_loading_torch():
    code = "import SAMSegmenterLib.cli.main, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT.parent)
