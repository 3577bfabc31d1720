"""Reads a ZIP of images, one folder per class, as arrays ``x`` (rows, height, width, channels) of uint8 and ``y`` (rows,).

The images are put into an order that mixes the classes and is the same for the same names, since Keras's
``validation_split`` takes the last rows as they come.
"""

import hashlib
import io
import warnings
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from service.datasets.parsing.array_writer import MAX_CLASS_CHARACTERS, MAX_CLASSES, Array, is_class_name
from service.datasets.parsing.request import Budget, ParseRequest
from service.datasets.parsing.unpacking import open_member, open_zip, refused_member, shown, unpacked
from service.errors import InvalidInput, Problem
from service.infra.moments import Moments
from service.infra.npy import write_npy

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
MAX_IMAGE_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 32 * 1024 * 1024
GREY_MODES = ("1", "L", "LA")
NOT_MEANT = ("__MACOSX/",)
NOT_MEANT_NAMES = ("thumbs.db", "desktop.ini")
DECODING_FAILURES = (OSError, ValueError, SyntaxError, EOFError, TypeError, IndexError, KeyError, Image.DecompressionBombError)

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Form:
    """What all images of a dataset have in common."""

    size: Size
    channels: int


def parse_images(request: ParseRequest) -> dict[str, Any]:
    """Store the images. Raises InvalidInput or MalformedInput, which name the member."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    with open_zip(unpacked(request)) as archive:
        entries = _images_of(archive)
        classes = sorted({_class_of(entry) for entry in entries})
        _check_classes(classes)
        request.check_rows(len(entries))
        request.check_target(["x", "y"], "array")
        form = _Look(archive, request).at(entries)
        request.check_cells(len(entries) * form.size[0] * form.size[1] * form.channels)
        return _store(archive, entries, classes, form, request)


def _images_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members that are meant as images, in an order that mixes the classes."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and _is_meant(entry.filename)]
    if not entries:
        problem = Problem("file", "There are no images.", expected="folders with images: one folder per class")
        raise InvalidInput("The ZIP file has no images.", [problem])
    places = {entry.filename: PurePosixPath(entry.filename).parts[:-1] for entry in entries}
    root = Counter(folders[:-1] for folders in places.values() if folders).most_common(1)
    for name, folders in places.items():
        if not folders or folders[:-1] != root[0][0]:
            expected = "class/image.png: one folder per class, all beside each other"
            raise refused_member(name, "it is in no folder of a class.", expected, "Put it into a class's folder.")
    return sorted(entries, key=lambda entry: hashlib.sha256(entry.filename.encode(errors="surrogatepass")).digest())


def _is_meant(name: str) -> bool:
    last = name.rsplit("/", 1)[-1]
    return not (name.startswith(NOT_MEANT) or last.startswith(".") or last.lower() in NOT_MEANT_NAMES)


def _class_of(entry: zipfile.ZipInfo) -> str:
    return PurePosixPath(entry.filename).parts[-2]


def _check_classes(classes: list[str]) -> None:
    if len(classes) > MAX_CLASSES:
        problem = Problem("file", "There are too many folders.", str(len(classes)), f"at most {MAX_CLASSES}")
        raise InvalidInput("The ZIP file has too many classes.", [problem])
    for name in classes:
        if not is_class_name(name):
            raise refused_member(name, "a class cannot have this name.", f"1 to {MAX_CLASS_CHARACTERS} printable characters")


class _Look:
    """A first look at every image: its size and whether it is grey, without decoding it."""

    def __init__(self, archive: zipfile.ZipFile, request: ParseRequest) -> None:
        self._archive = archive
        self._wanted = request.image_size
        self._budget = request.budget()

    def at(self, entries: list[zipfile.ZipInfo]) -> Form:
        """The form that all images get. Raises InvalidInput when their sizes differ and none is asked for."""
        size, is_grey = self._wanted, True
        for entry in entries:
            found, mode = self._look(entry)
            is_grey = is_grey and (mode in GREY_MODES or mode.startswith("I"))
            if self._wanted is None:
                size = size or found
                if found != size:
                    raise _different_sizes(entries[0], size, entry, found)
        assert size is not None, "there is an image"
        return Form(size, 1 if is_grey else 3)

    def _look(self, entry: zipfile.ZipInfo) -> tuple[Size, str]:
        with _opened(self._archive, entry, self._budget) as image:
            turned = image.getexif().get(0x0112, 1) >= 5 if image.format == "JPEG" else False  # EXIF's orientation
            size = (image.width, image.height) if turned else (image.height, image.width)
            return size, image.mode


def _store(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], classes: list[str], form: Form, request: ParseRequest
) -> dict[str, Any]:
    shape = (len(entries), *form.size, form.channels)
    paths = {"x": request.beside("x.npy"), "y": request.beside("y.npy")}
    budget, moments = request.budget(), Moments()
    pixels = (_decode(archive, entry, form, budget) for entry in entries)
    write_npy(paths["x"], shape, np.dtype(np.uint8), moments.passing(pixels))
    place_of = {name: place for place, name in enumerate(classes)}
    np.save(paths["y"], np.array([place_of[_class_of(entry)] for entry in entries], dtype=np.int32), allow_pickle=False)
    x = {"name": "x", "shape": list(shape), "dtype": "uint8"} | moments.describe()
    y = {"name": "y", "shape": [len(entries)], "dtype": "int32", "classes": classes}
    files = {name: str(path) for name, path in paths.items()}
    return {
        "kind": "arrays",
        "rows": len(entries),
        "target": request.target or "y",
        "files": files,
        "columns": [],
        "arrays": [x, y],
    }


def _decode(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, form: Form, budget: Budget) -> Array:
    """The pixels ``(height, width, channels)`` of one image; of an animation the first picture."""
    with _opened(archive, entry, budget) as opened:
        try:
            image = ImageOps.exif_transpose(opened) if opened.format == "JPEG" else opened
            image = _in_8_bits(image).convert("L" if form.channels == 1 else "RGB")
            if (image.height, image.width) != form.size:
                image = image.resize((form.size[1], form.size[0]), Image.Resampling.BILINEAR)
            return np.asarray(image, dtype=np.uint8).reshape(*form.size, form.channels)
        except DECODING_FAILURES as error:
            raise _no_image(entry, "it is damaged or cut off.") from error


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Pillow cuts off at 255 what has 16 bits per pixel."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))


def _opened(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: Budget) -> Image.Image:
    """An image whose header is read. Raises InvalidInput or MalformedInput."""
    with open_member(archive, entry) as file:
        content = file.read(MAX_IMAGE_BYTES + 1)
    if len(content) > MAX_IMAGE_BYTES:
        raise _no_image(entry, f"it is larger than {MAX_IMAGE_BYTES // 1024**2} MiB.")
    budget.take(len(content))
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _no_image(entry, "it has too many pixels.") from error
    except DECODING_FAILURES as error:
        raise _no_image(entry, "it is no image that can be read.") from error
    if image.width * image.height > MAX_PIXELS:
        raise _no_image(entry, "it has too many pixels.")
    return image


def _no_image(entry: zipfile.ZipInfo, message: str) -> InvalidInput:
    expected = f"{', '.join(FORMATS)} of at most {MAX_PIXELS} pixels"
    return refused_member(entry.filename, message, expected, "Repair it or leave it out.")


def _different_sizes(first: zipfile.ZipInfo, size: Size, entry: zipfile.ZipInfo, other: Size) -> InvalidInput:
    received = f"'{shown(first.filename)}' {size[0]}x{size[1]}, '{shown(entry.filename)}' {other[0]}x{other[1]}"
    fix = f"Send the form field image_size, e.g. {size[0]}x{size[1]} (height x width), to resize all of them."
    problem = Problem("image_size", "The images have different sizes.", received, "one size", fix)
    return InvalidInput(f"The images have different sizes: {received}. {fix}", [problem])
