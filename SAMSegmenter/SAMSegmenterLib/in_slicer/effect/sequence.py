"""A volume that changes over time: the items of the sequence that it shows."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import slicer
from slicer.i18n import tr as _

from ...errors import InputError
from ..mrml import content_of


class Times:
    """The sequence browser that a volume node shows the items of.

    Args:
        volume_node: a proxy node of the browser.

    Raises:
        InputError: the volume belongs to no sequence.
    """

    def __init__(self, volume_node: slicer.vtkMRMLVolumeNode) -> None:
        self.browser = browser_of(volume_node)
        if self.browser is None:
            raise InputError(_("This volume is not part of a sequence. Load one, or choose to follow slices under Advanced."))
        self._volume_node = volume_node

    def __len__(self) -> int:
        return self.browser.GetNumberOfItems()

    @property
    def item(self) -> int:
        """Return the number of the item that is shown."""
        return self.browser.GetSelectedItemNumber()

    @item.setter
    def item(self, number: int) -> None:
        """Show another item."""
        self.browser.SetSelectedItemNumber(number)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(self.browser)  # at once, not when the event comes

    def content(self) -> tuple:
        """Return a value that changes when an item's voxels do; see `mrml.content_of`."""
        return self.browser.GetID(), *map(content_of, copies_of(self._volume_node))

    def visit(self, items: Any = None) -> Generator[int, None, None]:
        """Show one item after another (all if not given), and at the end the one that was shown before; yield each number."""
        shown = self.item
        try:
            for number in range(len(self)) if items is None else items:
                self.item = number
                yield number
        finally:
            self.item = shown

    def keep(self, node: slicer.vtkMRMLNode) -> None:
        """Make every item keep its own content of `node`, which until now may have been the same at all times."""
        sequence = self.browser.GetSequenceNode(node)
        if sequence is None:
            sequence = slicer.modules.sequences.logic().AddSynchronizedNode(None, node, self.browser)
            master = self.browser.GetMasterSequenceNode()
            for number in range(len(self)):
                sequence.SetDataNodeAtValue(node, master.GetNthIndexValue(number))
        self.browser.SetSaveChanges(sequence, True)

    def save(self, node: slicer.vtkMRMLNode) -> None:
        """Store what `node`, which is kept, shows now in the item that is shown."""
        slicer.modules.sequences.logic().UpdateSequencesFromProxyNodes(self.browser, node)


def copies_of(node: slicer.vtkMRMLNode) -> list[slicer.vtkMRMLNode]:
    """Return what a sequence keeps of a node for each of its items; none for a node without a sequence."""
    browser = browser_of(node)
    sequence = browser.GetSequenceNode(node) if browser else None
    return [sequence.GetNthDataNode(number) for number in range(sequence.GetNumberOfDataNodes())] if sequence else []


def browser_of(node: slicer.vtkMRMLNode | None) -> slicer.vtkMRMLSequenceBrowserNode | None:
    """Return the browser whose items a node shows; None for a node without a sequence."""
    sequences = getattr(slicer.modules, "sequences", None)
    return sequences.logic().GetFirstBrowserNodeForProxyNode(node) if sequences and node else None
