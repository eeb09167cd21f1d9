"""Pictures of unknown origin, opened with limits."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.extract.extractor import needs

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000")
"""What datasets come in. Others are not tried: Pillow hands PostScript to a program that runs it."""


def open_picture(content: bytes) -> Any:
    """An RGB picture (PIL) out of a file's bytes, its first frame.

    What is transparent becomes white; 16 bits a channel become 8; a rotation that the camera noted is not applied.

    Raises
    ------
    DataError
        If it is no picture, is cut short, has far more pixels than a photograph, or values that have no range.
    """
    pil = needs("extract", "PIL.Image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged notes of a camera do not matter
            warnings.simplefilter("error", pil.DecompressionBombWarning)
            with pil.open(io.BytesIO(content), formats=FORMATS) as opened:
                opened.load()
                return _rgb(pil, opened)
    except DataError:
        raise
    except (pil.DecompressionBombWarning, pil.DecompressionBombError):
        raise DataError(f"it has more than {pil.MAX_IMAGE_PIXELS:,} pixels; make it smaller") from None
    except pil.UnidentifiedImageError:
        raise DataError(f"it is no picture in one of the formats {', '.join(FORMATS)}") from None
    except Exception as error:  # a decoder raises whatever damaged bytes lead it to
        raise DataError(f"it is no readable picture: {' '.join(str(error).split())}") from None


def _rgb(pil: Any, opened: Any) -> Any:
    if opened.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in opened.info:
        ground = pil.new("RGBA", opened.size, "white")
        return pil.alpha_composite(ground, opened.convert("RGBA")).convert("RGB")
    if opened.mode[0] in "IF":  # Pillow would cut them at 255
        values = np.asarray(opened)
        if opened.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
            raise DataError(f"its pixels are {opened.mode} values without a range; store 8 or 16 bits a channel")
        return pil.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    return opened.convert("RGB")
