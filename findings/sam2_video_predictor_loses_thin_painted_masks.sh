#!/usr/bin/env bash
# A painted mask given to SAM 2's video predictor on a frame twice as large as its input vanishes where it is one pixel wide.
#
# Seen with sam2 1.1.0 (torch 2.8.0, CPU): on frames of 128 x 128 pixels and an input of 64, `add_new_mask` with a line of 1 x 80 pixels
# answers with an empty mask for that very frame, and so no object is propagated; a line 2 pixels wide comes back about twice as wide.
# The network's weights have no part in it (they are random here).
#
# Why a good guess is wrong: the mask is said to be used as the output of its frame as it is. It is first resized to the input with
# antialiasing and cut at .5, so that a pixel which covers less than half of an input pixel is dropped, and no error or warning follows.
#
# Whom it hurts: vessels, nerves, catheters and thin walls, painted on radiographs and mammograms of 2048 pixels and more at the usual
# input of 1024, or on slices of 1024 pixels at 512 (MedSAM2, EfficientTAM): the object is lost on the frame on which it was painted.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.8.0 torchvision==0.23.0 "setuptools<81" wheel
SAM2_BUILD_CUDA=0 "$work/venv/bin/pip" install --quiet --no-build-isolation sam2==1.1.0
cd "$work"
"$work/venv/bin/python" - "$work/frames" <<'PY'
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sam2.build_sam import build_sam2_video_predictor

warnings.simplefilter("ignore")
FRAME, INPUT = 128, 64
folder = Path(sys.argv[1])
folder.mkdir()
for n in range(2):
    Image.fromarray(np.random.default_rng(n).integers(0, 255, (FRAME, FRAME, 3), np.uint8)).save(folder / f"{n}.jpg")
torch.manual_seed(0)
predictor = build_sam2_video_predictor(
    "configs/sam2.1/sam2.1_hiera_t.yaml", None, device="cpu", hydra_overrides_extra=[f"++model.image_size={INPUT}"], vos_optimized=False
)
found = {}
for width in (1, 2, 4):
    state = predictor.init_state(str(folder))
    painted = np.zeros((FRAME, FRAME), bool)
    painted[40 : 40 + width, 20:100] = True
    _, _, logits = predictor.add_new_mask(state, frame_idx=0, obj_id=1, mask=painted)
    found[width] = int((logits[0, 0] > 0).sum())
    print(f"painted {width} x 80 pixels, {painted.sum()} in all: {found[width]} pixels come back")
assert found[1] == 0, "a line one pixel wide now survives"
assert found[2] > 0, "a line two pixels wide is now lost, too"
PY
echo "As described."
