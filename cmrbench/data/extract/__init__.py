"""Features from raw data: extractors, and the resumable job that runs them over a dataset's texts and pictures."""

from cmrbench.data.extract.extractor import Extractor, extractor_class, extractor_names, make_extractor
from cmrbench.data.extract.job import Extracted, Job, extract_features

__all__ = ["Extracted", "Extractor", "Job", "extract_features", "extractor_class", "extractor_names", "make_extractor"]
