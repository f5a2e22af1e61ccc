"""One coded frame to stored values, by imagecodecs (jpeg8, jpegls, jpeg2k, dicomrle) behind the guards.

pylibjpeg and gdcm are not asked: they would need a process of their own (FINDINGS), and no frame of the shared data that
imagecodecs refuses is read by them. What imagecodecs cannot decode is refused as damaged.
"""

from collections.abc import Callable
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import Refusal
from dicomqc.core.errors import ConfigError
from dicomqc.sample.encapsulation import without_padding
from dicomqc.sample.guards import CodedSize, coded_size
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.syntaxes import Coding
from dicomqc.sample.voi import StoredValues

_BITS_PER_BYTE: Final = 8
# The decoder of each family, by its imagecodecs name; jpeg8 is libjpeg-turbo 3, which reads 8 to 16 bits and lossless.
_NAMES: Final = {
    Coding.RLE: "DICOMRLE",
    Coding.JPEG: "JPEG8",
    Coding.JPEG_LOSSLESS: "JPEG8",
    Coding.JPEG_LS: "JPEGLS",
    Coding.JPEG_2000: "JPEG2K",
}
_DECODERS: Final[dict[Coding, Callable[[bytes], Any]]] = {
    Coding.JPEG: lambda frame: imagecodecs.jpeg8_decode(frame),
    Coding.JPEG_LOSSLESS: lambda frame: imagecodecs.jpeg8_decode(frame),
    Coding.JPEG_LS: lambda frame: imagecodecs.jpegls_decode(frame),
    Coding.JPEG_2000: lambda frame: imagecodecs.jpeg2k_decode(frame, numthreads=1),
}
