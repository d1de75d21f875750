"""Pictures: files and arrays become tensors and come back as they were."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from latentspace.data._pictures import letterbox, working_size
from latentspace.data.image import Image
from latentspace.errors import DataError, OptionError, Reject

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(array).save(path, **options)


def noise(rng, *shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def fitted(source, **options):
    image = Image(**options)
    items = image.read(source)
    return image.fit(items), items


def shades(image, x):
    """Encoded pictures as shades in 0..1."""
    return x * image.spread + image.centre


@pytest.mark.parametrize(
    ("shape", "tensor"),
    [
        ((6, 9, 12), (1, 9, 12)),
        ((6, 9, 12, 1), (1, 9, 12)),
        ((6, 9, 12, 3), (3, 9, 12)),
        ((6, 3, 9, 12), (3, 9, 12)),
        ((6, 1, 9, 12), (1, 9, 12)),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool", "float32", "float64", "int64"])
def test_every_array_comes_back_in_its_own_axes_and_number_type(shape, tensor, dtype, rng):
    top = {"uint8": 255, "uint16": 65535, "bool": 1, "int64": 255}.get(dtype, 1)
    pixels = (rng.random(shape) * top).round(0 if dtype[0] != "f" else 6).astype(dtype)
    image, items = fitted(pixels)
    x, observed = image.transform(items)
    back = image.inverse_transform(x, items)
    assert image.shape == tensor
    assert x.shape == (6, *tensor)
    assert x.dtype == np.float32
    assert observed is None
    assert abs(x.mean()) < 1e-3 and x.std() == pytest.approx(1, abs=1e-3)
    assert shades(image, x).min() >= -1e-4 and shades(image, x).max() <= 1 + 1e-4
    assert back.dtype == pixels.dtype
    np.testing.assert_allclose(back, pixels, atol=1e-6 if dtype[0] == "f" else 0)


def test_transform_leaves_the_users_array_alone(rng):
    pixels = rng.random((4, 1, 8, 8), dtype=np.float32)
    before = pixels.copy()
    image, items = fitted(pixels)
    image.transform(items)
    assert (pixels == before).all()


def test_floats_beyond_one_are_scaled_by_their_range_and_it_is_said(rng):
    heights = rng.uniform(-50, 950, (10, 8, 8))
    image, items = fitted(heights)
    x, _ = image.transform(items, np.float64)
    assert (shades(image, x).min(), shades(image, x).max()) == pytest.approx((0, 1))
    np.testing.assert_allclose(image.inverse_transform(x), heights)
    assert f"{heights.min():g} to {heights.max():g}" in " ".join(image.describe())


def test_small_numbers_in_a_wide_type_fill_the_scale():
    masks = np.zeros((4, 8, 8), np.uint8)
    masks[:, 2:5] = 1
    image, items = fitted(masks)
    x, _ = image.transform(items)
    assert shades(image, x).max() == 1
    assert (image.inverse_transform(x) == masks).all()


def test_reconstructions_are_clipped_to_the_number_type():
    image, _ = fitted(np.full((2, 8, 8), 200, np.uint8))
    back = image.inverse_transform(np.array([[[[-3.0] * 8] * 8], [[[9.0] * 8] * 8]]))
    assert back.min() == 0 and back.max() == 255


def test_nan_pixels_are_gaps_that_hold_the_mean_of_the_others_there(rng):
    pixels = rng.random((5, 8, 8))
    pixels[0, 0, 0] = np.nan
    image, items = fitted(pixels)
    x, observed = image.transform(items, np.float64)
    assert observed is not None and (~observed).sum() == 1 and not observed[0, 0, 0, 0]
    assert x[0, 0, 0, 0] == 0
    assert shades(image, x)[0, 0, 0, 0] == pytest.approx(np.nanmean(pixels[:, 0, 0]), abs=1e-4)


def test_infinite_pixels_are_refused_by_number(rng):
    pixels = rng.random((900, 8, 8))
    pixels[701, 3, 3] = -np.inf
    with pytest.raises(DataError, match="Picture 701 has an infinite pixel"):
        Image().read(pixels)


def test_transparent_arrays_are_laid_on_white():
    pixels = np.zeros((2, 8, 8, 4), np.uint8)
    pixels[0, ..., 3] = 255
    items = Image().read(pixels)
    assert items.values.pixels.shape == (2, 8, 8, 3)
    assert (items.values.pixels[0] == 0).all() and (items.values.pixels[1] == 255).all()
    assert "white" in items.notes[0]


def test_working_size():
    assert working_size(np.array([[28, 28]]), 128) == (28, 28)
    assert working_size(np.array([[200, 200]]), 128) == (64, 64)
    assert working_size(np.array([[100, 50], [100, 50], [400, 400]]), 128) == (64, 32)
    assert working_size(np.array([[4, 1000], [5, 1000]]), 128) == (8, 64)


def test_letterbox_keeps_the_shape_but_stretches_over_a_stray_pixel():
    assert letterbox((50, 100), (64, 64)) == (16, 0, 32, 64)
    assert letterbox((67, 100), (44, 64)) == (0, 0, 44, 64)


def test_unequal_pictures_are_letterboxed_and_come_back_in_their_own_shape(tmp_path):
    save(tmp_path / "wide.png", np.full((20, 40, 3), (200, 10, 10), np.uint8))
    save(tmp_path / "tall.png", np.full((40, 20, 3), (10, 200, 10), np.uint8))
    image, items = fitted(tmp_path, size=32)
    x, observed = image.transform(items)
    assert x.shape == (2, 3, 32, 32)
    assert observed.mean() == 0.5
    tall, wide = image.inverse_transform(x, items)
    assert tall.shape == (32, 16, 3) and wide.shape == (16, 32, 3)
    assert (tall == (10, 200, 10)).all() and (wide == (200, 10, 10)).all()
    assert items.values.sizes.tolist() == [[40, 20], [20, 40]]
    # padding holds 0; where no picture has a pixel, that is the mean colour of what was observed
    assert (x[~observed] == 0).all()
    np.testing.assert_allclose(shades(image, x)[0, :, 0, 0], np.array([105, 105, 10]) / 255, atol=1e-4)
    only = image.take(items, np.array([1]))
    assert only.ids.tolist() == ["wide.png"]
    assert image.inverse_transform(x[1:], only).shape == (1, 16, 32, 3)


def test_folders_become_labels_and_files_become_ids(tmp_path, rng):
    for name in ("cat/b.png", "cat/a.png", "dog/c.png"):
        save(tmp_path / name, noise(rng, 16, 16))
    items = Image().read(tmp_path)
    assert items.ids.tolist() == ["cat/a.png", "cat/b.png", "dog/c.png"]
    assert items.labels["folder"].tolist() == ["cat", "cat", "dog"]
    assert Image().read(tmp_path / "cat").labels == {}


def test_broken_files_are_skipped_and_named_or_stop(tmp_path, rng):
    save(tmp_path / "good.png", noise(rng, 128, 128))
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.gif").write_text("no picture")
    save(tmp_path / "tiny.bmp", noise(rng, 1, 1))
    (tmp_path / "notes.txt").write_text("left out")
    items = Image().read(tmp_path)
    assert items.ids.tolist() == ["good.png"]
    assert sorted(dict(items.skipped)) == ["cut.png", "empty.jpg", "text.gif", "tiny.bmp"]
    assert "too small" in dict(items.skipped)["tiny.bmp"]
    with pytest.raises(DataError, match=r"'cut\.png' cannot be read: image file is truncated"):
        Image(strict=True).read(tmp_path)


def test_a_decompression_bomb_is_skipped_without_a_warning(tmp_path, rng, monkeypatch):
    save(tmp_path / "bomb.png", noise(rng, 40, 40))
    save(tmp_path / "good.png", noise(rng, 16, 16))
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 1000)
    assert Image().read(tmp_path).skipped == (("bomb.png", "it claims more pixels than is safe to decode"),)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_shows_the_same_picture(tmp_path, mode):
    grey = Pillow.new("RGB", (16, 16), (255, 255, 255))
    grey.paste((0, 0, 0), (0, 0, 8, 16))
    ending = "tif" if mode in ("CMYK", "YCbCr") else "png"
    grey.convert(mode).save(tmp_path / f"a.{ending}")
    pixels = Image(channels="rgb").read(tmp_path).values.pixels
    assert pixels.shape == (1, 16, 16, 3)
    np.testing.assert_allclose(pixels[0, :, 0], 0, atol=2)
    np.testing.assert_allclose(pixels[0, :, 15], 255, atol=2)


def test_transparency_of_files_is_white(tmp_path):
    Pillow.new("RGBA", (16, 16), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    Pillow.new("RGBA", (16, 16), (255, 0, 0, 255)).save(tmp_path / "red.png")
    items = Image().read(tmp_path)
    assert items.values.pixels[:, 8, 8].tolist() == [[255, 255, 255], [255, 0, 0]]
    assert items.notes == ("Transparent pixels of 2 pictures were laid on white.",)


def test_the_first_picture_of_an_animation_is_read(tmp_path):
    frames = [Pillow.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    items = Image().read(tmp_path)
    assert items.values.pixels[0, 8, 8].tolist() == [255, 0, 0]
    assert "1 animated" in items.notes[0]


def test_exif_rotation_is_applied(tmp_path):
    lying = np.zeros((16, 32, 3), np.uint8)
    lying[:, :16] = 255
    turn = Pillow.Exif()
    turn[0x0112] = 6
    save(tmp_path / "a.png", lying, exif=turn)
    items = Image().read(tmp_path)
    assert items.values.pixels.shape == (1, 32, 16, 1)
    assert items.values.pixels[0, 0, 0, 0] == 255 and items.values.pixels[0, 31, 0, 0] == 0


def test_sixteen_bits_are_kept(tmp_path, rng):
    deep = rng.integers(0, 65536, (16, 16)).astype(np.uint16)
    save(tmp_path / "deep.png", deep)
    save(tmp_path / "flat.png", np.full((16, 16), 255, np.uint8))
    image, items = fitted(tmp_path)
    x, _ = image.transform(items)
    back = image.inverse_transform(x, items)
    assert back.dtype == np.uint16
    assert (back[0] == deep).all() and (back[1] == 65535).all()


def test_pictures_without_colour_become_grey(tmp_path, rng):
    grey = noise(rng, 16, 16)
    save(tmp_path / "a.png", np.stack([grey] * 3, axis=2))
    assert Image().read(tmp_path).values.pixels.shape == (1, 16, 16, 1)


def test_large_files_are_averaged_down_not_picked(tmp_path):
    board = np.indices((640, 640)).sum(axis=0) % 2 * 255
    save(tmp_path / "a.png", board.astype(np.uint8))
    pixels = Image().read(tmp_path).values.pixels
    assert pixels.shape == (1, 64, 64, 1)
    assert abs(pixels.astype(int) - 127).max() < 20


def test_later_data_of_another_size_colour_or_depth_fits(rng):
    image, _ = fitted(np.full((3, 16, 16), 255, np.uint8))
    colour = np.full((2, 32, 32, 3), 128, np.uint8)
    x, _ = image.transform(image.read(colour))
    assert x.shape == (2, 1, 16, 16)
    np.testing.assert_allclose(shades(image, x), 128 / 255, atol=0.003)
    deep, _ = image.transform(image.read(np.full((1, 16, 16), 32896, np.uint16)))
    np.testing.assert_allclose(shades(image, deep), 32896 / 65535, atol=1e-6)
    unit, _ = image.transform(image.read(np.full((1, 16, 16), 0.5)))
    np.testing.assert_allclose(shades(image, unit), 0.5)
    wide, observed = image.transform(image.read(np.full((1, 8, 16), 255, np.uint8)))
    assert observed.mean() == 0.5 and shades(image, wide)[observed].min() == 1


def test_lists_of_paths_and_of_arrays(tmp_path, rng):
    save(tmp_path / "a.png", noise(rng, 16, 16))
    save(tmp_path / "b.png", noise(rng, 16, 16))
    items = Image().read([str(tmp_path / "b.png"), tmp_path / "a.png"])
    assert items.ids.tolist() == ["b.png", "a.png"]
    image, items = fitted([noise(rng, 20, 10), noise(rng, 10, 20)], size=20)
    tall, wide = image.inverse_transform(image.transform(items)[0], items)
    assert tall.shape == (20, 10) and wide.shape == (10, 20)


def test_the_state_survives_json(rng):
    image, items = fitted(rng.uniform(-3, 7, (5, 8, 12)), channels="grey")
    again = Image.from_state(json.loads(json.dumps(image.state())))
    assert again.state() == image.state()
    assert (again.transform(items)[0] == image.transform(items)[0]).all()


def test_parts_name_each_pixel_once_and_each_colour(rng):
    image, _ = fitted(noise(rng, 2, 10, 12, 3))
    parts = image.parts()
    regions = list(parts)[:9]
    assert regions[0] == "top left" and regions[4] == "centre" and regions[8] == "bottom right"
    assert sorted(np.concatenate([parts[r] for r in regions])) == list(range(360))
    assert parts["green"].tolist() == list(range(120, 240))
    assert 0 in parts["top left"] and 359 in parts["bottom right"]


def test_one_constant_picture(tmp_path):
    image, items = fitted(np.full((1, 8, 8), 7.0))
    x, _ = image.transform(items)
    assert (x == 0).all()
    assert (image.inverse_transform(x) == 7).all()


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (np.zeros((3, 1, 1), np.uint8), DataError, "1 x 1 are too small"),
        (np.zeros((0, 8, 8), np.uint8), DataError, "no pictures"),
        (np.full((3, 8, 8), "a"), DataError, "Pixels are numbers"),
        (np.zeros((3, 8)), Reject, "no stack of pictures"),
        (np.zeros((3, 7, 8, 9)), Reject, "no stack of pictures"),
        ([np.zeros(5)], Reject, "list of pictures"),
        (["nowhere.png"], DataError, "There is no file 'nowhere.png'"),
        ("nowhere.png", DataError, "There is no file"),
        (3.5, Reject, "float is no picture"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(source, error, words):
    with pytest.raises(error, match=words):
        Image().read(source)


def test_folders_without_a_readable_picture(tmp_path):
    with pytest.raises(Reject, match="holds no picture"):
        Image().read(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"None of the 2 pictures of .* can be read; 'a\.png'"):
        Image().read(tmp_path)


@pytest.mark.parametrize("options", [{"size": 2}, {"size": (8, 8, 8)}, {"channels": "gray"}])
def test_bad_options(options):
    with pytest.raises(OptionError):
        Image(**options)


def test_pictures_of_nothing_but_gaps():
    with pytest.raises(DataError, match="nothing but gaps"):
        fitted(np.full((3, 8, 8), np.nan))


@pytest.mark.skipif(not SHARED.exists(), reason="the open data sets are not beside the repository")
def test_real_flags():
    image, items = fitted(SHARED / "images" / "flags_png")
    x, observed = image.transform(items)
    assert x.shape == (256, 3, 44, 64) and not items.skipped
    assert 0.8 < observed.mean() < 0.95
    # France: blue, white, red, also in a palette file
    france = x[items.ids.tolist().index("fr.png")]
    assert france[2, 22, 8] > france[0, 22, 8] and france[0, 22, 56] > 0.8 and france[:, 22, 32].min() > 0.95
