"""The effect's controls: the common ones on top, the rest folded. The parameter node holds the state, not the panel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from . import widgets
from .keys import KEYS, TOOLS, control
from .messages import Message
from .model_choice import Choice
from .settings import Settings

# Actions that are refused during a run.
WHEN_IDLE = {
    "propagate", "use_slice", "propose", "line_markup", "remove", "remove_keyframe", "clear", "polarity", "apply", "next_object",
    "undo", "redo",
}  # fmt: skip
MOST_SLICES = 99999  # as long as the number of slices is not known
MESSAGE_LINES = 4  # of a message, before it scrolls
LISTED = 5  # slices seen at a time in each list
BUTTON_COLUMNS = 3
WARNING = "color: #c05020;"
BOX_PICTURE = Path(__file__).parents[2] / "Resources" / "Icons" / "Box.png"  # what dragging a box looks like


class EffectPanel:
    """Builds the controls and shows the state in them.

    Args:
        add: puts a widget into the effect's options frame.
        act: called with an action's name (a key of `KEYS`, "tool", "setting", "jump", ...) and its value.
    """

    def __init__(self, add: Callable[[Any], None], act: Callable[..., None]) -> None:
        self._act = act
        self.actions: dict[str, Any] = {}
        add(self._message_area())
        self.setup_button = widgets.button(_("Set up SAMSegmenter..."), _("Open the module that installs what is missing."))
        self.setup_button.connect("clicked()", lambda: act("setup"))
        add(self.setup_button)
        self.body = qt.QWidget()
        add(self.body)
        layout = qt.QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        folds, self.folds = widgets.folds({_("Details"): self._details(), _("Range"): self._range(), _("Advanced"): self._advanced()})
        for part in (self._model_row(), self._tools(), self._run_row(), self._slices(), folds):
            layout.addWidget(part)

    # ------------------------------------------------------------------ parts

    def _message_area(self) -> Any:
        """Return an area for the message, which stays as high as it is, with the button that answers it."""
        area, layout = widgets.grid(1)
        top = qt.QWidget()
        row = qt.QHBoxLayout(top)
        row.setContentsMargins(0, 0, 0, 0)
        lines = qt.QLabel("\n".join(["X"] * MESSAGE_LINES))
        self.hint = qt.QLabel()
        self.hint.setPixmap(qt.QPixmap(str(BOX_PICTURE)))
        self.hint.setToolTip(_("A box, dragged closely around the segment."))
        self.message = widgets.text()
        room = qt.QScrollArea()
        room.setFrameShape(qt.QFrame.NoFrame)
        room.setWidgetResizable(True)
        room.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        room.setFocusPolicy(qt.Qt.NoFocus)
        room.setFixedHeight(lines.sizeHint.height() + 2)
        room.setWidget(self.message)
        row.addWidget(self.hint)
        row.addWidget(room, 1)
        layout.addWidget(top, 0, 0)
        layout.addWidget(self._action("answer", "", _("Do what the message offers.")), 1, 0)
        return area

    def _model_row(self) -> Any:
        row, layout = widgets.form()
        self.model = widgets.combo(_("The model. The SAMSegmenter module has others."))
        self.model.connect("currentIndexChanged(int)", lambda index: self._act("model", self.model.itemData(index)))
        layout.addRow(_("Model:"), self.model)
        return row

    def _tools(self) -> Any:
        part, layout = widgets.grid(BUTTON_COLUMNS)
        outside = {"key": control()}
        texts = {
            "box": (_("Box"), _("Drag a box closely around the segment.")),
            "point": (_("Point"), _("Click inside the segment, or with {key} outside it.").format(**outside)),
            "scribble": (_("Scribble"), _("Draw a stroke inside the segment, or with {key} outside it.").format(**outside)),
            "lasso": (_("Lasso"), _("Draw roughly around the segment.")),
            "line": (_("Line"), _("Drag the longest diameter of the segment, as for RECIST.")),
            "move": (_("Move"), _("Drag prompts elsewhere, or click on one to choose it. Any tool does so by a prompt's grips.")),
        }  # fmt: skip
        self.tools = {}
        for number, (kind, (text, tip)) in enumerate(texts.items()):
            button = widgets.button(text, tip, TOOLS[kind], checkable=True)
            button.connect("clicked()", lambda kind=kind: self._act("tool", kind))
            layout.addWidget(button, number // BUTTON_COLUMNS, number % BUTTON_COLUMNS)
            self.tools[kind] = button
        polarity = _("Whether the next prompt lies inside or outside the segment. {key} does it for one prompt.").format(**outside)
        actions = (
            ("polarity", _("Inside"), polarity),
            ("use_slice", _("Use slice"), _("Take the segment as it is painted on this slice as a keyframe.")),
            ("undo", _("Undo"), _("Take back the last change of prompts.")),
            ("redo", _("Redo"), _("Make the change again that was taken back.")),
            ("remove", _("Remove"), _("Remove the prompt that was clicked on last.")),
            ("clear", _("Clear"), _("Remove all prompts of this segment. The segment itself stays.")),
        )
        for number, (name, text, tip) in enumerate(actions, start=len(texts)):
            layout.addWidget(self._action(name, text, tip), number // BUTTON_COLUMNS, number % BUTTON_COLUMNS)
        return part

    def _run_row(self) -> Any:
        part, layout = widgets.grid(2)
        buttons = (
            ("propagate", _("Propagate"), _("Carry the prompts on through the slices."), 0, 0),
            ("apply", _("Apply"), _("Make the preview part of the segment. Undo takes it back."), 0, 1),
            ("stop_keep", _("Stop, keep"), _("Stop, and keep what was found so far."), 1, 0),
            ("stop_drop", _("Stop, drop"), _("Stop, and have everything as it was before."), 1, 1),
        )
        for name, text, tip, row, column in buttons:
            layout.addWidget(self._action(name, text, tip), row, column)
        following = _('Apply, and go on with a new segment of the same kind: after "lesion 6" comes "lesion 7".')
        layout.addWidget(self._action("next_object", _("Next object"), following), 2, 0, 1, 2)
        self.progress = qt.QProgressBar()
        layout.addWidget(self.progress, 3, 0, 1, 2)
        return part

    def _slices(self) -> Any:
        """Return the two lists of slices beside each other, with their buttons; nothing moves, whatever is listed."""
        part, layout = widgets.grid(2)
        self.keyframes = widgets.table(_("Slices with prompts. A double click goes there, Del removes them."), LISTED)
        self.review = widgets.table(_("Slices most worth checking, the least trusted first. A double click goes there."), LISTED)
        for column, title, table in ((0, _("Keyframes"), self.keyframes), (1, _("To check"), self.review)):
            table.connect("itemDoubleClicked(QListWidgetItem*)", lambda item: self._act("jump", int(item.data(qt.Qt.UserRole))))
            layout.addWidget(qt.QLabel(title), 0, column)
            layout.addWidget(table, 1, column)
        self.keyframes.connect("itemClicked(QListWidgetItem*)", lambda item: self._act("pick", int(item.data(qt.Qt.UserRole))))
        self.actions["remove_keyframe"] = widgets.button(_("Remove keyframe"), _("Remove all prompts on the chosen slice."))
        self.actions["remove_keyframe"].connect("clicked()", self._remove_keyframe)
        layout.addWidget(self.actions["remove_keyframe"], 2, 0)
        row, columns = widgets.grid(2)
        columns.addWidget(self._action("previous", _("Previous"), _("Go to the previous slice to check.")), 0, 0)
        columns.addWidget(self._action("next", _("Next"), _("Go to the next slice to check.")), 0, 1)
        layout.addWidget(row, 2, 1)
        return part

    def _details(self) -> Any:
        part, layout = widgets.form()
        self.details = widgets.text()
        layout.addRow(self.details)
        return part

    def _range(self) -> Any:
        part, layout = widgets.form()
        self.direction = self._choice(
            layout,
            _("Direction:"),
            "Direction",
            _("Where to go from the keyframes."),
            {
                "both": _("both ways"),
                "forward": _("to higher slice numbers"),
                "backward": _("to lower slice numbers"),
            },
        )
        self.range = self._choice(
            layout,
            _("Slices:"),
            "Range",
            _("How far to go at most; a segment's end is found by itself."),
            {
                "volume": _("whole volume"),
                "slices": _("from - to"),
                "keyframes": _("between keyframes"),
                "roi": _("region of interest"),
            },
        )
        row = qt.QWidget()
        columns = qt.QHBoxLayout(row)
        columns.setContentsMargins(0, 0, 0, 0)
        self.first, self.last = self._spin("FirstSlice"), self._spin("LastSlice")
        columns.addWidget(self.first)
        columns.addWidget(self.last)
        layout.addRow(_("From - to:"), row)
        self.roi = self._nodes(layout, _("Region:"), "vtkMRMLMarkupsROINode", _("A region of interest, whose slices are segmented."))
        self.roi.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: self._act("roi", node))
        self.all_segments = self._check(layout, _("All segments that have prompts"), "AllSegments", _("Else the selected one alone."))
        return part

    def _advanced(self) -> Any:
        part, layout = widgets.form()
        self.keyframe_model = widgets.combo(_("The model that makes masks of the prompts on a slice, for the other one to propagate."))
        keyframe_model = self.keyframe_model
        keyframe_model.connect("currentIndexChanged(int)", lambda index: self._act("keyframe_model", keyframe_model.itemData(index)))
        layout.addRow(_("Keyframes by:"), self.keyframe_model)
        self.proposer = proposer = widgets.combo(_("A model that finds what it was trained for, without prompts."))
        proposer.connect("currentIndexChanged(int)", lambda index: self._act("proposer", proposer.itemData(index)))
        layout.addRow(_("Proposals by:"), proposer)
        layout.addRow(self._action("propose", _("Propose on this slice"), _("Take what that model finds on this slice as a keyframe.")))
        self.live_preview = self._check(layout, _("Preview while marking"), "LivePreview", _("Segment the slice after every prompt."))
        self.axis = self._choice(
            layout,
            _("Axis:"),
            "Axis",
            _("The axis along which slices follow each other."),
            {
                "auto": _("of the view first marked in"),
                "k": "K",
                "j": "J",
                "i": "I",
            },
        )
        self.video_axis = self._choice(
            layout,
            _("Follow:"),
            "VideoAxis",
            _("With a sequence: through the slices, or through time."),
            {
                "slices": _("slices"),
                "time": _("time, on this slice"),
            },
        )
        self.window = self._choice(
            layout,
            _("Window/level:"),
            "Window",
            _("The intensities that the model sees, from black to white."),
            {
                "auto": _("chosen by what is marked"),
                "display": _("as the volume is shown"),
                "manual": _("given here"),
            },
        )
        self.level, self.width = self._number(layout, _("Level:"), "WindowLevel"), self._number(layout, _("Width:"), "WindowWidth")
        self.mode = self._choice(
            layout,
            _("Mode:"),
            "Mode",
            _("How the model is run."),
            {
                "auto": _("around the segment (best)"),
                "fast": _("fast"),
                "strict": _("whole slices, as published"),
            },
        )
        self.device = self._choice(
            layout,
            _("Device:"),
            "Device",
            _("Where the model runs."),
            {
                "auto": _("the fastest there is"),
                "cuda": _("NVIDIA GPU"),
                "mps": _("Apple GPU"),
                "cpu": _("processor"),
            },
        )
        self.line_markup = self._nodes(layout, _("Line:"), "vtkMRMLMarkupsLineNode", _("A line that was measured with Markups."))
        self.actions["line_markup"] = widgets.button(_("Use line as prompt"), _("Take the chosen line as the segment's diameter."))
        self.actions["line_markup"].connect("clicked()", lambda: self._act("line_markup", self.line_markup.currentNode()))
        layout.addRow(self.actions["line_markup"])
        return part

    # ------------------------------------------------------------------ showing the state

    def show_message(self, message: Message) -> None:
        """Show what the user is told."""
        self.message.text = message.text
        self.message.styleSheet = WARNING if message.is_warning else ""
        self.actions["answer"].text = message.answer
        self.actions["answer"].setEnabled(bool(message.answer))
        self.actions["answer"].setFlat(not message.answer)
        self.details.text = message.details or _("There is nothing more to tell about the message above.")

    def show_hint(self, is_first: bool) -> None:
        """Show how a box is drawn, to those who have not marked anything."""
        self.hint.setVisible(is_first)

    def show_settings(self, chosen: Settings, slices: int) -> None:
        """Show what the parameter node says, without telling it so again."""
        combos = {
            self.model: chosen.model, self.keyframe_model: chosen.keyframe_model, self.proposer: chosen.proposer,
            self.direction: chosen.direction, self.range: chosen.range, self.axis: chosen.axis, self.video_axis: chosen.video_axis,
            self.window: chosen.window, self.mode: chosen.mode, self.device: chosen.device,
        }  # fmt: skip
        for combo, value in combos.items():
            place = combo.findData(value) if value else 0  # none for a model that is not known here, so that the first can be chosen
            widgets.silently(combo, partial(combo.setCurrentIndex, place))
        numbers = {self.first: chosen.first, self.last: chosen.last, self.level: chosen.level, self.width: chosen.width}
        for spin in (self.first, self.last):
            widgets.silently(spin, partial(spin.setMaximum, slices - 1 if slices else MOST_SLICES))
        for spin, number in numbers.items():
            if spin.value != number:  # setting it would end what the user is typing
                widgets.silently(spin, partial(spin.setValue, number))
        for check, wanted in ((self.all_segments, chosen.all_segments), (self.live_preview, chosen.live_preview)):
            widgets.silently(check, partial(check.setChecked, wanted))
        for kind, button in self.tools.items():
            button.setChecked(kind == chosen.tool)
        self.actions["polarity"].text = _("Inside") if chosen.positive else _("Outside")
        for spin in (self.first, self.last):
            spin.setEnabled(chosen.range == "slices")
        self.roi.setEnabled(chosen.range == "roi")
        for spin in (self.level, self.width):
            spin.setEnabled(chosen.window == "manual")

    def show_region(self, node: Any) -> None:
        """Show the region of interest that the parameter node refers to."""
        widgets.silently(self.roi, lambda: self.roi.setCurrentNode(node))

    def show_models(self, models: list[Choice], slice_models: list[Choice], proposers: list[Choice]) -> None:
        """Offer these models."""
        same = Choice("", _("the same model"), _("The model that propagates also understands the prompts."))
        none = Choice("", _("no model"), _("You mark the segment yourself."))
        for combo, offered in ((self.model, models), (self.keyframe_model, [same, *slice_models]), (self.proposer, [none, *proposers])):
            widgets.silently(combo, partial(widgets.offer, combo, offered))

    def show_state(self, running: bool, loading: bool, possible: dict[str, bool], usable: bool) -> None:
        """Enable what can be done now: while something is `running`, or a model `loading`, it can be stopped.

        Nothing is hidden: what comes and goes would move the rest.
        """
        for name in ("stop_keep", "stop_drop"):
            self.actions[name].setEnabled(running or loading)
        for name in self.actions.keys() & WHEN_IDLE:
            self.actions[name].setEnabled(possible.get(name, usable) and not running)
        for name in ("next", "previous"):
            self.actions[name].setEnabled(possible[name])

    def show_progress(self, done: int, total: int, text: str) -> None:
        """Show how far something has come, with a text on the bar; a total of 0 for an unknown one."""
        self.progress.setMaximum(max(total, 1))
        self.progress.setValue(done)
        self.progress.setFormat(text)

    def show_slices(self, unit: str, keyframes: list[tuple[int, str]], review: list[tuple[int, float]]) -> None:
        """List them, calling each a `unit`, of which the first word has to do in a narrow list."""
        unit = unit.partition(" ")[0]
        told = [(index, _("{unit} {number}: {what}").format(unit=unit, number=index, what=what)) for index, what in keyframes]
        widgets.fill(self.keyframes, told)
        trust = _("{unit} {number}: {trust} %")
        widgets.fill(self.review, [(index, trust.format(unit=unit, number=index, trust=round(100 * each))) for index, each in review])

    # ------------------------------------------------------------------ pieces

    def _action(self, name: str, text: str, tip: str) -> Any:
        made = self.actions[name] = widgets.button(text, tip, KEYS.get(name, ""))
        made.connect("clicked()", lambda: self._act(name))
        return made

    def _remove_keyframe(self) -> None:
        item = self.keyframes.currentItem()
        if item:
            self._act("remove_keyframe", int(item.data(qt.Qt.UserRole)))

    def _chosen(self, parameter: str, combo: Any) -> None:
        self._act("setting", parameter, combo.itemData(combo.currentIndex))

    def _choice(self, layout: Any, title: str, parameter: str, tip: str, choices: dict[str, str]) -> Any:
        combo = widgets.combo(tip)
        for value, text in choices.items():
            combo.addItem(text, value)
        combo.connect("currentIndexChanged(int)", lambda index: self._chosen(parameter, combo))
        layout.addRow(title, combo)
        return combo

    def _check(self, layout: Any, title: str, parameter: str, tip: str) -> Any:
        check = qt.QCheckBox(title)
        check.setToolTip(tip)
        check.connect("toggled(bool)", lambda checked: self._act("setting", parameter, int(checked)))
        layout.addRow(check)
        return check

    def _spin(self, parameter: str) -> Any:
        spin = qt.QSpinBox()
        spin.setToolTip(_("Slice number"))
        spin.connect("valueChanged(int)", lambda value: self._act("setting", parameter, value))
        return spin

    def _number(self, layout: Any, title: str, parameter: str) -> Any:
        spin = qt.QDoubleSpinBox()
        spin.setDecimals(6)  # SUV and ADC maps lie between 0 and 1
        spin.setRange(-1e6, 1e6)
        spin.setKeyboardTracking(False)  # while 0.5 is typed it is 0, which is not meant
        spin.setToolTip(_("In the volume's own units, such as Hounsfield units."))
        spin.connect("valueChanged(double)", lambda value: self._act("setting", parameter, repr(float(value))))
        layout.addRow(title, spin)
        return spin

    def _nodes(self, layout: Any, title: str, kind: str, tip: str) -> Any:
        combo = slicer.qMRMLNodeComboBox()
        combo.nodeTypes = [kind]
        combo.noneEnabled, combo.addEnabled, combo.removeEnabled = True, False, False
        combo.setMRMLScene(slicer.mrmlScene)
        combo.setToolTip(tip)
        layout.addRow(title, combo)
        return combo
