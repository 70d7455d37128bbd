"""Import this before transformers, to have its video processor on a torch without CUDA.

The published torchvision is compiled for CUDA builds of torch. What the processor uses of it is
plain Python, but its import asks for two operators of the compiled part: here are their names.
"""

import torch

__all__ = ["OPERATORS"]

OPERATORS = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
