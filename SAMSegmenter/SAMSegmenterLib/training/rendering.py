"""Renders labels as grey values as a scanner might have made them: tissues, texture, blur, bias, noise, window."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .random_fields import SmoothField, happens, log_uniform, uniform
from .scenes import Seen
from .tissues import GAS, KINDS

MATERIALS = 6  # kinds of tissue in a scene; objects of one kind look nearly alike
ALIKE = 0.6  # of the scenes whose tissues are known show structures of one tissue alike
COATED = 0.25  # of them have a rim of another grey value
BLUR_REACH = 4  # pixels


class Renderer:
    """The tissues of `count` scenes with labels 0 to `labels`, and the scanner that images them.

    Args:
        rows: objects that look alike, and the scenes in which they do; see `scenes.Scenes`.
        tissues: ``(V, labels + 1)``, see `tissues`; None if they are not known.
    """

    def __init__(
        self, count: int, labels: int, rows: tuple[slice, Tensor] | None, device: torch.device, tissues: Tensor | None = None
    ) -> None:
        self.count, self.device = count, device
        materials = self._materials(labels, rows, tissues)
        grey = uniform((count, MATERIALS), 0, 1, device)
        middle, spread = uniform((count, 1), 0.3, 0.65, device), uniform((count, 1), 0.03, 0.16, device)
        alike = middle + spread * torch.randn(count, MATERIALS, device=device)  # soft tissues differ little
        grey = torch.where(happens((count, 1), 0.55, device) & happens((count, MATERIALS), 0.75, device), alike, grey).gather(1, materials)
        grey = grey + uniform((count, 1), 0, 0.05, device) * torch.randn(grey.shape, device=device)
        self._grey = self._outside_and_fat(grey.clamp(0, 1))
        if tissues is not None:
            self._fill_with_gas(tissues)
        coated = happens((count, MATERIALS), COATED, device).gather(1, materials)
        self._rim = torch.where(coated, uniform((count, MATERIALS), 0, 1, device).gather(1, materials), self._grey)
        self._texture = self._textures(materials)
        self._bias = SmoothField(count, 1, 4, device)
        self._blur = uniform((count,), 0.05, 1.3, device)

    def render(self, seen: Seen, positions: Tensor, frames: int, size: int) -> Tensor:
        """Return grey values ``(V, frames, size, size)`` in 0..1 of what is seen at positions ``(V, N, 3)``."""
        texture = self._texture.gather(1, seen.labels[..., None].expand(-1, -1, 4))
        grey = torch.where(seen.rims, self._rim.gather(1, seen.labels), self._grey.gather(1, seen.labels))
        grey = grey + (texture * seen.textures.transpose(1, 2)).sum(-1) if seen.greys is None else seen.greys
        image = blurred(grey.view(self.count, frames, size, size), self._blur)
        bias = self._bias.at(positions).view(image.shape)
        return self._scanned(image * (uniform((self.count, 1, 1, 1), 0, 0.22, self.device) * bias).exp())

    def contrasts(self, labels: Tensor) -> Tensor:
        """Return the mean step in grey at the border of each label on slices ``(V, n, n)``, before texture and noise: ``(V, labels +
        1)``.
        """
        sums, counts = torch.zeros_like(self._grey), torch.full_like(self._grey, 1e-6)
        for one, other in ((labels[:, 1:], labels[:, :-1]), (labels[..., 1:], labels[..., :-1])):
            one, other = one.flatten(1), other.flatten(1)
            border = (one != other).float()
            for side, beyond in ((one, other), (other, one)):
                step = (self._rim.gather(1, side) - self._grey.gather(1, beyond)).abs() * border
                sums.scatter_add_(1, side, step)
                counts.scatter_add_(1, side, border)
        return sums / counts

    def _materials(self, labels: int, rows: tuple[slice, Tensor] | None, tissues: Tensor | None) -> Tensor:
        """Return the material of each label, ``(V, labels + 1)``; objects that stand in a row, or are of one tissue, have the same."""
        materials = torch.randint(MATERIALS, (self.count, labels + 1), device=self.device)
        if rows:
            part = slice(rows[0].start + 1, rows[0].stop + 1)  # labels count from 1
            materials[:, part] = torch.where(rows[1][:, None], materials[:, part.start, None], materials[:, part])
        if tissues is not None:
            alike = torch.randint(MATERIALS, (self.count, KINDS), device=self.device).gather(1, tissues)
            materials = torch.where((tissues > 0) & happens((self.count, 1), ALIKE, self.device), alike, materials)
        return materials

    def _fill_with_gas(self, tissues: Tensor) -> None:
        dark = uniform((self.count, 1), 0, 0.08, self.device) * torch.ones_like(self._grey)
        filled = (tissues == GAS) & happens((self.count, 1), 0.8, self.device)
        self._grey = torch.where(filled, dark, self._grey)

    def _outside_and_fat(self, grey: Tensor) -> Tensor:
        air = uniform((self.count,), 0, 0.06, self.device)
        grey[:, 0] = torch.where(happens((self.count,), 0.75, self.device), air, grey[:, 0])
        fat = (grey[:, 1:].mean(1) - uniform((self.count,), 0.05, 0.4, self.device)).clamp(0, 1)  # as in CT
        grey[:, -1] = torch.where(happens((self.count,), 0.6, self.device), fat, grey[:, -1])
        return grey

    def _textures(self, materials: Tensor) -> Tensor:
        """Return the strength of the four texture fields for every label: ``(V, labels + 1, 4)``."""
        strength = log_uniform((self.count, 1, 1), 0.15, 1, self.device) * torch.rand(*materials.shape, 4, device=self.device) ** 2
        strength = strength * torch.tensor([0.10, 0.10, 0.13, 0.13], device=self.device)
        strength[:, 0] *= 0.15
        return strength

    def _scanned(self, image: Tensor) -> Tensor:
        """Return an image with the scanner's noise, a window, a gamma curve, and sometimes inverted grey values."""
        count, device = (self.count, 1, 1, 1), self.device
        strength = log_uniform(count, 0.004, 0.09, device)
        noise = torch.randn_like(image)
        coarse = F.avg_pool2d(noise, 3, 1, 1, count_include_pad=False) * 2
        noise = torch.where(happens(count, 0.4, device), coarse, noise)
        rician = ((image + strength * noise) ** 2 + (strength * torch.randn_like(image)) ** 2).sqrt()
        image = torch.where(happens(count, 0.15, device), rician, image + strength * noise)
        image = image * (1 + 0.02 * torch.randn(*image.shape[:2], 1, 1, device=device))
        low, high = uniform(count, -0.05, 0.15, device), uniform(count, 0.75, 1.1, device)
        image = ((image - low) / (high - low)).clamp(0, 1) ** (0.35 * torch.randn(count, device=device)).exp()
        return torch.where(happens(count, 0.1, device), 1 - image, image)


def blurred(images: Tensor, sigmas: Tensor) -> Tensor:
    """Return images ``(V, T, n, n)`` blurred by Gaussians of ``(V,)`` pixels, cut off at `BLUR_REACH`."""
    offsets = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=images.device)
    kernels = (-0.5 * (offsets / sigmas[:, None]) ** 2).exp()
    kernels = (kernels / kernels.sum(1, keepdim=True))[:, None]
    stacked = images.transpose(0, 1)
    for kernel, pad in ((kernels[..., None, :], (BLUR_REACH, BLUR_REACH, 0, 0)), (kernels[..., None], (0, 0, BLUR_REACH, BLUR_REACH))):
        stacked = F.conv2d(F.pad(stacked, pad, mode="replicate"), kernel, groups=len(images))
    return stacked.transpose(0, 1)
