"""Pictures by rows: a folder for each class, a file for each picture. A step is a row of pixels, from above.

Grey pictures have a number a pixel, 0 to 255, colour ones three, red, green and blue; transparency is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recurra.base.errors import DataError
from recurra.base.optional import needs
from recurra.data.formats.by_class import by_class

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
EXTRA = "images"
GREY = ("1", "L", "LA", "I", "I;16", "F")
# Pixels: 4,000 by 4,000.
MOST_PIXELS = 16_000_000


def pixels_of(file: Path) -> Any:
    """(height, width) of a grey picture, (height, 3 * width) of one in colour, float64.

    Raises DataError for what is no picture, damaged or too large; ConfigError without Pillow.
    """
    import numpy as np

    image = needs("PIL.Image", EXTRA, f"{file}: a picture")
    try:
        with image.open(file) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise DataError(f"{file}: has {picture.width} by {picture.height} pixels, more than {MOST_PIXELS:,}.")
            grey = picture.mode in GREY
            kept = picture if picture.mode in ("I", "I;16", "F") else picture.convert("L" if grey else "RGB")
            pixels = np.asarray(kept, dtype=np.float64)
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        told = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataError(f"{file}: is no picture that can be read: {told.rstrip('.')}. Copy or convert it.") from None
    return pixels.reshape(len(pixels), -1)


def colours_of(file: Path) -> int:
    """Numbers of a pixel, from the file's header: 1 of a grey picture, 3 of one in colour; 0 for what is no picture."""
    image = needs("PIL.Image", EXTRA, f"{file}: a picture")
    try:
        with image.open(file) as picture:
            return 1 if picture.mode in GREY else 3
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError):
        return 0


IMAGES = by_class(
    "a folder of pictures by class, read by rows: cat/*.png, dog/*.png", "pictures", "values", SUFFIXES, pixels_of
)
