"""Questions to the user, answered by the test: nothing here waits, everything is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Message:
    """A dialog that the user would have seen; `kind` is info, warning, error, question, file, folder, dialog or menu."""

    kind: str
    text: str
    title: str = ""
    details: str = ""


@dataclass
class User:
    """What the user sees (dialogs, pages in the browser, the status bar, modules switched to), and says next."""

    messages: list[Message] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    status: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    _answers: dict[str, list[Any]] = field(default_factory=dict)

    def will_answer(self, kind: str, *answers: Any) -> None:
        """Say these, one after the other, when asked by a dialog of that kind; then the default again."""
        self._answers.setdefault(kind, []).extend(answers)

    def forget(self) -> None:
        for each in (self.messages, self.urls, self.status, self.modules, self._answers):
            each.clear()

    def asked(self, kind: str, text: str, default: Any = None, title: str = "", details: str = "") -> Any:
        """Called by the stand-ins of dialogs."""
        self.messages.append(Message(kind, str(text), str(title or ""), str(details or "")))
        answers = self._answers.get(kind)
        return answers.pop(0) if answers else default

    def texts(self, kind: str) -> list[str]:
        """Of all dialogs of that kind so far."""
        return [each.text for each in self.messages if each.kind == kind]


user = User()
