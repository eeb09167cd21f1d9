"""Pictures of unknown origin, opened with limits."""

from __future__ import annotations

import io
import warnings
from typing import Any

from cmrbench.core.errors import DataError
from cmrbench.data.extract.extractor import needs


def open_picture(content: bytes) -> Any:
    """An RGB picture (PIL) out of a file's bytes; what is transparent becomes white.

    Raises
    ------
    DataError
        If it is no picture, is cut short, or has far more pixels than any photograph.
    """
    pil = needs("extract", "PIL.Image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a decompression bomb is a warning at first
            with pil.open(io.BytesIO(content)) as opened:
                opened.load()
                if opened.mode in ("RGBA", "LA", "PA") or "transparency" in opened.info:
                    ground = pil.new("RGBA", opened.size, "white")
                    return pil.alpha_composite(ground, opened.convert("RGBA")).convert("RGB")
                return opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Warning, pil.DecompressionBombError) as error:
        raise DataError(f"it is no readable picture: {error}") from None
