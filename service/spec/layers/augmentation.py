"""Layers that change images at random in training. Source: https://keras.io/api/layers/preprocessing_layers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from service.spec.layers.fields import ChannelsLast, Number, Part, RandomLayer
from service.spec.layers.images import ValueRange

FillMode = Literal["constant", "reflect", "wrap", "nearest"]
Interpolation = Literal["nearest", "bilinear"]
Change = Annotated[float, Field(ge=-1, le=1)]
Changes = Change | Annotated[list[Change], Field(min_length=2, max_length=2)]
Parts = Part | Annotated[list[Part], Field(min_length=2, max_length=2)]
Slant = Annotated[float, Field(ge=0, le=0)] | Annotated[list[Part], Field(min_length=2, max_length=2)]
"""None or a range: a single number is a range to either side for Keras, which then cannot load the model that it has saved."""
Bits = Annotated[int, Field(ge=1, le=8)]


def _is_odd(size: int) -> int:
    if size % 2 == 0:
        raise PydanticCustomError("even_size", "The size must be odd, so that there is a pixel in the middle.")
    return size


OddSide = Annotated[int, Field(ge=1, le=255), AfterValidator(_is_odd)]


class ImageAugmentation(RandomLayer):
    """What layers that change images at random in training have in common."""

    data_format: ChannelsLast | None = None
    """Where the channels stand: behind all other axes, always."""


class MovingAugmentation(ImageAugmentation):
    """What layers that move pixels have in common."""

    fill_mode: FillMode = "reflect"
    """What comes in from outside of the image."""
    fill_value: Number = 0.0
    """Value that comes in from outside with `fill_mode: "constant"`."""
    interpolation: Interpolation = "bilinear"
    """How new pixels come from old ones."""


class ColorAugmentation(ImageAugmentation):
    """What layers that change colours have in common."""

    value_range: ValueRange = [0, 255]
    """Smallest and largest value of a pixel."""


class RandomFlip(ImageAugmentation):
    """Mirrors images at random in training. Use it where the mirror image means the same: for cats, not for letters."""

    type: Literal["RandomFlip"] = "RandomFlip"
    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal_and_vertical"
    """Which ways."""


class RandomRotation(MovingAugmentation):
    """Turns images by a random angle in training. Use it where things may stand askew, or have no upper side."""

    type: Literal["RandomRotation"] = "RandomRotation"
    factor: Changes
    """Largest angle either way as part of a whole turn, or the smallest and the largest."""


class RandomTranslation(MovingAugmentation):
    """Shifts images at random in training. Use it where things are not always in the middle."""

    type: Literal["RandomTranslation"] = "RandomTranslation"
    height_factor: Changes
    """Largest shift up and down as part of the height."""
    width_factor: Changes
    """Largest shift left and right as part of the width."""


class RandomZoom(MovingAugmentation):
    """Makes images larger or smaller at random in training. Use it where things are at different distances."""

    type: Literal["RandomZoom"] = "RandomZoom"
    height_factor: Changes
    """Largest change of the height as part of it; negative zooms in."""
    width_factor: Changes | None = None
    """Likewise of the width; as the height if left out."""


class RandomShear(MovingAugmentation):
    """Slants images at random in training. Use it for handwriting, or things seen from aside."""

    type: Literal["RandomShear"] = "RandomShear"
    x_factor: Slant = 0.0
    """Smallest and largest slant from left to right as parts of the width."""
    y_factor: Slant = 0.0
    """Smallest and largest slant from top to bottom as parts of the height."""


class RandomPerspective(ImageAugmentation):
    """Shows images as if from a random side in training. Use it for photographs of flat things, such as signs and pages."""

    type: Literal["RandomPerspective"] = "RandomPerspective"
    factor: Parts = 1.0
    """How likely an image is changed."""
    scale: Part = 1.0
    """How far the corners move."""
    interpolation: Interpolation = "bilinear"
    """How new pixels come from old ones."""
    fill_value: Number = 0.0
    """Value that comes in from outside of the image."""


class RandomElasticTransform(ImageAugmentation):
    """Warps images like rubber at random in training. Use it for handwriting and tissue, whose shapes vary."""

    type: Literal["RandomElasticTransform"] = "RandomElasticTransform"
    factor: Parts = 1.0
    """How likely an image is changed."""
    scale: Parts = 1.0
    """How strongly it is warped."""
    interpolation: Interpolation = "bilinear"
    """How new pixels come from old ones."""
    fill_mode: FillMode = "reflect"
    """What comes in from outside of the image."""
    fill_value: Number = 0.0
    """Value that comes in from outside with `fill_mode: "constant"`."""
    value_range: ValueRange = [0, 255]
    """Smallest and largest value of a pixel."""


class RandomContrast(RandomLayer):
    """Changes the contrast of images at random in training. Use it where the light of photographs varies."""

    type: Literal["RandomContrast"] = "RandomContrast"
    factor: Parts
    """Largest change as part of the contrast."""
    value_range: ValueRange = [0, 255]
    """Smallest and largest value of a pixel."""


class RandomBrightness(RandomLayer):
    """Makes images lighter or darker at random in training. Use it where the light of photographs varies."""

    type: Literal["RandomBrightness"] = "RandomBrightness"
    factor: Changes
    """Largest change either way as part of the range, or the smallest and the largest."""
    value_range: ValueRange = [0, 255]
    """Smallest and largest value of a pixel."""


class RandomSaturation(ColorAugmentation):
    """Makes the colours of images stronger or weaker at random in training. Use it where cameras differ."""

    type: Literal["RandomSaturation"] = "RandomSaturation"
    factor: Parts
    """How strong the colours are: 0 grey, 0.5 as they were, 1 full; a single number is the most, from 0 on."""


class RandomHue(ColorAugmentation):
    """Shifts the colours of images around the colour wheel at random in training. Use it where colour does not tell what a thing
    is."""

    type: Literal["RandomHue"] = "RandomHue"
    factor: Parts
    """How far: 0 not at all, 1 as far as it goes."""


class RandomColorJitter(ColorAugmentation):
    """Changes brightness, contrast and colours of images at random in training. Use it instead of one layer for each."""

    type: Literal["RandomColorJitter"] = "RandomColorJitter"
    brightness_factor: Changes | None = None
    """As `factor` of RandomBrightness; unchanged if left out."""
    contrast_factor: Parts | None = None
    """As `factor` of RandomContrast; unchanged if left out."""
    saturation_factor: Parts | None = None
    """As `factor` of RandomSaturation; unchanged if left out."""
    hue_factor: Parts | None = None
    """As `factor` of RandomHue; unchanged if left out."""


class RandomColorDegeneration(ColorAugmentation):
    """Makes images greyer at random in training. Use it where colours are unreliable."""

    type: Literal["RandomColorDegeneration"] = "RandomColorDegeneration"
    factor: Parts
    """How grey: 0 not at all, 1 wholly."""


class RandomGrayscale(ImageAugmentation):
    """Takes the colours out of a random part of the images in training. Use it where some images will have none."""

    type: Literal["RandomGrayscale"] = "RandomGrayscale"
    factor: Part = 0.5
    """How likely an image becomes grey."""


class RandomInvert(ColorAugmentation):
    """Turns random images into their negatives in training. Use it where dark on light means the same as light on dark."""

    type: Literal["RandomInvert"] = "RandomInvert"
    factor: Parts = 1.0
    """How likely an image is changed."""


class RandomPosterization(ColorAugmentation):
    """Leaves images fewer shades in training. Use it where shapes matter more than fine shades."""

    type: Literal["RandomPosterization"] = "RandomPosterization"
    factor: Bits | Annotated[list[Bits], Field(min_length=2, max_length=2)]
    """Number of bits of each channel that are kept, or the fewest and the most."""


class RandomSharpness(ColorAugmentation):
    """Makes images sharper or softer at random in training. Use it where the focus of photographs varies."""

    type: Literal["RandomSharpness"] = "RandomSharpness"
    factor: Parts
    """How sharp: 0 blurred, 0.5 as they were, 1 sharpened; a single number is the most, from 0 on."""


class RandomGaussianBlur(ColorAugmentation):
    """Blurs images at random in training. Use it where some images will be out of focus."""

    type: Literal["RandomGaussianBlur"] = "RandomGaussianBlur"
    factor: Parts = 1.0
    """How likely an image is changed."""
    kernel_size: OddSide | Annotated[list[OddSide], Field(min_length=2, max_length=2)] = 3
    """How far a pixel is spread: an odd number of pixels, or one for the height and one for the width."""
    sigma: Parts = 1.0
    """Deviation of the blur in pixels, or the smallest and the largest."""


class RandomErasing(ColorAugmentation):
    """Blanks out a random rectangle of images in training. Use it where things may be partly hidden."""

    type: Literal["RandomErasing"] = "RandomErasing"
    factor: Parts = 1.0
    """How likely an image is changed."""
    scale: Parts = [0.02, 0.33]
    """Part of the image that is blanked out, or the smallest and the largest."""
    fill_value: Number | None = None
    """What the rectangle holds; noise if left out."""


class Solarization(RandomLayer):
    """Turns bright pixels into their negatives, from a random brightness on, in training. Use it as one of several strong changes
    for photographs."""

    type: Literal["Solarization"] = "Solarization"
    addition_factor: Parts = 0.0
    """How much is added to each pixel before, as part of the range."""
    threshold_factor: Parts = 0.0
    """Brightness above which pixels are turned, as part of the range."""
    value_range: ValueRange = [0, 255]
    """Smallest and largest value of a pixel."""


class RandAugment(ColorAugmentation):
    """Changes images in training by a few operations drawn at random from many. Use it for photographs, rather than choosing the
    changes yourself."""

    type: Literal["RandAugment"] = "RandAugment"
    num_ops: Annotated[int, Field(ge=1, le=20)] = 2
    """Number of operations."""
    factor: Parts = 0.5
    """How strong they are."""
    interpolation: Interpolation = "bilinear"
    """How new pixels come from old ones."""


class AugMix(ColorAugmentation):
    """Mixes several versions of an image in training, each changed by a random chain of operations. Use it where later images
    will be of worse quality."""

    type: Literal["AugMix"] = "AugMix"
    num_chains: Annotated[int, Field(ge=1, le=10)] = 3
    """Number of versions."""
    chain_depth: Annotated[int, Field(ge=1, le=10)] = 3
    """Most operations of a version."""
    factor: Parts = 0.3
    """How strong they are."""
    alpha: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """How even the mixture is: large numbers mix all versions alike."""
    all_ops: bool = True
    """Whether operations on colours, contrast and sharpness are among them."""
    interpolation: Interpolation = "bilinear"
    """How new pixels come from old ones."""
