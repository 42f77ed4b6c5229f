"""Every file of the library reaches its users: through CMake in Slicer, through pip elsewhere."""

import re
from pathlib import Path

import SAMSegmenterLib

LIBRARY = Path(SAMSegmenterLib.__file__).parent
REPOSITORY = Path(__file__).parents[2]


def library_files():
    files = (path for path in LIBRARY.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(LIBRARY.parent).as_posix() for path in files}


def test_cmake_lists_every_file_of_the_library():
    text = (LIBRARY.parent / "CMakeLists.txt").read_text(encoding="utf-8")
    listed = re.findall(r"^\s*(SAMSegmenterLib/\S+)$", text, re.MULTILINE)
    assert len(set(listed)) == len(listed), "a file is listed twice"
    assert set(listed) == library_files()


def test_pip_packages_every_file_that_is_not_python():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    patterns = re.search(r"^SAMSegmenterLib = \[(.*)\]$", text, re.MULTILINE).group(1)
    packaged = {path for pattern in re.findall(r'"([^"]+)"', patterns) for path in LIBRARY.glob(pattern) if path.is_file()}
    wanted = {LIBRARY.parent / name for name in library_files() if not name.endswith(".py")}
    assert packaged == wanted


def test_license_and_version_are_stated():
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{SAMSegmenterLib.__version__}]" in changelog
