"""ZIP files with images in one folder per class."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.errors import FitserveError, InvalidInput
from tests.unit.datasets.making import arrays_of, image, parsed, zipped, zipped_link

GREY = {f"dark/{n}.png": image(n) for n in range(5)} | {f"light/{n}.png": image(200 + n) for n in range(5)}


def test_folders_become_classes_and_images_become_pixels(tmp_path: Path) -> None:
    description = parsed(tmp_path, zipped(GREY))
    x, y = arrays_of(description).values()
    assert (x.shape, x.dtype, y.dtype) == ((10, 6, 8, 1), np.uint8, np.int32)
    assert description["target"] == "y"
    assert description["arrays"][1]["classes"] == ["dark", "light"]
    assert [pixel >= 200 for pixel in x[:, 0, 0, 0]] == [place == 1 for place in y]
    assert sorted(x[:, 0, 0, 0].tolist()) == [0, 1, 2, 3, 4, 200, 201, 202, 203, 204]


def test_the_classes_are_mixed_and_always_in_the_same_order(tmp_path: Path) -> None:
    names = [f"{name}/{n}.png" for name in ("a", "b") for n in range(50)]
    first = arrays_of(parsed(tmp_path, zipped(dict.fromkeys(names, image(1)))))["y"]
    again = arrays_of(parsed(tmp_path, zipped(dict.fromkeys(reversed(names), image(1)))))["y"]
    assert first.tolist() == again.tolist()
    assert 5 < first[-20:].sum() < 15, "the last rows, which a validation split takes, have both classes"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_every_format_is_read(tmp_path: Path, kind: str) -> None:
    x = arrays_of(parsed(tmp_path, zipped({"a/1.x": image((200, 0, 0), mode="RGB", kind=kind)})))["x"]
    assert x.shape == (1, 6, 8, 3)
    np.testing.assert_allclose(x[0, 3, 4], [200, 0, 0], atol=4)


def test_one_image_in_colour_makes_all_of_them_coloured(tmp_path: Path) -> None:
    x = arrays_of(parsed(tmp_path, zipped(GREY | {"light/x.png": image((1, 2, 3), mode="RGB")})))["x"]
    assert x.shape == (11, 6, 8, 3)


def test_16_bits_per_pixel_are_scaled_to_8(tmp_path: Path) -> None:
    x = arrays_of(parsed(tmp_path, zipped({"a/1.png": image(0x8F00, mode="I;16")})))["x"]
    assert set(x.flat) == {0x8F}


def test_a_turned_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    file = io.BytesIO()
    Image.new("L", (8, 6)).save(file, "JPEG", exif=exif)
    assert parsed(tmp_path, zipped({"a/1.jpg": file.getvalue()}))["arrays"][0]["shape"] == [1, 8, 6, 1]


def test_a_common_folder_and_what_systems_add_are_ignored(tmp_path: Path) -> None:
    more = {"__MACOSX/dark/._0.png": b"x", "pets/.DS_Store": b"x", "pets/dark/Thumbs.db": b"x", "pets/empty/": b""}
    members = {f"pets/{name}": content for name, content in GREY.items()} | more
    assert parsed(tmp_path, zipped(members))["arrays"][1]["classes"] == ["dark", "light"]


def test_images_of_different_sizes_are_resized_when_asked_for(tmp_path: Path) -> None:
    members = GREY | {"light/x.png": image(9, size=(9, 6))}
    with pytest.raises(InvalidInput) as raised:
        parsed(tmp_path, zipped(members))
    assert raised.value.problems[0].pointer == "image_size"
    assert "'light/x.png' 6x9" in raised.value.message or "6x8" in raised.value.message
    assert arrays_of(parsed(tmp_path, zipped(members), image_size=(3, 5)))["x"].shape == (11, 3, 5, 1)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        pytest.param({"dark/x.txt": b"hello"}, "dark/x.txt", id="no image"),
        pytest.param({"dark/x.png": image(1)[:50]}, "dark/x.png", id="cut off"),
        pytest.param({"dark/x.svg": b"<svg></svg>"}, "dark/x.svg", id="another format"),
        pytest.param({"dark/x.zip": zipped(GREY)}, "dark/x.zip", id="a ZIP file inside"),
        pytest.param({"x.png": image(1)}, "x.png", id="in no folder"),
        pytest.param({"a/b/x.png": image(1)}, "a/b/x.png", id="too deep"),
        pytest.param({"../x/x.png": image(1)}, "climbs", id="a name that climbs"),
        pytest.param({"/x/x.png": image(1)}, "absolute", id="an absolute name"),
        pytest.param({"C:/x/x.png": image(1)}, "absolute", id="a Windows name"),
        pytest.param({"x\\x.png": image(1)}, "backslash", id="a backslash"),
        pytest.param({"dark/x.png": image(0, size=(6000, 6000), mode="1")}, "too many pixels", id="too many pixels"),
    ],
)
def test_a_member_that_is_no_image_is_named(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(FitserveError) as raised:
        parsed(tmp_path, zipped(GREY | members))
    assert message in raised.value.message + str(getattr(raised.value, "problems", ""))


def test_links_and_what_stands_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="link"):
        parsed(tmp_path, zipped_link("dark/x.png", "/etc/passwd"))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("dark/1.png", image(1))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("dark/1.png", image(2))
    with pytest.raises(InvalidInput, match="cannot be used"):
        parsed(tmp_path, file.getvalue())


def test_an_archive_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no images"):
        parsed(tmp_path, zipped({}))
