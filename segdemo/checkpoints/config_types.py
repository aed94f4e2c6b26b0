"""What the schemas of networks' configs are made of: kinds of numbers, and limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from segdemo.checkpoints.schema import Schema

Word = Annotated[str, Field(max_length=100)]
Width = Annotated[int, Field(ge=1, le=16_384)]
Widths = Annotated[list[Width], Field(min_length=1, max_length=8)]
Types = Annotated[list[Word], Field(min_length=1, max_length=8)]
Count = Annotated[int, Field(ge=1, le=16)]
Counts = Annotated[list[Count], Field(min_length=1, max_length=8)]
Heads = Annotated[int, Field(ge=1, le=512)]
Blocks = Annotated[int, Field(ge=1, le=64)]
Kernel = Annotated[int, Field(ge=1, le=31)]
Epsilon = Annotated[float, Field(gt=0, le=0.1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Scale = Annotated[float, Field(gt=0, le=1000)]
Side = Annotated[int, Field(ge=1, le=4096)]

MAX_BLOCKS = 512  # residual and transformer blocks of a U-Net; Stable Diffusion XL has about 80
MAX_WEIGHTS = 30_000_000_000  # of a network; FLUX.1 has 12 billion
BLOCK_WEIGHTS = 30  # of a block of width 1, about: they grow with the square of the width
BUILDABLE = "its layers and channels should be those of a network that can be built"


class NetworkConfig(Schema):
    """What all configs share."""

    quantization_config: None = None  # would need packages that are not here
