"""A coded frame of 2×2 pixels for each thing that a build of imagecodecs may lack; `decode.check_codecs` reads them all."""

from dataclasses import dataclass
from typing import Final

from dicomqc.sample.syntaxes import Coding

_RAMP: Final = (0, 1365, 2730, 4095)


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """`frame` is base64; `bits` is the container's; `values` are the exact pixels in reading order."""

    name: str
    coding: Coding
    bits: int
    values: tuple[int, int, int, int]
    frame: str


SPECIMENS: Final = (
    Specimen(
        name="RLE",
        coding=Coding.RLE,
        bits=16,
        values=_RAMP,
        frame="AgAAAEAAAABGAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEABQEKDwEAVQGq/w==",
    ),
    Specimen(
        name="JPEG Baseline",
        coding=Coding.JPEG,
        bits=8,
        values=(100, 100, 100, 100),
        frame=(
            "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGB"
            "YUGBIUFRT/wAALCAACAAIBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAB//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8ANH//2Q=="
        ),
    ),
    Specimen(
        name="JPEG Extended of 12 bits",
        coding=Coding.JPEG,
        bits=16,
        values=(1600, 1600, 1600, 1600),
        frame=(
            "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGB"
            "YUGBIUFRT/wQALDAACAAIBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAC//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8ANUf/2Q=="
        ),
    ),
    Specimen(
        name="JPEG Lossless",
        coding=Coding.JPEG_LOSSLESS,
        bits=16,
        values=_RAMP,
        frame="/9j/4AAQSkZJRgABAQAAAQABAAD/wwALDAACAAIBAREA/8QAFQABAQAAAAAAAAAAAAAAAAAACwz/2gAIAQEAAQAAn/1VaqpVX//Z",
    ),
    Specimen(
        name="JPEG-LS",
        coding=Coding.JPEG_LS,
        bits=16,
        values=_RAMP,
        frame=(
            "/9j/6AAgU1BJRkYAAgAAAQAAAAIAAAACChAGAQAAASwAAAEs/+gACAAAAAH/2P/3AAsQAAIAAgEBEQD/+AANAf//ABIAQwEUAED/2gAIAQEAAA"
            "AAjVIKqGqg/9k="
        ),
    ),
    Specimen(
        name="JPEG 2000",
        coding=Coding.JPEG_2000,
        bits=16,
        values=_RAMP,
        frame=(
            "/0//UQApAAAAAAACAAAAAgAAAAAAAAAAAAAAAgAAAAIAAAAAAAAAAAABCwEB/1IADAAAAAEAAAQEAAH/XAAEQGD/ZAAlAAFDcmVhdGVkIGJ5IE"
            "9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAAYAAH/k9/gHAe18tphkJH/2Q=="
        ),
    ),
    Specimen(
        name="HTJ2K",
        coding=Coding.JPEG_2000,
        bits=16,
        values=_RAMP,
        frame=(
            "/0//UQApQAAAAAACAAAAAgAAAAAAAAAAAAAAAgAAAAIAAAAAAAAAAAABDwEB/1AACAACAAAACf9SAAwAAgABAAEEBEAB/1wAByCIiIiI/2QAFw"
            "ABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAACkAAf+TwAAm/28FB3QAwAAmgABMqPoDB3QAUvUDh3QA/9k="
        ),
    ),
)
