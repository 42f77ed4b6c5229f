"""Holds what training looks at: procedural scenes, real label maps, and images of patients."""

from __future__ import annotations

from dataclasses import dataclass

from .labelmaps import Labelmaps
from .patients import Patients
from .recipe import Recipe
from .scenes import Scenes
from .sequences import Anatomy
from .squares import Slices


@dataclass(frozen=True, eq=False)
class Sources:
    """Label maps and images of patients, as far as there are any; procedural scenes are there in any case."""

    labelmaps: Labelmaps | None = None
    patients: Patients | None = None

    def scenes(self, slices: Slices, recipe: Recipe, chance: float) -> Anatomy:
        """Return scenes for `slices`, of the source that the recipe has for a random number `chance`, 0..1."""
        if self.patients and chance < recipe.patients:
            return self.patients.scenes(slices)
        if self.labelmaps and chance > 1 - recipe.labelmaps:
            return self.labelmaps.scenes(slices)
        return Scenes(slices.count, slices.focus)
