#!/usr/bin/env bash
# Whether ITK shows a NIfTI image mirrored depends on a micrometre of its origin.
#
# Seen with SimpleITK 2.5.7 (ITK 5.4) and nibabel 5.4.2: sform and qform (both code 2) of the same lengths, of which the sform runs along
# x the other way. Where both forms have their first voxel at the same place, the sform is taken, and x runs to the left; where that of
# the sform lies .001 mm away, or 1 mm, the qform is taken, and x runs to the right. Voxels and spacing are the same each time.
#
# Why a good guess is wrong: the rule that readers are told is "the sform if its code is 1, else the qform". Two forms that differ in the
# signs of their axes only, and lie at one place to about .0004 mm, count as equal, and of equal forms the sform is used.
#
# Whom it hurts: images whose sform was made by flipping the qform's axis and keeping its origin, or the reverse, as scripts that "fix"
# left and right do: writing the header anew with other rounding turns left into right in every program that reads with ITK.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.2.6
"$work/venv/bin/python" - "$work/image.nii" <<'PY'
import sys

import nibabel as nib
import numpy as np
import SimpleITK as sitk

path = sys.argv[1]
qform = np.diag([2.0, 3.0, 4.0, 1.0])
qform[:3, 3] = -50, 20, 7
seen = {}
for shift_mm in (0.0, 0.001, 1.0):
    sform = qform @ np.diag([-1.0, 1.0, 1.0, 1.0])
    sform[0, 3] += shift_mm
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), None)
    image.set_sform(sform, 2)
    image.set_qform(qform, 2)
    nib.save(image, path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    reader.ReadImageInformation()
    to_the_left = round(reader.GetDirection()[0])  # ITK's x runs to the left
    seen[shift_mm] = to_the_left
    print(f"sform's origin {shift_mm:g} mm from the qform's: x runs to the {'left' if to_the_left > 0 else 'right'}")
assert seen[0.0] == 1 and seen[0.001] == seen[1.0] == -1, f"ITK now chooses otherwise: {seen}"
PY
echo "As described."
