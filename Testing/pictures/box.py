"""Draws the picture beside the effect's first hint: a box that was dragged around an organ.

python Testing/pictures/box.py SAMSegmenter/SAMSegmenterLib/Resources/Icons/Box.png
"""

import sys

from PIL import Image, ImageDraw

SIZE, FINER = (64, 52), 8
BODY, ORGAN, GREEN, WHITE = (70, 70, 74), (150, 148, 150), (51, 230, 77), (255, 255, 255)
BOX = (14, 10, 46, 38)
ARROW = [(46, 38), (46, 49), (48.7, 46.6), (50.6, 50.8), (52.4, 50), (50.6, 45.9), (54, 45.6)]


def draw() -> Image.Image:
    image = Image.new("RGB", [n * FINER for n in SIZE], BODY)
    pen = ImageDraw.Draw(image)
    pen.ellipse(_finer((17, 13, 43, 35)), fill=ORGAN)
    pen.ellipse(_finer((26, 18, 34, 24)), fill=(176, 174, 176))
    left, top, right, bottom = BOX
    pen.rectangle(_finer(BOX), outline=GREEN, width=2 * FINER)
    for x, y in ((left, top), (right, top), (left, bottom), (right, bottom)):
        pen.rectangle(_finer((x - 2, y - 2, x + 2, y + 2)), fill=BODY, outline=GREEN, width=FINER)
    pen.polygon([(x * FINER, y * FINER) for x, y in ARROW], fill=WHITE, outline=(0, 0, 0))
    return image.resize(SIZE, Image.Resampling.LANCZOS)


def _finer(corners: tuple[float, ...]) -> list[float]:
    return [each * FINER for each in corners]


if __name__ == "__main__":
    draw().save(sys.argv[1], optimize=True)
