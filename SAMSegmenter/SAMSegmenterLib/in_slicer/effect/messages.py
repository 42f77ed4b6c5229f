"""The message to the user. It belongs to the segment that it was told about, and goes when another one is selected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Message:
    """A text for the user.

    Attributes:
        text: a sentence or two.
        is_warning: whether it is about something that went wrong.
        details: more lines, for those who ask.
        answer: text of the button that answers a question; empty if none is asked.
        then: what that button does.
        is_passing: whether it is true only as long as something is running.
        about: the segmentation and the segment that were being edited when it was told.
    """

    text: str = ""
    is_warning: bool = False
    details: str = ""
    answer: str = ""
    then: Callable[[], None] | None = None
    is_passing: bool = False
    about: tuple = field(default=())


class Messages:
    """The one message that is shown.

    Args:
        place: returns a value that is the same as long as the same thing is being edited.

    Attributes:
        shown: the message; an empty one if there is none.
        on_change: called when it has changed.
    """

    def __init__(self, place: Callable[[], tuple]) -> None:
        self._place = place
        self.shown = Message()
        self.on_change: Callable[[], None] = lambda: None

    def tell(
        self,
        text: str,
        is_warning: bool = False,
        details: str = "",
        answer: str = "",
        then: Callable[[], None] | None = None,
        is_passing: bool = False,
    ) -> None:
        """Show a message in place of the present one; for the arguments see `Message`."""
        self.shown = Message(text, is_warning, details, answer, then, is_passing, self._place())
        self.on_change()

    def clear(self) -> None:
        """Show no message."""
        self.shown = Message()
        self.on_change()

    def drop_outdated(self, is_busy: bool) -> bool:
        """Clear a message about something else, or about something running if not `is_busy`; return whether it was cleared."""
        outdated = self.shown.text and (self.shown.about != self._place() or (self.shown.is_passing and not is_busy))
        if outdated:
            self.clear()
        return bool(outdated)
