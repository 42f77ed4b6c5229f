"""Draws a contact sheet: slices of a segmentation in a radiologist's orientation, with the prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..image.extent import box_around, widened
from ..image.layers import SegmentLayers
from ..image.stack import FrameStack
from ..prompts.types import Keyframe, PromptSet

Color = tuple[float, float, float]
TILE = 300  # pixels of the longer side of a tile
GAP = 6
CAPTION = 22
LEGEND = 34  # pixels of one of its rows
SWATCH = 22
LONGEST = 32  # letters of a name in the legend
SURROUNDINGS = 0.25  # of the segments' extent, shown on either side of them
FILL = 0.28  # opacity of a segment inside its contour
BACKGROUND = (18, 20, 24)
TEXT = (226, 230, 236)
PROMPT = (255, 214, 64)
# Which way is right and which is down on a radiologist's screen, by the patient direction the slices are stacked along.
SCREEN = {"S": ("L", "P"), "A": ("L", "I"), "R": ("P", "I")}


def contact_sheet(
    stack: FrameStack, labels: np.ndarray | SegmentLayers, prompts: PromptSet, colors: Sequence[Color], tiles: int = 8
) -> Image.Image:
    """Draw segments and prompts over evenly spread slices.

    Args:
        stack: what was segmented.
        labels: ``(k, j, i)`` with 1, 2, ... for the prompts' segments in their order; or the segments themselves.
        prompts: drawn on their slices.
        colors: red, green and blue of the segments, 0..1.
        tiles: at most this many slices.

    Returns:
        An RGB picture, anterior (or superior) up and the patient's right on the left.
    """
    on_slice = labels.slice if isinstance(labels, SegmentLayers) else partial(stack.place, labels)
    shown, part = _shown(stack, on_slice, prompts)
    screen = _Screen.of(stack, part)
    drawn = [_tile(stack, screen, on_slice(index), prompts, colors, index) for index in _chosen(stack, shown, prompts, tiles)]
    columns = min(4, len(drawn))
    rows = -(-len(drawn) // columns)
    width, height = drawn[0].size
    legend = _legend(prompts, colors, columns * (width + GAP) + GAP)
    sheet = Image.new("RGB", (legend.width, rows * (height + GAP) + GAP + legend.height), BACKGROUND)
    for number, tile in enumerate(drawn):
        sheet.paste(tile, (GAP + number % columns * (width + GAP), GAP + number // columns * (height + GAP)))
    sheet.paste(legend, (0, sheet.height - legend.height))
    return sheet


def _chosen(stack: FrameStack, shown: list[int], prompts: PromptSet, tiles: int) -> list[int]:
    """Return up to `tiles` slices: keyframes, up to half of them, and slices spread over those with segments."""
    shown = shown or list(range(len(stack)))
    marked = sorted({keyframe.slice for segment in prompts.segments for keyframe in segment.keyframes})[: max(1, tiles // 2)]
    others = [index for index in shown if index not in marked]
    spread = np.linspace(0, len(others) - 1, min(len(others), tiles - len(marked)))
    return sorted([*marked, *(others[round(n)] for n in spread)])


def _shown(stack: FrameStack, on_slice: Callable[[int], np.ndarray], prompts: PromptSet) -> tuple[list[int], tuple[slice, slice]]:
    """Return the slices with segments, and the rows and columns to draw.

    These are the rows and columns around all that is segmented and marked, with some surroundings; all if nothing is segmented.
    """
    marked, shown = np.zeros(stack.shape, bool), []
    for index in range(len(stack)):
        found = on_slice(index) > 0
        if found.any():
            shown.append(index)
            marked |= found
    if not shown:
        return [], (slice(0, stack.shape[0]), slice(0, stack.shape[1]))
    for keyframe in (keyframe for segment in prompts.segments for keyframe in segment.keyframes):
        x, y = np.rint(keyframe.positions()).astype(int).T
        marked[np.clip(y, 0, stack.shape[0] - 1), np.clip(x, 0, stack.shape[1] - 1)] = True
    parts = []
    box = box_around(marked)
    assert box is not None  # something is shown
    for inside, available in zip(box, marked.shape, strict=True):
        around = round(SURROUNDINGS * (inside.stop - inside.start)) + available // 20
        parts.append(widened(inside, around, available))
    return shown, (parts[0], parts[1])


def _tile(stack: FrameStack, screen: _Screen, label: np.ndarray, prompts: PromptSet, colors: Sequence[Color], index: int) -> Image.Image:
    grey = screen.image(stack.frame(index), Image.Resampling.BICUBIC).convert("RGB")
    picture = np.asarray(grey, np.float32)
    for number, color in enumerate(colors, 1):
        coverage = np.asarray(screen.image((label == number).astype(np.uint8) * 255, Image.Resampling.BICUBIC), np.float32) / 255
        picture = _tinted(picture, coverage, np.array(color) * 255)
    tile = Image.new("RGB", (grey.width, grey.height + CAPTION), BACKGROUND)
    tile.paste(Image.fromarray(picture.astype(np.uint8)), (0, CAPTION))
    draw = ImageDraw.Draw(tile)
    marked = [k for segment in prompts.segments for k in segment.keyframes if k.slice == index]
    draw.text((4, 2), f"slice {index}" + ("  marked here" if marked else ""), PROMPT if marked else TEXT, font=_font(14))
    for keyframe in marked:
        _draw_prompts(draw, keyframe, screen)
    return tile


def _tinted(picture: np.ndarray, coverage: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Return a picture with a segment's tint, and its contour where the coverage passes one half."""
    inside = coverage > 0.5
    inner = inside.copy()
    inner[1:-1, 1:-1] &= inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    opacity = np.where(inside & ~inner, 1.0, np.where(inside, FILL, 0.0))[..., None]
    return picture * (1 - opacity) + color * opacity


@dataclass(frozen=True)
class _Screen:
    """The way a `part` of a slice is shown: `transposed` first, then `mirrored` and `upended`, then scaled to `size`."""

    part: tuple[slice, slice]
    transposed: bool
    mirrored: bool
    upended: bool
    size: tuple[int, int]

    @classmethod
    def of(cls, stack: FrameStack, part: tuple[slice, slice]) -> _Screen:
        steps = stack.to_ijk(0, (1, 0)), stack.to_ijk(0, (0, 1)), stack.to_ijk(1, (0, 0))
        x, y, time = (stack.volume.ijk_to_ras[:3, :3] @ step for step in steps)
        right, down = (_direction(letter) for letter in SCREEN["RAS"[int(np.abs(time).argmax())]])
        transposed = abs(y @ right) / np.linalg.norm(y) > abs(x @ right) / np.linalg.norm(x)
        across, along = (y, x) if transposed else (x, y)
        rows, columns = (each.stop - each.start for each in (part[::-1] if transposed else part))
        x_mm, y_mm = stack.spacing_mm[::-1] if transposed else stack.spacing_mm
        scale = TILE / max(columns * x_mm, rows * y_mm)
        size = max(1, round(columns * x_mm * scale)), max(1, round(rows * y_mm * scale))
        return cls(part, transposed, bool(across @ right < 0), bool(along @ down < 0), size)

    def image(self, pixels: np.ndarray, filter: Image.Resampling) -> Image.Image:
        """Return pixels ``(rows, columns)`` of a slice as a picture in the screen's orientation and size."""
        pixels = pixels[self.part]
        pixels = np.swapaxes(pixels, 0, 1) if self.transposed else pixels
        pixels = pixels[:, ::-1] if self.mirrored else pixels
        pixels = pixels[::-1] if self.upended else pixels
        return Image.fromarray(np.ascontiguousarray(pixels)).resize(self.size, filter)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return a slice position in tile pixels."""
        rows, columns = self.part
        across = (x + 0.5 - columns.start) / (columns.stop - columns.start)
        down = (y + 0.5 - rows.start) / (rows.stop - rows.start)
        across, down = (down, across) if self.transposed else (across, down)
        across, down = 1 - across if self.mirrored else across, 1 - down if self.upended else down
        return across * self.size[0], down * self.size[1] + CAPTION


def _direction(letter: str) -> np.ndarray:
    return {"L": np.array([-1, 0, 0]), "P": np.array([0, -1, 0]), "I": np.array([0, 0, -1])}[letter]


def _draw_prompts(draw: ImageDraw.ImageDraw, keyframe: Keyframe, screen: _Screen) -> None:
    if keyframe.box:
        (x0, y0), (x1, y1) = screen.place(keyframe.box.x0, keyframe.box.y0), screen.place(keyframe.box.x1, keyframe.box.y1)
        draw.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), outline=PROMPT, width=2)
    lines = [[(keyframe.line.x0, keyframe.line.y0), (keyframe.line.x1, keyframe.line.y1)]] if keyframe.line else []
    for path in [*lines, *(scribble.path for scribble in keyframe.scribbles)]:
        draw.line([screen.place(*xy) for xy in path], fill=PROMPT, width=2)
    for point in keyframe.points:
        x, y = screen.place(point.x, point.y)
        draw.line((x - 5, y, x + 5, y), fill=PROMPT, width=2)
        if point.positive:
            draw.line((x, y - 5, x, y + 5), fill=PROMPT, width=2)


def _legend(prompts: PromptSet, colors: Sequence[Color], width: int) -> Image.Image:
    """Return a picture with a swatch and a name for each segment, in as many rows as they need."""
    font, row = _font(15), 0
    x: float = GAP + 2
    places: list[tuple[float, float]] = []
    names = [_shortened(segment.name) for segment in prompts.segments]
    for name in names:
        needed = SWATCH + font.getlength(name)
        if places and x + needed > width:
            x, row = GAP + 2, row + 1
        places.append((x, row * LEGEND + 6))
        x += needed + SWATCH
    legend = Image.new("RGB", (width, (row + 1) * LEGEND), BACKGROUND)
    draw = ImageDraw.Draw(legend)
    for name, color, (x, y) in zip(names, colors, places, strict=True):
        draw.rounded_rectangle((x, y + 3, x + 15, y + 18), 3, fill=tuple(round(part * 255) for part in color))
        draw.text((x + SWATCH, y), name, TEXT, font=font)
    return legend


def _shortened(name: str) -> str:
    """Return a name on one line that leaves room for others."""
    name = " ".join(name.split())
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
