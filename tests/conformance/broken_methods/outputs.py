"""Methods whose representations are not what rankings can use."""

import numpy as np
from small_methods import Bridged, Codes, Ridge, Selecting, sign

from broken_methods.register import breaks


@breaks("output_shape", "expected (48, k)")
class DropsLastRow(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features)[:-1]


@breaks("output_shape", "shape (48,)")
class Flat(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features)[:, 0]


@breaks("output_shape", "returned list")
class ReturnsList(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features).tolist()


@breaks("output_shape", "different widths")
class Uneven(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features)[:, : 10 if modality == "image" else 20]


@breaks("output_shape", "different widths: image queries of shape (48, 16) meet text items of shape (48, 20)")
class Untranslated(Bridged):
    def translate(self, codes, modality, target):
        return codes


@breaks("output_shape", "expected (48, 20)")
class OtherLengthThanItSays(Bridged):
    def encode(self, modality, features):
        return super().encode(modality, features)[:, :16]


@breaks("output_shape", "expected (48, 16)")
class TooManyBits(Codes):
    def encode(self, modality, features):
        return np.repeat(super().encode(modality, features), 2, axis=1)


@breaks("output_dtype", "float64")
class DoublePrecision(Ridge):
    def encode(self, modality, features):
        return super().encode(modality, features).astype(np.float64)


@breaks("output_dtype", "expected int8")
class FloatCodes(Codes):
    def encode(self, modality, features):
        return super().encode(modality, features).astype(np.float32)


@breaks("output_values", "NaN")
class NaNs(Ridge):
    def encode(self, modality, features):
        out = super().encode(modality, features)
        out[3] = np.nan
        return out


@breaks("output_values", "codes must be -1 or +1")
class Zeros(Codes):
    def encode(self, modality, features):
        return np.sign(np.round(self.project(modality, features))).astype(np.int8)


@breaks("output_values", "codes must be -1 or +1")
class ZeroOne(Codes):
    def encode(self, modality, features):
        return (super().encode(modality, features) > 0).astype(np.int8)


@breaks("output_varies", "same representation")
class Collapsed(Ridge):
    def encode(self, modality, features):
        return np.ones((len(features), 8), np.float32)


@breaks("code_lengths", "expected (48, 12)")
class WholeBytes(Codes):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        return np.pad(codes, ((0, 0), (0, -codes.shape[1] % 8)), constant_values=1)


@breaks("asked_dimension", "ignored")
class IgnoresDim(Ridge):
    def encode(self, modality, features):
        return np.repeat(super().encode(modality, features), 2, axis=1)


@breaks("modalities_not_aliased", "share memory")
class OneBuffer(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        if not hasattr(self, "buffer_"):
            self.buffer_ = np.zeros((2, *codes.shape), np.float32)
        buffer = self.buffer_ if len(codes) == self.buffer_.shape[1] else np.zeros((2, *codes.shape), np.float32)
        start = 0 if modality == "image" else 1
        flat = buffer.reshape(-1, codes.shape[1])
        flat[start : start + len(codes)] = codes
        return flat[start : start + len(codes)]


@breaks("modalities_not_aliased", "overwritten by a later call")
class ReusesBuffer(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        buffers = vars(self).setdefault("buffers_", {})
        buffer = buffers.setdefault(modality, np.zeros((500, codes.shape[1]), np.float32))
        buffer[: len(codes)] = codes
        return buffer[: len(codes)]


@breaks("modalities_not_aliased", "overwritten by a later call")
class KeepsBufferPerSize(Ridge):
    def encode(self, modality, features):
        codes = super().encode(modality, features)
        buffers = vars(self).setdefault("buffers_", {})
        buffer = buffers.setdefault((modality, len(codes)), np.zeros_like(codes))
        buffer[:] = codes
        return buffer


@breaks("learned_codes", "expected (129, 16)")
class FewerLearnedCodes(Codes):
    def encode_train(self, modality):
        return super().encode_train(modality)[:-1]


@breaks("learned_codes", "encode_train('image') returned the value 0")
class ZerosLearned(Codes):
    def encode_train(self, modality):
        return super().encode_train(modality) * np.int8(0)


@breaks("learned_codes", "expected (129, 20)")
class LearnsOneLength(Bridged):
    def fit(self, train, val, context):
        self.sizes_ = {m: len(items) for m, items in train.items()}
        return super().fit(train, val, context)

    def encode_train(self, modality):
        return np.ones((self.sizes_[modality], 16), np.int8)


@breaks("translate", "translate from image to text returned dtype float32")
class TranslatesToVectors(Bridged):
    def translate(self, codes, modality, target):
        return super().translate(codes, modality, target).astype(np.float32)


@breaks("translate", "changed the queries")
class TranslatesInPlace(Bridged):
    def translate(self, codes, modality, target):
        translated = super().translate(codes, modality, target)
        codes *= np.int8(-1)
        return translated


@breaks("translate", "of some queries differs")
class TranslatesByTheMedian(Bridged):
    def translate(self, codes, modality, target):
        values = codes @ self.spaces_[modality].T @ self.spaces_[target]
        return sign(values - np.median(values, axis=0))


@breaks("own_score", "expected (48, 72)")
class TransposedScore(Selecting):
    def score(self, query, gallery, query_modality, gallery_modality):
        return gallery @ query.T


@breaks("own_score", "block of queries")
class ScoreOfTheBlock(Selecting):
    def score(self, query, gallery, query_modality, gallery_modality):
        scores = query @ gallery.T
        return scores - scores.mean(axis=0)
