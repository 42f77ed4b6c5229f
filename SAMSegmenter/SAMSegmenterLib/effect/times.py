"""A volume that changes over time: the items of the sequence that it shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..errors import InputError


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

    def __len__(self) -> int:
        return self.browser.GetNumberOfItems()

    @property
    def item(self) -> int:
        """The number of the item that is shown."""
        return self.browser.GetSelectedItemNumber()

    @item.setter
    def item(self, number: int) -> None:
        self.browser.SetSelectedItemNumber(number)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(self.browser)  # at once, not when the event comes

    def visit(self, items: Any = None) -> Iterator[int]:
        """Show one item after the other (all if not given), and in the end the one that was shown before."""
        shown = self.item
        try:
            for number in range(len(self)) if items is None else items:
                self.item = number
                yield number
        finally:
            self.item = shown

    def keep(self, node: slicer.vtkMRMLNode) -> None:
        """Have every item keep its own content of `node`, which until now may have been the same at all times."""
        sequence = self.browser.GetSequenceNode(node)
        if sequence is None:
            sequence = slicer.modules.sequences.logic().AddSynchronizedNode(None, node, self.browser)
            master = self.browser.GetMasterSequenceNode()
            for number in range(len(self)):
                sequence.SetDataNodeAtValue(node, master.GetNthIndexValue(number))
        self.browser.SetSaveChanges(sequence, True)

    def save(self, node: slicer.vtkMRMLNode) -> None:
        """Put what `node`, which is kept, shows now into the item that is shown."""
        slicer.modules.sequences.logic().UpdateSequencesFromProxyNodes(self.browser, node)


def browser_of(volume_node: slicer.vtkMRMLVolumeNode | None) -> slicer.vtkMRMLSequenceBrowserNode | None:
    """The browser whose items a volume node shows; None for a volume by itself."""
    sequences = getattr(slicer.modules, "sequences", None)
    return sequences.logic().GetFirstBrowserNodeForProxyNode(volume_node) if sequences and volume_node else None
