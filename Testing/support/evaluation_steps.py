"""An object to evaluate methods on, and methods of which it is known what they give."""

import numpy as np

SLICES, SIDE = 12, 40
FIRST, LAST, MIDDLE = 2, 9, 6  # of the object; the middle one of its 8 slices


def object_mask():
    mask = np.zeros((SLICES, SIDE, SIDE), bool)
    mask[FIRST : LAST + 1, 10:22, 12:28] = True
    return mask


class Fixed:
    """Gives the same mask, within reach, whatever is marked; notes what it was given."""

    def __init__(self, mask, name="fixed"):
        self.name, self.mask, self.asked = name, mask, []

    def segment(self, stack, keyframes, reach):
        self.asked.append((list(keyframes), reach, stack))
        mask = np.zeros_like(self.mask)
        mask[reach[0] : reach[1] + 1] = self.mask[reach[0] : reach[1] + 1]
        return mask


class Learning(Fixed):
    """Knows the object on slices marked so far, and nothing else."""

    def segment(self, stack, keyframes, reach):
        marked = [keyframe.slice for keyframe in keyframes]
        mask = np.zeros_like(self.mask)
        mask[marked] = self.mask[marked]
        return mask


class Offering(Fixed):
    """Offers an empty mask first and the right one second."""

    def offer(self, stack, keyframe):
        return [np.zeros((SIDE, SIDE), bool), self.mask[keyframe.slice]]

    def everything(self, stack, index):
        return [self.mask[index]]
