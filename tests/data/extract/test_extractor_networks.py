"""Networks behind extractors: which layer, which weights, whose variant, and what a weights file may hold."""

from __future__ import annotations

import io
import os
import pickle
import wave
from pathlib import Path
from typing import Any

import made_raw
import network_stand_ins as stand_ins
import numpy as np
import pytest
import torch
from PIL import Image

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.core.names import DatasetName
from cmrbench.data import load_dataset
from cmrbench.data.extract import Extractor, Job, extract_features, make_extractor
from cmrbench.data.extract.weights import weights_digest
from cmrbench.data.local import read_local

PICTURES = [made_raw.photograph(seed) for seed in range(9)]
TEXTS = ["a red house", "", "a blue dog under a tree " * 9, "stone", "cloud and river"]


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """All stand-ins, importable; the modules by name."""
    made = [stand_ins.torchvision(), stand_ins.open_clip(), stand_ins.sentence_transformers(), stand_ins.librosa()]
    stand_ins.install(monkeypatch, *made)
    return {name: module for modules in made for name, module in modules.items()}


def opened(typed: str, takes: str = "picture", device: str = "cpu") -> Extractor:
    extractor = make_extractor(typed, takes)
    extractor.digest = extractor.open(device, takes)
    return extractor


def as_batch(pictures: list[bytes]) -> torch.Tensor:
    transform = stand_ins.to_tensor(12)
    return torch.stack([transform(Image.open(io.BytesIO(p)).convert("RGB")) for p in pictures])


def saved(module: torch.nn.Module, path: Path) -> Path:
    torch.save(module.state_dict(), path)
    return path


def test_vgg_gives_fc7_after_its_rectifier(networks: dict[str, Any]) -> None:
    made = opened("vgg19")(PICTURES)
    vgg = stand_ins.initialised(stand_ins.VGG(), 1).eval()
    with torch.no_grad():
        fc6 = vgg.classifier[0](vgg.avgpool(vgg.features(as_batch(PICTURES))).flatten(1)).relu()
        fc7 = vgg.classifier[3](fc6).relu()
    assert made.shape == (9, 6)
    assert made.dtype == np.float32
    assert (made >= 0).all()
    assert (made == 0).any()
    assert np.allclose(made, fc7.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["resnet50", "resnet152"])
def test_a_residual_network_gives_its_pooled_values(name: str, networks: dict[str, Any]) -> None:
    made = opened(name)(PICTURES)
    resnet = stand_ins.initialised(stand_ins.ResNet(), 1).eval()
    with torch.no_grad():
        expected = resnet(as_batch(PICTURES)).numpy()
        assert np.allclose(made @ resnet.fc.weight.numpy().T + resnet.fc.bias.numpy(), expected, atol=1e-4)
    assert made.shape == (9, 7)


@pytest.mark.parametrize(
    ("typed", "takes"),
    [("vgg19", "picture"), ("resnet50", "picture"), ("clip-vit-b32", "picture"), ("clip-vit-b32", "text"),
     ("sbert", "text")],
)  # fmt: skip
def test_rows_do_not_depend_on_their_company(typed: str, takes: str, networks: dict[str, Any]) -> None:
    inputs: list[Any] = PICTURES if takes == "picture" else TEXTS
    extractor = opened(typed, takes)
    together = extractor(inputs)
    assert np.allclose(together, np.concatenate([extractor([one]) for one in inputs]), atol=1e-5)
    assert np.allclose(together[::-1], extractor(inputs[::-1]), atol=1e-5)
    assert len({row.tobytes() for row in together}) == len(inputs)


def test_weights_of_a_file(networks: dict[str, Any], tmp_path: Path) -> None:
    own = stand_ins.initialised(stand_ins.VGG(), 8)
    extractor = opened(f"vgg19:file={saved(own, tmp_path / 'a:b.pth')}")
    assert extractor.digest == weights_digest(own) != opened("vgg19").digest
    with torch.no_grad():
        own.eval()
        expected = torch.nn.Sequential(own.features, own.avgpool, torch.nn.Flatten(), *own.classifier[:5])
        assert np.allclose(extractor(PICTURES), expected(as_batch(PICTURES)).numpy(), atol=1e-5)


def test_the_hash_is_over_names_types_shapes_and_values() -> None:
    def digest(**state: torch.Tensor) -> str:
        module = torch.nn.Module()
        for name, tensor in state.items():
            module.register_buffer(name, tensor)
        return weights_digest(module)

    x = torch.arange(6.0)
    assert digest(a=x, b=x[:2]) == digest(b=x[:2].clone(), a=x.clone())
    assert digest(a=torch.tensor(1.0), b=torch.zeros(0)) == digest(b=torch.zeros(0), a=torch.tensor(1.0))
    others = [digest(b=x), digest(a=x.reshape(2, 3)), digest(a=x.to(torch.bfloat16)), digest(a=x + 1), digest(a=x[:5])]
    assert len({digest(a=x), *others}) == 6
    assert digest(a=torch.arange(12.0).reshape(3, 4).T) == digest(a=torch.arange(12.0).reshape(3, 4).T.contiguous())


class Harmful:
    """Runs code when it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.made),))


def weights_file(kind: str, folder: Path) -> Path:
    path = folder / "weights.pth"
    state = stand_ins.VGG().state_dict()
    if kind == "hostile":
        torch.save(dict(state) | {"features.0.bias": Harmful(folder / "run")}, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Harmful(folder / "run")))
    elif kind == "noise":
        path.write_bytes(bytes(range(256)) * 9)
    elif kind == "cut":
        torch.save(state, path)
        path.write_bytes(path.read_bytes()[:-500])
    elif kind == "module":
        torch.save({"state_dict": state}, path)
    elif kind == "tensor":
        torch.save(torch.ones(3), path)
    elif kind == "other":
        saved(stand_ins.ResNet(), path)
    elif kind == "shape":
        torch.save(state | {"features.0.bias": torch.ones(9)}, path)
    elif kind == "less":
        torch.save({k: v for k, v in state.items() if k != "classifier.6.bias"}, path)
    return path


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("missing", "cannot be read: No such file"),
        ("hostile", "is not read: expected nothing but tensors"),
        ("pickle", "is not read: expected nothing but tensors"),
        ("noise", "is not read: expected nothing but tensors"),
        ("cut", "is not read: expected nothing but tensors"),
        ("module", "holds no state dict: expected tensors by name"),
        ("tensor", "holds no state dict: expected tensors by name"),
        ("other", r"is not of VGG: .* and \d+ more differences$"),
        ("shape", r"is not of VGG: features\.0\.bias has the shape \(9,\), expected \(4,\)$"),
        ("less", r"is not of VGG: classifier\.6\.bias is missing$"),
    ],
)
def test_wrong_and_hostile_weights(kind: str, expected: str, networks: dict[str, Any], tmp_path: Path) -> None:
    path = weights_file(kind, tmp_path)
    with pytest.raises(DataError, match=expected) as caught:
        opened(f"vgg19:file={path}")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_weights_that_cannot_be_had(networks: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"cannot load vgg19 IMAGENET1K_V2 \(OSError: .* not known>\); or give its sta"):
        opened("vgg19:weights=IMAGENET1K_V2")
    with pytest.raises(UnknownNameError, match=r"unknown weights of vgg19 'IMAGENET1K'; did you mean IMAGENET1K_V"):
        opened("vgg19:weights=IMAGENET1K")
    with pytest.raises(DataError, match=r"cannot load the sentence encoder mini \(OSError: .* list\)") as caught:
        opened("sbert:model=mini", "text")
    assert "\n" not in str(caught.value)


def test_clip_puts_texts_and_pictures_into_one_space(networks: dict[str, Any]) -> None:
    clip = stand_ins.initialised(stand_ins.CLIP(True), 1)
    images, texts = opened("clip-vit-b32"), opened("clip-vit-b32", "text")
    assert images.digest == texts.digest == weights_digest(clip)
    assert not images.network_.training
    with torch.no_grad():
        expected = clip.encode_image(as_batch(PICTURES), normalize=True).numpy()
        raw = clip.encode_image(as_batch(PICTURES)).numpy()
    assert np.allclose(images(PICTURES), expected, atol=1e-5)
    assert np.allclose(np.linalg.norm(texts(TEXTS), axis=1), 1, atol=1e-5)
    plain = opened("clip-vit-b32:unit=False")
    assert np.allclose(plain(PICTURES), raw, atol=1e-4)
    assert (images.normalisation, plain.normalisation) == ("unit length", "not normalised")


def test_a_prompt_stands_before_every_text(networks: dict[str, Any]) -> None:
    plain, prompted = opened("clip-vit-b32", "text"), opened("clip-vit-b32:prompt=a photo: of ", "text")
    assert np.array_equal(prompted(["dogs"]), plain(["a photo: of dogs"]))


@pytest.mark.parametrize(
    ("weights", "model"),
    [
        ("openai", "ViT-B-32-quickgelu"),
        ("laion400m_e32", "ViT-B-32-quickgelu"),
        ("laion2b_s34b_b79k", "ViT-B-32"),
    ],
)
def test_clip_is_built_in_the_variant_of_its_weights(
    weights: str, model: str, networks: dict[str, Any], tmp_path: Path
) -> None:
    opened(f"clip-vit-b32:weights={weights}")
    file = saved(stand_ins.initialised(stand_ins.CLIP(False), 5), tmp_path / "clip.pt")
    opened(f"clip-vit-b32:weights={weights}:file={file}")
    assert networks["open_clip"].made == [(model, weights), (model, None)]


def test_clip_when_openai_has_no_variant_of_its_own(networks: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setitem(stand_ins.TAGS, "ViT-B-32-quickgelu", ["metaclip_400m"])
    opened("clip-vit-b32")
    assert networks["open_clip"].made == [("ViT-B-32", "openai")]
    with pytest.raises(UnknownNameError, match=r"unknown weights of ViT-B-32 'open_ai'; did you mean openai\?"):
        opened("clip-vit-b32:weights=open_ai")


def test_sentences_have_unit_length(networks: dict[str, Any]) -> None:
    encoder = opened("sbert", "text")
    assert np.allclose(np.linalg.norm(encoder(TEXTS), axis=1), 1, atol=1e-5)
    assert encoder.digest == weights_digest(encoder.network_)
    assert encoder.device_ == "cpu"


def sound(seconds: float, rate: int = 16000, channels: int = 2) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        noise = np.random.default_rng(1).integers(-9000, 9000, (int(seconds * rate), channels))
        file.writeframes(noise.astype("<i2").tobytes())
    return stream.getvalue()


def test_sounds(networks: dict[str, Any]) -> None:
    made = opened("mfcc:coefficients=5:rate=8000", "sound")([sound(0.5), sound(1)])
    assert made.shape == (2, 10)
    assert np.isfinite(made).all()
    librosa = networks["librosa"]
    y, sr = librosa.load(io.BytesIO(sound(1)), sr=8000, duration=9)
    coefficients = librosa.feature.mfcc(y=y, sr=sr, n_mfcc=5)
    assert np.allclose(made[1], [*coefficients.mean(1), *coefficients.std(1)])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"RIFF", "it is no readable sound: "),
        (sound(0), "it is empty or longer than 3,600 seconds"),
        (sound(3601, rate=10, channels=1), "it is empty or longer than 3,600 seconds"),
    ],
)
def test_sounds_that_are_none(content: bytes, expected: str, networks: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=expected):
        opened("mfcc:rate=10", "sound")([content])


@pytest.mark.parametrize(
    ("typed", "takes", "library"),
    [
        ("vgg19", "picture", "torchvision"),
        ("clip-vit-b32", "text", "open_clip"),
        ("sbert", "text", "sentence_transformers"),
        ("mfcc", "sound", "librosa"),
        ("doc2vec", "text", "gensim"),
        ("hog", "picture", "skimage"),
        ("colour", "picture", "PIL"),
    ],
)
def test_what_is_missing_is_said_with_the_line_that_installs_it(
    typed: str, takes: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in [n for n in sys.modules if n.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=rf"^this extractor needs {library}.*: pip install 'cmrbench\[extract\]'$"):
        opened(typed, takes)


@pytest.mark.parametrize("device", ["cuda:99", "cuda"])
def test_a_device_that_is_not_there(device: str, networks: dict[str, Any]) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(
        UsageError, match=rf"there is no device {device}: torch sees \d+ CUDA devices; use --device cpu"
    ):
        opened("vgg19", device=device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize(
    ("typed", "takes"), [("vgg19", "picture"), ("clip-vit-b32", "picture"), ("clip-vit-b32", "text")]
)
def test_cuda_gives_the_same(typed: str, takes: str, networks: dict[str, Any]) -> None:
    inputs: list[Any] = PICTURES if takes == "picture" else TEXTS
    there = opened(typed, takes, "auto")
    assert there.device_ == "cuda"
    assert np.allclose(there(inputs), opened(typed, takes)(inputs), atol=1e-5)


def test_a_job_with_networks(
    networks: dict[str, Any], own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_raw.Raw(tmp_path / "home").register(monkeypatch)
    file = saved(stand_ins.initialised(stand_ins.VGG(), 8), tmp_path / "own.pth")
    job = Job(DatasetName.parse("shots"), {"image": f"vgg19:file={file}", "text": "clip-vit-b32"}, shard=5, batch=4)
    original, calls = stand_ins.CLIP.encode_text, [0]

    def encode_text(self: Any, text: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 9:
            raise KeyboardInterrupt
        return original(self, text, normalize)

    monkeypatch.setattr(stand_ins.CLIP, "encode_text", encode_text)
    with pytest.raises(KeyboardInterrupt):
        extract_features(job)
    calls[0] = 99
    made = extract_features(job)
    assert made.resumed == 20 + 20
    assert calls[0] - 99 == 2 * 20 - 8  # batches of 4 and 1 in twenty shards
    assert made.dims == {"image": 6, "text": 6}
    assert made.weights == {
        "image": weights_digest(stand_ins.initialised(stand_ins.VGG(), 8)),
        "text": weights_digest(stand_ins.initialised(stand_ins.CLIP(True), 1)),
    }
    record = read_local(made.folder)
    assert record.provenance["weights_sha256"] == made.weights
    assert record.provenance["extractors"]["image"]["parameters"]["file"] == "own.pth"
    assert str(tmp_path) not in (made.folder / "feature_set.json").read_text()
    assert record.modalities["image"]["layer"] == "fc7 after its rectifier"
    dataset = load_dataset(f"shots/{made.feature_set}")
    assert made.feature_set == "vgg19-clip-vit-b32"
    query = dataset.part("query")["image"]
    contents = [made_raw.photograph(k) for k in range(20)]
    by_name = dict(zip((n for s in made_raw.LISTS for n in made_raw.names(s)), contents, strict=True))
    expected = opened(f"vgg19:file={file}")([by_name[i] for i in query.ids.tolist()])
    assert np.allclose(query.features, expected, atol=1e-5)


def test_other_weights_take_nothing_over(
    networks: dict[str, Any], own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_raw.Raw(tmp_path / "home").register(monkeypatch)
    file = tmp_path / "own.pth"
    job = Job(DatasetName.parse("shots"), {"image": f"vgg19:file={file}", "text": "sbert"}, shard=5)

    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    saved(stand_ins.initialised(stand_ins.VGG(), 8), file)
    with monkeypatch.context() as patch:
        patch.setattr(stand_ins.SentenceTransformer, "encode", stop)
        with pytest.raises(KeyboardInterrupt):
            extract_features(job)
    moved = file.rename(tmp_path / "elsewhere").rename(file)
    saved(stand_ins.initialised(stand_ins.VGG(), 9), moved)
    assert extract_features(job).resumed == 0
