"""The catalogue: datasets.yaml as checked, typed values."""

from cmrbench.data.catalogue.load import MAX_YAML_BYTES, Catalogue, load_catalogue
from cmrbench.data.catalogue.schema import (
    Entry,
    FeatureSet,
    Labels,
    ModalityFeatures,
    NamedSplit,
    ProtocolFields,
    Source,
    SplitRecord,
)

__all__ = [
    "MAX_YAML_BYTES",
    "Catalogue",
    "Entry",
    "FeatureSet",
    "Labels",
    "ModalityFeatures",
    "NamedSplit",
    "ProtocolFields",
    "Source",
    "SplitRecord",
    "load_catalogue",
]
