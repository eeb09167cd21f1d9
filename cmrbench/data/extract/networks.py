"""Pictures through convolutional networks that were trained on ImageNet (torchvision)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from cmrbench.core.errors import UnknownNameError
from cmrbench.data.extract.extractor import Extractor, needs
from cmrbench.data.extract.images import open_picture
from cmrbench.data.extract.weights import choose_device, exactly, from_hub, load_weights, weights_digest


class _Network(Extractor):
    """A torchvision network without its last layers; pictures are scaled and cropped as its weights ask for.

    Parameters
    ----------
    weights : str
        Name of torchvision's weights, which come from their hub at the first use.
    file : str
        A file with a state dict of your own in the place of the named weights.
    """

    takes = ("picture",)
    extra = "extract"
    libraries = ("torch", "torchvision", "pillow")
    architecture: ClassVar[str] = ""

    def __init__(self, weights: str = "IMAGENET1K_V1", file: str = "") -> None:
        self.weights = weights
        self.file = file

    def open(self, device: str, takes: str) -> str:
        """Build the network, load its weights, and cut it."""
        models = needs(self.extra, "torchvision.models")
        self.device_ = choose_device(device)
        known = models.get_model_weights(self.architecture)
        if self.weights not in known.__members__:
            raise UnknownNameError(f"weights of {self.architecture}", self.weights, known.__members__)
        named = known[self.weights]
        self.transform_ = named.transforms()
        if self.file:
            network = models.get_model(self.architecture, weights=None)
            load_weights(network, self.file)
        else:
            with from_hub(f"{self.architecture} {self.weights}", "or give its state dict with file=PATH"):
                network = models.get_model(self.architecture, weights=named)
        digest = weights_digest(network)
        self.network_ = self.cut(network).eval().to(self.device_)
        return digest

    def cut(self, network: Any) -> Any:
        """The part of the network that gives the features."""
        raise NotImplementedError

    def __call__(self, inputs: Sequence[Any]) -> np.ndarray:
        """Activations (n, d)."""
        import torch

        batch = torch.stack([self.transform_(open_picture(content)) for content in inputs]).to(self.device_)
        with exactly():
            return np.asarray(self.network_(batch).flatten(1).float().cpu().numpy(), np.float32)


class VGG19(_Network):
    """fc7 of VGG-19 (Simonyan, Zisserman, ICLR 2015): 4,096 values after the second rectifier of the classifier."""

    architecture = "vgg19"
    makes = "4096"
    extractor = "VGG-19 trained on ImageNet (torchvision)"
    layer = "fc7 after its rectifier"

    def cut(self, network: Any) -> Any:
        """Everything before the last dropout and fc8."""
        import torch

        return torch.nn.Sequential(network.features, network.avgpool, torch.nn.Flatten(), *network.classifier[:5])


class _ResNet(_Network):
    """The pooled features of a residual network (He et al., CVPR 2016)."""

    makes = "2048"
    layer = "global average pooling"

    def cut(self, network: Any) -> Any:
        """Everything before the classifier."""
        import torch

        network.fc = torch.nn.Identity()
        return network


class ResNet50(_ResNet):
    """ResNet-50: 2,048 values."""

    architecture = "resnet50"
    extractor = "ResNet-50 trained on ImageNet (torchvision)"


class ResNet152(_ResNet):
    """ResNet-152: 2,048 values."""

    architecture = "resnet152"
    extractor = "ResNet-152 trained on ImageNet (torchvision)"
