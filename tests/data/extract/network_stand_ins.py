"""Small stand-ins for torchvision, open_clip, sentence-transformers and librosa.

Each has the part of the real interface that the extractors use, with networks of the same classes and layouts and
random weights: VGG with `features`, `avgpool` and a `classifier` of seven layers, a residual network with `fc`, CLIP
with `encode_image` and `encode_text`, an encoder that is a torch.nn.Sequential.
"""

from __future__ import annotations

import enum
import io
import sys
import wave
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn


def to_tensor(size: int) -> Callable[[Any], torch.Tensor]:
    """As torchvision's presets: a picture scaled, as a tensor (3, size, size)."""

    def transform(picture: Any) -> torch.Tensor:
        assert picture.mode == "RGB"
        values = np.asarray(picture.resize((size, size)), np.float32) / 255
        return torch.from_numpy(values).permute(2, 0, 1) - 0.5

    return transform


class VGG(nn.Module):
    """A VGG with one convolution, and 8 and 6 in the place of 4,096 and 4,096 values."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(16, 8), nn.ReLU(True), nn.Dropout(), nn.Linear(8, 6), nn.ReLU(True), nn.Dropout(), nn.Linear(6, 5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class ResNet(nn.Module):
    """A residual network of one block, with 7 pooled values."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 7, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(7)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(7, 7, 3, padding=1)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(7, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.conv2(x) + x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


@dataclass(frozen=True)
class Weights:
    """torchvision.models.Weights: where weights come from and how pictures are prepared for them."""

    url: str
    transforms: Callable[..., Any]


class WeightsEnum(enum.Enum):
    """torchvision.models.WeightsEnum."""

    @property
    def transforms(self) -> Callable[..., Any]:
        return self.value.transforms


class SomeWeights(WeightsEnum):
    """The weights of all networks here; the second ones cannot be fetched."""

    IMAGENET1K_V1 = Weights("https://example.org/1", lambda: to_tensor(12))
    IMAGENET1K_V2 = Weights("https://example.org/2", lambda: to_tensor(12))


def initialised(module: nn.Module, seed: int) -> nn.Module:
    """Random weights of a seed, running statistics included."""
    generator = torch.Generator().manual_seed(seed)
    state = module.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            drawn = torch.randn(tensor.shape, generator=generator)
            state[name] = drawn.abs() + 0.5 if "running_var" in name else drawn
    module.load_state_dict(state)
    return module


def torchvision() -> dict[str, ModuleType]:
    """torchvision and torchvision.models."""
    models = ModuleType("torchvision.models")
    builders = {"vgg19": VGG, "resnet50": ResNet, "resnet152": ResNet}

    def get_model(name: str, **config: Any) -> nn.Module:
        assert set(config) == {"weights"}
        if config["weights"] is SomeWeights.IMAGENET1K_V2:
            raise OSError("<urlopen error [Errno -2] Name or service not known>")
        return initialised(builders[name](), 1 if config["weights"] is not None else 2)

    models.get_model = get_model
    models.get_model_weights = lambda name: SomeWeights if name in builders else None
    package = ModuleType("torchvision")
    package.models = models
    return {"torchvision": package, "torchvision.models": models}


class CLIP(nn.Module):
    """Two towers into a common space of 6 values."""

    def __init__(self, quick: bool) -> None:
        super().__init__()
        self.visual = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.Flatten(), nn.Linear(4 * 9, 6))
        self.token_embedding = nn.Embedding(300, 6)
        self.logit_scale = nn.Parameter(torch.ones([]))
        self.quick = quick

    def encode_image(self, image: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        found = self.visual(image) * (2 if self.quick else 1)
        return nn.functional.normalize(found, dim=-1) if normalize else found

    def encode_text(self, text: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        found = self.token_embedding(text).sum(1)
        return nn.functional.normalize(found, dim=-1) if normalize else found


TAGS = {"ViT-B-32-quickgelu": ["openai", "laion400m_e32"], "ViT-B-32": ["openai", "laion2b_s34b_b79k"]}
"""As open_clip lists them: later weights under the plain name alone."""


def open_clip() -> dict[str, ModuleType]:
    """open_clip."""
    module = ModuleType("open_clip")
    module.made = []

    def create_model_and_transforms(model_name: str, pretrained: str | None = None, **more: Any) -> Any:
        assert not more
        if pretrained is not None and pretrained not in TAGS[model_name]:
            raise RuntimeError(f"Pretrained weights ({pretrained}) not found for model {model_name}.")
        module.made.append((model_name, pretrained))
        network = initialised(CLIP(model_name.endswith("quickgelu")), 2 if pretrained is None else 1)
        return network.train(), None, to_tensor(12)

    def get_tokenizer(model_name: str) -> Callable[[list[str]], torch.Tensor]:
        assert model_name in TAGS

        def tokenize(texts: list[str] | str, context_length: int = 77) -> torch.Tensor:
            assert not isinstance(texts, str)
            tokens = torch.zeros(len(texts), context_length, dtype=torch.long)
            for row, text in enumerate(texts):
                words = [298, *(b + 1 for b in text.encode()), 299][:context_length]
                tokens[row, : len(words)] = torch.tensor(words)
            return tokens

        return tokenize

    module.create_model_and_transforms = create_model_and_transforms
    module.get_tokenizer = get_tokenizer
    module.list_pretrained_tags_by_model = lambda model: TAGS.get(model, [])
    return {"open_clip": module}


class SentenceTransformer(nn.Sequential):
    """sentence_transformers.SentenceTransformer: a name or folder, and `encode`."""

    def __init__(self, model_name_or_path: str | None = None, *, device: str | None = None) -> None:
        if model_name_or_path != "all-MiniLM-L6-v2":
            raise OSError(f"sentence-transformers/{model_name_or_path} is not a valid model identifier\nSee the list.")
        super().__init__(nn.EmbeddingBag(300, 6, mode="mean"))
        initialised(self, 3).to(device)

    def encode(
        self,
        sentences: list[str],
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        normalize_embeddings: bool = False,
    ) -> np.ndarray:
        assert show_progress_bar is False
        found = []
        for start in range(0, len(sentences), batch_size):
            for text in sentences[start : start + batch_size]:
                found.append(self[0](torch.tensor([[0, *text.encode()]]))[0])
        made = torch.stack(found)
        return (nn.functional.normalize(made, dim=1) if normalize_embeddings else made).numpy()


def sentence_transformers() -> dict[str, ModuleType]:
    """sentence_transformers."""
    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = SentenceTransformer
    return {"sentence_transformers": module}


def librosa() -> dict[str, ModuleType]:
    """librosa and librosa.feature, for .wav files of 16 bits; the coefficients are none, but as many."""

    def load(
        path: Any, *, sr: float | None = 22050, mono: bool = True, offset: float = 0.0, duration: float | None = None
    ) -> tuple[np.ndarray, float]:
        assert isinstance(path, io.BytesIO)
        with wave.open(path) as sound:
            values = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / 32768
            values = values.reshape(-1, sound.getnchannels()).mean(1) if mono else values
            step = sound.getframerate() / sr
        values = values[(np.arange(int(len(values) / step)) * step).astype(int)]
        return values[: int(duration * sr)], sr

    def mfcc(*, y: np.ndarray, sr: float = 22050, n_mfcc: int = 20) -> np.ndarray:
        frames = np.resize(y, (max(1, len(y) // 512), 512))
        return np.log1p(np.abs(np.fft.rfft(frames, axis=1))).T[:n_mfcc]

    feature = ModuleType("librosa.feature")
    feature.mfcc = mfcc
    module = ModuleType("librosa")
    module.load, module.feature = load, feature
    return {"librosa": module, "librosa.feature": feature}


def install(monkeypatch: pytest.MonkeyPatch, *made: dict[str, ModuleType]) -> None:
    """Let the stand-ins be imported."""
    for modules in made:
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
