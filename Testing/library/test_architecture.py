"""The layers: imports point downwards only, and the library knows no host."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import SAMSegmenterLib

ROOT = Path(SAMSegmenterLib.__file__).parent
HOSTS = {"slicer", "qt", "ctk", "vtk", "SegmentEditorEffects", "PySide2", "PySide6", "PythonQt", "trame"}
# Filters of Slicer to compare with; `slicer` is then the module of PyPI's slicer-core, without an application.
FILTERS = Path("evaluation", "slicer_filters.py"), {"slicer"}

# What runs inside Slicer, and nothing else, may import these.
FACES = {"mrml", "pump", "effect", "setup", "SegmentEditorEffect"}
SLICER = {"slicer", "qt", "ctk", "vtk", "SegmentEditorEffects", "qSlicerSegmentationsEditorEffectsPythonQt"}

# From the ground up: a module may import what stands in its own layer or below it.
LAYERS = [
    {
        *("__init__", "errors", "fields", "json_text", "files", "packages", "usage", "worker"),
        *("volume", "extent", "padding", "focus", "window", "view", "frames", "layers", "prompts", "prompts_io", "marks", "marking"),
    },
    {"models", "propagation", "phantom"},
    {"composition", "summary", "session", "session_io", "slicewise"},
    {"runs", "interaction"},
    {"imageio", "overlay"},
    {"evaluation", "training"},
    {"cli_common", "cli_streams"},
    {"cli_runs"},
    {"cli_demo", "cli_evaluate", "cli_info", "cli_models", "cli_propagate", "cli_train"},
    {"cli"},
    {"mrml", "pump"},
    {"setup"},
    {"effect"},
    {"SegmentEditorEffect"},
]
# The plain types need no more than this.
PLAIN = LAYERS[0] - {"usage", "worker"}
PLAIN_NEEDS = {"numpy", "PIL", *sys.stdlib_module_names}
# Only here may these libraries be imported.
HOMES = {
    "SimpleITK": {"evaluation", "imageio", "propagation"},
    "pydicom": {"imageio"},
    "nibabel": {"imageio"},
    "psutil": {"usage"},
    "scipy": {"evaluation"},
    "matplotlib": {"training"},
    "typer": {"cli", "cli_common", "cli_demo", "cli_evaluate", "cli_info", "cli_models", "cli_propagate", "cli_runs", "cli_train"},
    "rich": {"cli_evaluate", "cli_models", "cli_runs", "cli_train"},
    "requests": {"models"},
    "filelock": {"models"},
    "torch": {"evaluation", "models", "propagation", "training"},
    "segment_anything": {"models"},
    "timm": {"models"},
    "sam2": {"models"},
    **{name: set() for name in ("hydra", "omegaconf", "antlr4", "iopath")},  # sam2 imports them, and nothing here does
    "safetensors": {"models", "session_io", "training"},
}


def modules():
    return sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def part(path):
    """The top-level module or package of the library that a file belongs to."""
    return path.parts[0].removesuffix(".py")


def imports(path):
    """The outside libraries and the own parts that a file imports, wherever in it."""
    outside, own = set(), set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            outside.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            folder = path.parent.parts[: len(path.parent.parts) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            parts = {(*folder, *name.split("."))[0] for name in names}
            own |= {name if name in set.union(*LAYERS) else "__init__" for name in parts}
    return outside, own


def layer(name):
    return next(number for number, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("path", modules(), ids=str)
def test_imports_point_downwards(path):
    _, own = imports(path)
    higher = {name for name in own if layer(name) > layer(part(path))}
    assert not higher, f"{path} imports {higher} from above"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_outside_libraries_stay_at_home(path):
    outside, _ = imports(path)
    allowed = SLICER if part(path) in FACES else FILTERS[1] if path == FILTERS[0] else set()
    assert not outside & HOSTS - allowed, f"{path} imports a host"
    assert ROOT.name not in outside, f"{path} imports the library by its name, past the check of the layers"
    strangers = {name for name in outside & HOMES.keys() if part(path) not in HOMES[name]}
    assert not strangers, f"{path} imports {strangers}"


@pytest.mark.parametrize("path", [path for path in modules() if part(path) in PLAIN], ids=str)
def test_plain_types_need_numpy_and_pillow_only(path):
    outside, _ = imports(path)
    assert outside <= PLAIN_NEEDS, f"{path} imports {outside - PLAIN_NEEDS}"


def test_models_do_not_know_what_they_are_used_for():
    for path in modules():
        if part(path) == "models":
            assert not imports(path)[1] - {"models", "errors", "files", "packages"}, path


def test_one_module_alone_imports_sam2():
    assert [path for path in modules() if "sam2" in imports(path)[0]] == [Path("models", "sam2_package.py")]


def test_every_module_has_a_layer():
    assert {part(path) for path in modules()} == set.union(*LAYERS)


def test_faces_of_slicer_reach_torch_on_the_worker_only():
    """Slicer starts, and the effect explains what is missing, without torch: such imports stand inside functions."""
    for path in modules():
        if part(path) in FACES | {"interaction"}:
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            names = {name for node in tree.body if isinstance(node, ast.ImportFrom) for name in (node.module or "").split(".")[:1]}
            assert not names & {"session", "propagation", "training", "evaluation", "runs", "composition"}, path


def test_command_line_starts_without_loading_torch():
    code = "import SAMSegmenterLib.cli.main, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT.parent)
