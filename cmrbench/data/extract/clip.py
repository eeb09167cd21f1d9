"""Texts and pictures through CLIP (Radford et al., ICML 2021), by open_clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from cmrbench.data.extract.extractor import Extractor, needs
from cmrbench.data.extract.images import open_picture
from cmrbench.data.extract.weights import choose_device, load_weights, weights_digest


class _Clip(Extractor):
    """The tower for pictures or the one for texts, projected into CLIP's common space.

    Parameters
    ----------
    weights : str
        open_clip's tag of the pretrained weights, which come from their hub at the first use.
    file : str
        A file with a state dict of your own in their place.
    prompt : str
        Put before every text.
    """

    takes = ("text", "picture")
    extra = "extract"
    model: ClassVar[str] = ""
    layer = "projection into the common space"
    normalisation = "unit length"

    def __init__(self, weights: str = "openai", file: str = "", prompt: str = "") -> None:
        self.weights = weights
        self.file = file
        self.prompt = prompt

    def open(self, device: str, takes: str) -> str:
        """Build the model and load its weights."""
        open_clip = needs(self.extra, "open_clip")
        self.device_ = choose_device(device)
        self.takes_ = takes
        pretrained = None if self.file else self.weights
        network, _, self.transform_ = open_clip.create_model_and_transforms(self.model, pretrained=pretrained)
        if self.file:
            load_weights(network, self.file)
        self.tokenize_ = open_clip.get_tokenizer(self.model)
        self.network_ = network.eval().to(self.device_)
        return weights_digest(network)

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Unit vectors (n, d)."""
        import torch

        with torch.inference_mode():
            if self.takes_ == "text":
                found = self.network_.encode_text(self.tokenize_([self.prompt + t for t in inputs]).to(self.device_))
            else:
                batch = torch.stack([self.transform_(open_picture(content)) for content in inputs])
                found = self.network_.encode_image(batch.to(self.device_))
            unit = torch.nn.functional.normalize(found.float(), dim=1)
        return np.asarray(unit.cpu().numpy(), np.float32)


class ClipViTB32(_Clip):
    """ViT-B/32: 512 values."""

    model = "ViT-B-32-quickgelu"
    extractor = "CLIP ViT-B/32 (open_clip)"


class ClipViTB16(_Clip):
    """ViT-B/16: 512 values."""

    model = "ViT-B-16-quickgelu"
    extractor = "CLIP ViT-B/16 (open_clip)"


class ClipViTL14(_Clip):
    """ViT-L/14: 768 values."""

    model = "ViT-L-14-quickgelu"
    extractor = "CLIP ViT-L/14 (open_clip)"


class ClipRN50(_Clip):
    """RN50: 1,024 values, the features of CLIP4CMR and LCM."""

    model = "RN50-quickgelu"
    extractor = "CLIP RN50 (open_clip)"
