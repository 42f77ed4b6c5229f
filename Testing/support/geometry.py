"""Hypothesis strategies for the places that volumes have in a patient."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from SAMSegmenterLib.image.volume import Volume

AXES = st.sampled_from("ijk")


@st.composite
def affines(draw, oblique=None):
    """A 4x4 IJK-to-RAS matrix: any rotation, reflection and anisotropic spacing; only flips and swaps if not `oblique`."""
    if draw(st.booleans()) if oblique is None else oblique:
        seed = draw(st.integers(0, 2**32 - 1))
        directions = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    else:
        directions = np.eye(3)[draw(st.permutations(range(3)))]
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    spacing_mm = draw(st.tuples(*[st.floats(0.2, 10)] * 3))
    matrix = np.eye(4)
    matrix[:3, :3] = directions * signs * spacing_mm
    matrix[:3, 3] = draw(st.tuples(*[st.floats(-1000, 1000)] * 3))
    return matrix


@st.composite
def volumes(draw, smallest=2, largest=9):
    """A small int16 volume of noise at a random place."""
    shape = draw(st.tuples(*[st.integers(smallest, largest)] * 3))
    voxels = np.random.default_rng(draw(st.integers(0, 999))).integers(-500, 500, shape, dtype=np.int16)
    return Volume(voxels, draw(affines()))
