"""A package that does not load is named with what is to blame, who else uses it, and the remedy."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from SAMSegmenterLib.errors import PackageError
from SAMSegmenterLib.packages import check_antlr, check_numpy, import_explained

LIBRARY = Path(__file__).parents[2] / "SAMSegmenter"


def installed(folder, name, version, needs=(), code=""):
    """A package of one module that Python finds in `folder`."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(code, encoding="utf-8")
    record = folder / f"{module}-{version}.dist-info"
    record.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    (record / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (record / "top_level.txt").write_text(module, encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("tiny_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("used", "says"),
    [
        ("raise ValueError('Could not read version 3 (expected 4).')", r"Could not read version 3 \(expected 4\)"),
        ("", "cannot import name 'wanted' from 'tiny_reader'"),
    ],
    ids=["raises when it is imported", "lacks a name"],
)
def test_another_version_is_blamed_on_its_package(used, says, folder):
    installed(folder, "tiny-reader", "4.13", code=used)
    installed(folder, "tiny-network", "1.0", needs=["tiny-reader==4.9.*"], code="from tiny_reader import wanted")
    installed(folder, "other-extension", "2.0", needs=["tiny-reader (>=4.13)", "numpy; extra == 'test'"])
    with pytest.raises(PackageError) as refusal, import_explained("tiny_network", "tiny-network"):
        import tiny_network  # noqa: F401
    text = str(refusal.value)
    assert "tiny_network does not load because of tiny-reader 4.13, which does not fit" in text
    assert "It may be of another extension; other-extension, tiny-network use it, too" in text
    assert "press 'Repair'" in text
    assert "pip install --force-reinstall tiny-network" in text
    assert ".." not in text
    refusal.match(says)


def test_a_package_that_is_not_there_is_named(folder):
    missing = r"because of tiny-network, which is not installed .* pip install it$"
    with pytest.raises(PackageError, match=missing), import_explained("tiny_network", "it"):
        import tiny_network  # noqa: F401


@pytest.mark.parametrize(("torch", "numpy", "fits"), [("2.2.2", "2.4.6", False), ("2.2.2+cpu", "1.26.4", True), ("2.14.1", "2.4.6", True)])
def test_a_numpy_that_is_too_new_for_torch_is_named(torch, numpy, fits, monkeypatch):
    monkeypatch.setattr(metadata, "version", {"torch": torch, "numpy": numpy}.get)
    if fits:
        check_numpy()
    else:
        with pytest.raises(PackageError, match=r"PyTorch 2\.2\.2 does not work with numpy 2\.4\.6.*numpy<2"):
            check_numpy()


@pytest.mark.parametrize(
    ("version", "needed", "fits"),
    [
        ("4.13.2", "==4.9.*", False),
        ("4.10", "(==4.9.*)", False),
        ("4.9.3", "==4.9.*", True),
        ("4.7.2", "==4.9.*", True),
        ("4.13.2", ">=4.13", True),
    ],
)
def test_an_antlr4_that_is_too_new_for_hydra_is_named(version, needed, fits, folder):
    installed(folder, "antlr4-python3-runtime", version)
    installed(folder, "hydra-core", "1.3.2", needs=[f"antlr4-python3-runtime {needed}"])
    if fits:
        check_antlr()
        return
    blamed = rf"sam2 does not load because of antlr4-python3-runtime {version}, which does not fit .*\"antlr4-python3-runtime==4\.9\.\*\""
    with pytest.raises(PackageError, match=blamed), import_explained("sam2", "it"):
        check_antlr()


def test_sam2_with_a_broken_omegaconf_names_it(tmp_path):
    (tmp_path / "omegaconf.py").write_text("", encoding="utf-8")
    code = f"""
import sys
sys.path[:0] = [{str(tmp_path)!r}, {str(LIBRARY)!r}]
from SAMSegmenterLib.errors import PackageError
try:
    import SAMSegmenterLib.models.loading, SAMSegmenterLib.models.sam2_package
except PackageError as error:
    print(error)
"""
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "sam2 does not load because of omegaconf" in text
    assert '"omegaconf<2.4,>=2.2"' in text
