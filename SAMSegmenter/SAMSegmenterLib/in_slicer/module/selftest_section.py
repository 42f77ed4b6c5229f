"""The section of the set-up panel that tests whether segmenting works here, and how fast."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from ...session.background import RunProgress
from ...worker import SubmittedJob, shared_worker
from . import requirements
from .installer import InstallError
from .selftest import LEAST_DICE, SelfTestResult, self_test
from .widgets import TaskRow, button, section, text_label


class SelfTestSection:
    """A button for the self-test, which runs on the worker thread that the effect uses, too."""

    def __init__(self) -> None:
        self.widget, layout = section(_("Self-test"))
        self.run_button = button(
            _("Run self-test"),
            _("Segments two organs of a built-in phantom with the included model, and tells the device and the time per slice."),
            self.run,
        )
        self.task_row = TaskRow()
        self.result = text_label(_("The device is looked for at the self-test. It takes a few seconds."))
        for widget in (self.run_button, self.task_row.widget, self.result):
            layout.addWidget(widget)
        self.outcome: SelfTestResult | None = None

    def run(self) -> None:
        """Start, unless it is running.

        Raises:
            InstallError: packages are missing.
        """
        missing = requirements.missing()
        if missing:
            names = ", ".join(each.specifier for each in missing)
            raise InstallError(_("The self-test needs packages that are not installed: {names}. Install them above.").format(names=names))
        if self.task_row.is_running:
            return
        self.outcome = None
        self.run_button.setEnabled(False)
        self.result.text = _("Loading PyTorch and the model\N{HORIZONTAL ELLIPSIS}")
        self.task_row.follow(shared_worker().submit(self_test), self._end, self._take)

    def close(self) -> None:
        """Stop the self-test."""
        self.task_row.close()

    def _take(self, news: Any) -> None:
        if isinstance(news, RunProgress):
            self.task_row.show(news.done, news.total)
            self.result.text = _("{count} slices, {rate} slices/s").format(count=news.done, rate=f"{news.slices_per_second:.1f}")
        else:
            self.outcome = news

    def _end(self, task: SubmittedJob) -> None:
        self.run_button.setEnabled(True)
        if self.outcome:
            self.result.text = described(self.outcome)
        else:
            self.result.text = _("The self-test was stopped.") if task.cancelled else _("The self-test failed.")


def described(outcome: SelfTestResult) -> str:
    """Return what the user reads about a self-test."""
    verdict = _("<b>It works.</b>") if outcome.works else _("<b>It does not work as it should.</b>")
    speed = _("{ms} ms per slice ({count} slices in {seconds} s) on {device}, {precision}.").format(
        ms=round(outcome.ms_per_slice),
        count=outcome.slices,
        seconds=f"{outcome.seconds:.1f}",
        device=outcome.device,
        precision=outcome.precision,
    )
    dice = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in outcome.dice.items())
    parts = [verdict, speed, _("Overlap with the truth (Dice): {dice}.").format(dice=dice), *outcome.warnings]
    if not outcome.works:
        advice = _("At least {least} is expected. Install the packages again, and if it stays so, report it with this text.")
        parts.append(advice.format(least=LEAST_DICE))
    return "<br>".join(parts)
