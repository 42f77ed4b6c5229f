"""Installing packages from the module's panel: shown, confirmed once, and told how it went."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from SAMSegmenterLib.in_slicer.module import requirements, wheels
from SAMSegmenterLib.in_slicer.module.requirements import SAM2

NAMES = [each.name for each in requirements.ALL]


class Computer:
    """What is installed on it, as far as the panel can tell; and what was done to it, in order."""

    def __init__(self, host):
        self.host, self.versions, self.done = host, dict.fromkeys(NAMES, "99.0"), []
        host.packaging.installer = self.pip

    def lacks(self, *names):
        for name in names:
            self.versions[name] = None

    def pip(self, arguments):
        said = [each for each in arguments if each != "-c" and not each.endswith("constraints.txt")]
        self.done.append((said, os.environ.get("SAM2_BUILD_CUDA")))
        for argument in arguments:
            name, found, version = argument.replace("==", ">=").partition(">=")
            if found:
                self.versions[name] = version.partition(",")[0]

    def uninstall_torch(self):
        self.done.append("torch was uninstalled")

    def install_torch(self, **wishes):
        self.done.append(wishes)
        self.versions |= {"torch": self.versions["torch"] or "2.6.0", "torchvision": "0.21.0"}


@pytest.fixture
def a_computer(slicer_host, the_panel, monkeypatch):
    computer = Computer(slicer_host)
    monkeypatch.delenv("SAM2_BUILD_CUDA", raising=False)  # the project's own installation has set it
    monkeypatch.setattr(requirements, "_version", lambda requirement: computer.versions.get(requirement.name))
    return computer


@pytest.fixture
def pytorch_extension(a_computer, monkeypatch):
    """Installed as Slicer's extension PyTorch."""
    module = ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = type(
        "PyTorchUtilsLogic",
        (),
        {
            "installTorch": lambda self, **wishes: a_computer.install_torch(**wishes),
            "uninstallTorch": lambda self: a_computer.uninstall_torch(),
        },
    )
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)


@pytest.fixture
def slicer_5_10(monkeypatch):
    """Has no `slicer.packaging`."""
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)


def press_install(panel):
    panel.packages.update()
    panel.packages.install_button.click()


# ---------------------------------------------------------------- from the network


def test_everything_is_listed_in_one_question(slicer_host, the_panel, a_computer, pytorch_extension):
    a_computer.lacks(*NAMES)
    press_install(the_panel)
    (question,) = slicer_host.user.texts("question")
    for requirement in requirements.NEEDED:
        assert requirement.specifier in question
    assert "pytorch.org" in question
    assert "Python Package Index" in question


def test_torch_comes_first_and_sam2_without_what_it_asks_for(slicer_host, the_panel, a_computer, pytorch_extension):
    a_computer.lacks("torch", "torchvision", "rf-sam-2", "hydra-core")
    press_install(the_panel)
    torch, others, sam2 = a_computer.done
    assert torch == {"askConfirmation": False, "torchVersionRequirement": ">=2.2.2", "torchvisionVersionRequirement": ">=0.17.2"}
    assert others == (["hydra-core>=1.3.2"], None)
    assert sam2 == (["--no-deps", "rf-sam-2>=1.0.3"], None)
    assert the_panel.packages.summary.text == "Everything is installed."
    assert not slicer_host.user.texts("error")


def test_without_a_wheel_sam2_is_built_from_its_sources_without_a_compiler(slicer_host, the_panel, a_computer):
    def pip(arguments):
        if SAM2.specifier in arguments:
            raise subprocess.CalledProcessError(1, "pip install")
        a_computer.pip(arguments)

    slicer_host.packaging.installer = pip
    a_computer.lacks("rf-sam-2")
    press_install(the_panel)
    assert a_computer.done == [(["--no-deps", "--no-build-isolation", "sam2>=1.1"], "0")]
    assert "SAM2_BUILD_CUDA" not in os.environ
    assert the_panel.packages.summary.text == "Everything is installed."


def test_a_torch_that_is_there_stays(slicer_host, the_panel, a_computer, pytorch_extension, monkeypatch):
    a_computer.versions |= {"torch": "2.6.0+cu124", "torchvision": None, "hydra-core": None}
    kept = []

    def pip(arguments):
        kept.append(Path(arguments[arguments.index("-c") + 1]).read_text())
        a_computer.pip(arguments)

    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    slicer_host.packaging.installer = pip
    press_install(the_panel)
    assert a_computer.done[0]["torchVersionRequirement"] == "==2.6.0"
    assert kept == ["torch==2.6.0+cu124"]


def test_on_an_intel_mac_the_plan_tells_of_numpy(slicer_host, the_panel, a_computer, pytorch_extension, monkeypatch):
    mac = requirements.for_computer("darwin", "x86_64")
    monkeypatch.setattr(requirements, "NEEDED", mac)
    monkeypatch.setattr(requirements, "ALL", mac)
    a_computer.versions["numpy"] = "2.4.6"
    a_computer.lacks("torch", "torchvision")
    press_install(the_panel)
    (question,) = slicer_host.user.texts("question")
    assert "numpy>=1.26,<2 takes the place of numpy 2.4.6" in question
    assert "has to be restarted" in question
    assert (["numpy>=1.26,<2"], None) in a_computer.done
    assert "Restart Slicer now" in slicer_host.user.texts("info")[-1]


def test_the_same_in_a_slicer_without_its_own_packaging(slicer_host, the_panel, a_computer, slicer_5_10):
    a_computer.lacks("hydra-core", "safetensors")
    press_install(the_panel)
    assert a_computer.done == [(["hydra-core>=1.3.2", "safetensors>=0.4"], None)]
    assert "Everything that is needed is installed" in slicer_host.user.texts("info")[-1]


def test_a_package_that_is_too_old_is_replaced(slicer_host, the_panel, a_computer):
    a_computer.versions["safetensors"] = "0.3.9"
    press_install(the_panel)
    assert a_computer.done == [(["safetensors>=0.4"], None)]


def test_nothing_happens_if_the_user_declines(slicer_host, the_panel, a_computer, pytorch_extension):
    a_computer.lacks("torch", "rf-sam-2")
    slicer_host.user.will_answer("question", False)
    press_install(the_panel)
    assert a_computer.done == []
    assert the_panel.packages.install_button.enabled
    assert not slicer_host.user.texts("error")


def test_without_the_pytorch_extension_the_user_is_sent_to_it(slicer_host, the_panel, a_computer, monkeypatch):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    a_computer.lacks("torch", "rf-sam-2")
    press_install(the_panel)
    assert "Extensions Manager" in slicer_host.user.texts("error")[0]
    assert a_computer.done == []
    assert not slicer_host.user.texts("question")


def test_a_failure_says_why_and_shows_what_was_reached(slicer_host, the_panel, a_computer):
    def pip(arguments):
        if "--no-deps" in arguments:
            raise subprocess.CalledProcessError(1, "pip install")
        a_computer.pip(arguments)

    slicer_host.packaging.installer = pip
    a_computer.lacks("hydra-core", "rf-sam-2")
    press_install(the_panel)
    (error,) = slicer_host.user.texts("error")
    assert "pip install" in error
    assert "Python console" in error
    shown = {the_panel.packages.table.item(n, 0).text(): the_panel.packages.table.item(n, 2).text() for n in range(len(NAMES))}
    assert shown["hydra-core"] == "1.3.2"
    assert shown["rf-sam-2"].startswith("missing")


def test_what_pip_left_out_is_told(slicer_host, the_panel, a_computer):
    slicer_host.packaging.installer = lambda arguments: None
    a_computer.lacks("hydra-core")
    press_install(the_panel)
    assert "Still missing: hydra-core>=1.3.2" in slicer_host.user.texts("error")[0]


def test_a_restart_is_asked_for_if_something_loaded_was_replaced(slicer_host, the_panel, a_computer, monkeypatch):
    def pip(arguments):
        a_computer.pip(arguments)
        monkeypatch.setattr(metadata.Distribution, "version", "99.0")  # of every package, numpy among them

    slicer_host.packaging.installer = pip
    a_computer.lacks("hydra-core")
    press_install(the_panel)
    assert "Restart Slicer now" in slicer_host.user.texts("info")[-1]


def test_what_only_some_models_need_is_offered_when_all_else_is_there(slicer_host, the_panel, a_computer):
    a_computer.lacks("hydra-core", "timm")
    press_install(the_panel)
    assert "timm" not in slicer_host.user.texts("question")[0]
    assert "can be added" in the_panel.packages.summary.text
    press_install(the_panel)
    assert "timm>=1.0" in slicer_host.user.texts("question")[1]
    assert [arguments for arguments, _ in a_computer.done] == [["hydra-core>=1.3.2"], ["timm>=1.0"]]
    assert the_panel.packages.summary.text == "Everything is installed."
    assert not the_panel.packages.install_button.enabled


# ---------------------------------------------------------------- from a folder


def fill_folder(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def test_packages_are_installed_from_a_folder_without_internet(slicer_host, the_panel, a_computer, tmp_path):
    a_computer.lacks("rf-sam-2", "platformdirs")
    fill_folder(tmp_path, "sam2-1.1.0-py3-none-any.whl", "platformdirs-4.3.6-py3-none-any.whl", "tqdm-4.66.1-py3-none-any.whl")
    the_panel.packages.update()
    slicer_host.user.will_answer("folder", str(tmp_path))
    the_panel.packages.folder_button.click()
    assert "sam2 1.1.0" in slicer_host.user.texts("question")[0]
    source = ["--no-index", "--find-links", str(tmp_path)]
    assert a_computer.done == [([*source, "platformdirs>=4"], None), ([*source, "--no-deps", "sam2==1.1.0"], None)]
    assert the_panel.packages.summary.text == "Everything is installed."


def test_a_folder_that_lacks_wheels_is_refused_and_explained(slicer_host, the_panel, a_computer, tmp_path):
    a_computer.lacks("rf-sam-2", "platformdirs")
    fill_folder(tmp_path, "sam2-1.1.0-py3-none-any.whl", "platformdirs-3.0-py3-none-any.whl")
    the_panel.packages.update()
    slicer_host.user.will_answer("folder", str(tmp_path))
    the_panel.packages.folder_button.click()
    (error,) = slicer_host.user.texts("error")
    assert "lacks wheels of: platformdirs>=4" in error
    assert "platformdirs-3.0-py3-none-any.whl" in error
    assert "pip wheel" in error
    assert a_computer.done == []


def test_for_an_empty_folder_the_user_reads_how_to_fill_it(slicer_host, the_panel, a_computer, tmp_path):
    a_computer.lacks("rf-sam-2")
    the_panel.packages.update()
    slicer_host.user.will_answer("folder", str(tmp_path))
    the_panel.packages.folder_button.click()
    (error,) = slicer_host.user.texts("error")
    assert "there are no wheels" in error
    assert wheels.commands() in error
    assert a_computer.done == []


def test_choosing_no_folder_does_nothing(slicer_host, the_panel, a_computer):
    a_computer.lacks("rf-sam-2")
    the_panel.packages.update()
    the_panel.packages.folder_button.click()
    assert a_computer.done == []
    assert not slicer_host.exceptions


# ---------------------------------------------------------------- repair


def press_repair(panel, monkeypatch, *broken):
    monkeypatch.setattr(requirements, "broken", lambda: [each for each in requirements.ALL if each.name in broken])
    panel.packages.repair_button.click()


def test_what_is_broken_is_installed_again(slicer_host, the_panel, a_computer, monkeypatch):
    press_repair(the_panel, monkeypatch, "safetensors", "timm")
    assert "safetensors>=0.4" in slicer_host.user.texts("question")[0]
    first, then = a_computer.done
    assert first == (["--force-reinstall", "--no-deps", "safetensors>=0.4", "timm>=1.0"], None)
    assert then == (["safetensors>=0.4", "timm>=1.0"], None)


def test_with_a_broken_sam2_comes_what_it_imports_and_what_that_needs(slicer_host, the_panel, a_computer, monkeypatch):
    press_repair(the_panel, monkeypatch, "rf-sam-2")
    again = ["hydra-core>=1.3.2", "iopath>=0.1.10", "tqdm>=4.66.1"]
    assert [arguments for arguments, _ in a_computer.done] == [
        ["--force-reinstall", *again],
        again,
        ["--force-reinstall", "--no-deps", "rf-sam-2>=1.0.3"],
    ]


def test_a_broken_torch_is_taken_out_first(slicer_host, the_panel, a_computer, pytorch_extension, monkeypatch):
    press_repair(the_panel, monkeypatch, "torch")
    assert a_computer.done[0] == "torch was uninstalled"
    assert a_computer.done[1]["torchVersionRequirement"] == ">=2.2.2"


def test_another_version_than_needed_is_repaired_and_what_is_optional_and_absent_is_not_added(
    slicer_host, the_panel, a_computer, monkeypatch
):
    a_computer.versions["safetensors"] = "0.3.9"
    a_computer.lacks("timm")
    press_repair(the_panel, monkeypatch)
    assert a_computer.done == [(["safetensors>=0.4"], None)]


def test_where_all_is_well_there_is_nothing_to_repair(slicer_host, the_panel, a_computer, monkeypatch):
    press_repair(the_panel, monkeypatch)
    assert "nothing to repair" in slicer_host.user.texts("info")[-1]
    assert a_computer.done == []


def test_a_repair_that_is_declined_changes_nothing(slicer_host, the_panel, a_computer, monkeypatch):
    slicer_host.user.will_answer("question", False)
    press_repair(the_panel, monkeypatch, "safetensors")
    assert a_computer.done == []
