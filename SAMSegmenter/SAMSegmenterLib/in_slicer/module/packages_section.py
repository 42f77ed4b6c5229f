"""The section of the set-up panel that shows and installs Python packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
from slicer.i18n import tr as _

from . import installer, requirements
from .requirements import PackageStatus
from .widgets import button, fill, row, section, table, text_label


class PackagesSection:
    """A list of the packages, two buttons to install what is missing, and one to install again what is broken.

    Args:
        changed: called after something was installed.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.widget, layout = section(_("Python packages"))
        self._changed = changed
        self.summary = text_label()
        self.table = table([_("Package"), _("Needed"), _("Found")], _("What the effect needs beside Slicer."), len(requirements.ALL))
        self.install_button = button(
            _("Install what is missing\N{HORIZONTAL ELLIPSIS}"),
            _("Shows what would be installed and where it comes from, and asks. Needs internet."),
            lambda: self._install(installer.install_missing),
        )
        self.folder_button = button(
            _("From folder\N{HORIZONTAL ELLIPSIS}"),
            _("Install from a folder of wheels that was filled on another computer. Needs no internet."),
            self._install_from_folder,
        )
        self.repair_button = button(
            _("Repair\N{HORIZONTAL ELLIPSIS}"),
            _("Tries to load every package, shows which are broken or of another version than needed, asks, and installs these again."),
            lambda: self._install(installer.repair),
        )
        for widget in (self.summary, self.table, row(self.install_button, self.folder_button), self.repair_button):
            layout.addWidget(widget)

    def update(self) -> None:
        """Look again at what is installed."""
        statuses = requirements.find(requirements.ALL)
        fill(self.table, [_row(status) for status in statuses], [_tip(status) for status in statuses])
        complete = all(status.is_enough for status in statuses)
        self.summary.text = _summary(complete)
        self.install_button.setEnabled(not complete)
        self.folder_button.setEnabled(not complete)

    def _install_from_folder(self) -> None:
        chosen = qt.QFileDialog.getExistingDirectory(None, _("Folder of wheels"))
        if chosen:
            self._install(lambda: installer.install_from(Path(chosen)))

    def _install(self, install: Callable[[], bool]) -> None:
        try:
            install()
        finally:  # a failed attempt may have installed some
            self.update()
            self._changed()


def _summary(complete: bool) -> str:
    if complete:
        return _("Everything is installed.")
    if requirements.missing():
        return _("Some packages are missing. They are installed once; you are asked before anything happens.")
    return _("Everything that is needed is installed. What only some models need can be added.")


def _row(status: PackageStatus) -> tuple[str, ...]:
    found = status.version or _("missing")
    least = f"\N{GREATER-THAN OR EQUAL TO} {status.requirement.least}"
    if status.requirement.below:
        least += f", < {status.requirement.below}"
    return status.requirement.name, least, found if status.is_enough else f"{found} \N{WARNING SIGN}"


def _tip(status: PackageStatus) -> str:
    if status.is_enough:
        return _("Installed and recent enough.")
    if status.requirement not in requirements.NEEDED:
        return _("Needed by EdgeTAM and MobileSAM only.")
    return _("Not installed.") if status.version is None else _("Not a version that will do.")
