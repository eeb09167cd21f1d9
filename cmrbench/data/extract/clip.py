"""Texts and pictures through CLIP (Radford et al., ICML 2021), by open_clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from cmrbench.core.errors import UnknownNameError
from cmrbench.data.extract.extractor import Extractor, needs
from cmrbench.data.extract.images import open_picture
from cmrbench.data.extract.weights import choose_device, exactly, from_hub, load_weights, weights_digest


class _Clip(Extractor):
    """The tower for pictures or the one for texts, projected into CLIP's common space.

    Texts are cut after the 77 tokens that CLIP reads.

    Parameters
    ----------
    weights : str
        open_clip's tag of the pretrained weights, which come from their hub at the first use.
    file : str
        A file with a state dict of your own in their place; `weights` then says whose variant of the network it is.
    prompt : str
        Put before every text.
    unit : bool
        Bring vectors to unit length; CLIP4CMR takes them as they are.
    """

    takes = ("text", "picture")
    extra = "extract"
    libraries = ("torch", "open_clip_torch", "pillow")
    model: ClassVar[str] = ""
    layer = "projection into the common space"
    normalisation = "unit length"

    def __init__(self, weights: str = "openai", file: str = "", prompt: str = "", unit: bool = True) -> None:
        self.weights = weights
        self.file = file
        self.prompt = prompt
        self.unit = unit
        if not unit:
            self.normalisation = "not normalised"

    def open(self, device: str, takes: str) -> str:
        """Build the model and load its weights."""
        open_clip = needs(self.extra, "open_clip")
        self.device_ = choose_device(device)
        self.takes_ = takes
        model = self._variant(open_clip)
        with from_hub(f"{model} {self.weights}", "or give its state dict with file=PATH"):
            pretrained = None if self.file else self.weights
            network, _, self.transform_ = open_clip.create_model_and_transforms(model, pretrained=pretrained)
            self.tokenize_ = open_clip.get_tokenizer(model)
        if self.file:
            load_weights(network, self.file)
        self.network_ = network.eval().to(self.device_)
        return weights_digest(network)

    def _variant(self, open_clip: Any) -> str:
        """The variant that the weights were trained in: OpenAI's have another activation than most later ones.

        open_clip's versions list OpenAI's weights under either or both; under the plain name alone, it sets the
        activation itself.
        """
        tags: dict[str, list[str]] = {m: open_clip.list_pretrained_tags_by_model(m) for m in self._variants()}
        found = [m for m, listed in tags.items() if self.weights in listed]
        if not found:
            known = sorted({t for listed in tags.values() for t in listed})
            raise UnknownNameError(f"weights of {self.model}", self.weights, known)
        return found[0]

    def _variants(self) -> tuple[str, str]:
        return f"{self.model}-quickgelu", self.model

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Projections (n, d)."""
        import torch

        with exactly():
            if self.takes_ == "text":
                found = self.network_.encode_text(self.tokenize_([self.prompt + t for t in inputs]).to(self.device_))
            else:
                batch = torch.stack([self.transform_(open_picture(content)) for content in inputs])
                found = self.network_.encode_image(batch.to(self.device_))
            found = torch.nn.functional.normalize(found.float(), dim=1) if self.unit else found.float()
        return np.asarray(found.cpu().numpy(), np.float32)


class ClipViTB32(_Clip):
    """ViT-B/32: 512 values."""

    model = "ViT-B-32"
    makes = "512"
    extractor = "CLIP ViT-B/32 (open_clip)"


class ClipViTB16(_Clip):
    """ViT-B/16: 512 values."""

    model = "ViT-B-16"
    makes = "512"
    extractor = "CLIP ViT-B/16 (open_clip)"


class ClipViTL14(_Clip):
    """ViT-L/14: 768 values."""

    model = "ViT-L-14"
    makes = "768"
    extractor = "CLIP ViT-L/14 (open_clip)"


class ClipRN50(_Clip):
    """RN50: 1,024 values."""

    model = "RN50"
    makes = "1024"
    extractor = "CLIP RN50 (open_clip)"
