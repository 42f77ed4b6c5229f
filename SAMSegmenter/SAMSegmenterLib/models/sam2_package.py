"""The parts of the `sam2` package that are used, imported in this one place, so that a failure names the package to blame.

`sam2` imports hydra, omegaconf, antlr4 and iopath, of which another Slicer extension may have installed other versions.
"""

from __future__ import annotations

from ..packages import check_antlr, import_explained

with import_explained("sam2", '--no-deps "rf-sam-2>=1.0.3"'):
    check_antlr()
    from sam2.modeling.backbones.hieradet import Hiera
    from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
    from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
    from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
    from sam2.modeling.position_encoding import PositionEmbeddingSine
    from sam2.modeling.sam.transformer import RoPEAttention
    from sam2.modeling.sam2_base import NO_OBJ_SCORE, SAM2Base
    from sam2.modeling.sam2_utils import get_1d_sine_pe
    from sam2.sam2_video_predictor import SAM2VideoPredictor

__all__ = [
    "NO_OBJ_SCORE",
    "CXBlock",
    "FpnNeck",
    "Fuser",
    "Hiera",
    "ImageEncoder",
    "MaskDownSampler",
    "MemoryAttention",
    "MemoryAttentionLayer",
    "MemoryEncoder",
    "PositionEmbeddingSine",
    "RoPEAttention",
    "SAM2Base",
    "SAM2VideoPredictor",
    "get_1d_sine_pe",
]
