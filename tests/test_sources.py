"""Recorded sources: true times, upright pictures, and one line for everything that can be wrong."""

import struct
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from freeavatar.errors import SourceError
from freeavatar.sources import LARGEST_SIDE, NOMINAL_RATE, open_source
from freeavatar.sources.images import read_image
from freeavatar.sources.source import Recording
from freeavatar.sources.video import Video, _Clock
from freeavatar.types import Frame

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(width: int = 64, height: int = 48) -> np.ndarray:
    """Red and green above, blue and white below."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = RED, GREEN
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = BLUE, WHITE
    return image


def corners(image: np.ndarray) -> list[tuple[int, ...]]:
    """The colours of the four quarters, row by row, as pure colours."""
    height, width = image.shape[:2]
    pure = np.round(image / 255).astype(int) * 255
    return [tuple(pure[y, x].tolist()) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]


def write_video(path: Path, stamps: list[int], image: np.ndarray | None = None, options: dict[str, str] | None = None) -> Path:
    """An MPEG-4 clip whose frames have these presentation times in milliseconds; frame i has grey i * 20."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = (64, 48) if image is None else image.shape[1::-1]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for i, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), i * 20 % 256, np.uint8) if image is None else image, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn(path: Path, degrees: int) -> None:
    """Write a rotation into an mp4's track header, as a phone does."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4
    a, b = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    fixed = [a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30]
    data[start + 40 : start + 76] = struct.pack(">9i", *fixed)
    path.write_bytes(data)


def message(action: Callable[[], object]) -> str:
    """The one line of the SourceError that an action raises."""
    with pytest.raises(SourceError) as caught:
        action()
    text = str(caught.value)
    assert text and "\n" not in text and len(text) < 400
    return text


def frames_of(spec: Path) -> list[Frame]:
    with open_source(spec) as source:
        return list(source)


# Video


def test_a_video_of_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    stamps = [0, 33, 67, 200, 210, 480, 500]
    frames = frames_of(write_video(tmp_path / "clip.mp4", stamps))
    np.testing.assert_allclose([f.time for f in frames], np.array(stamps) / 1000, atol=1e-3)
    assert [f.index for f in frames] == list(range(7))


def test_time_counts_from_the_first_frame(tmp_path: Path) -> None:
    frames = frames_of(write_video(tmp_path / "clip.mkv", [5000, 5040, 5120]))
    np.testing.assert_allclose([f.time for f in frames], [0, 0.04, 0.12], atol=1e-3)


def test_a_video_tells_its_rate_count_and_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", list(range(0, 400, 40)))
    with open_source(path) as source:
        assert (source.name, source.count, source.live, source.still) == ("clip.mp4", 10, False, False)
        assert source.rate == pytest.approx(25)
        for frame in source:
            assert frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8 and frame.image.flags.c_contiguous
            assert abs(float(frame.image.mean()) - frame.index * 20) < 4
        assert source.warning is None


def test_colours_are_rgb(tmp_path: Path) -> None:
    assert corners(frames_of(write_video(tmp_path / "clip.mp4", [0, 40], quarters()))[0].image) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("degrees", "expected", "shape"),
    [
        (0, [RED, GREEN, BLUE, WHITE], (48, 64, 3)),
        (90, [BLUE, RED, WHITE, GREEN], (64, 48, 3)),
        (180, [WHITE, BLUE, GREEN, RED], (48, 64, 3)),
        (270, [GREEN, WHITE, RED, BLUE], (64, 48, 3)),
    ],
)
def test_rotation_metadata_turns_the_picture(tmp_path: Path, degrees: int, expected: list[object], shape: tuple[int, ...]) -> None:
    path = write_video(tmp_path / "phone.mp4", [0, 40], quarters())
    turn(path, degrees)
    frame = frames_of(path)[0]
    assert frame.image.shape == shape
    assert corners(frame.image) == expected
    assert frame.image.flags.c_contiguous


def test_a_source_can_be_read_again(tmp_path: Path) -> None:
    with open_source(write_video(tmp_path / "clip.mp4", [0, 40, 80])) as source:
        assert [f.time for f in source] == [f.time for f in source]


def test_a_loop_goes_on_with_time_and_index(tmp_path: Path) -> None:
    with open_source(write_video(tmp_path / "clip.mp4", [0, 40, 80]), loop=True) as source:
        assert source.count is None
        frames = [frame for frame, _ in zip(source, range(8), strict=False)]
    np.testing.assert_allclose([f.time for f in frames], np.arange(8) * 0.04, atol=2e-3)
    assert [f.index for f in frames] == list(range(8))
    assert [round(float(f.image.mean()) / 20) for f in frames] == [0, 1, 2, 0, 1, 2, 0, 1]


@given(st.lists(st.one_of(st.none(), st.integers(-(10**6), 10**6)), max_size=40), st.floats(1e-3, 0.2))
def test_times_rise_strictly_from_zero_whatever_the_stamps(stamps: list[int | None], step: float) -> None:
    clock = _Clock(step)
    times = [clock.time(None if s is None else Fraction(s, 1000)) for s in stamps]
    assert times[:1] in ([], [0.0])
    assert all(b > a for a, b in pairwise(times))


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(-(10**6), 10**6))
def test_good_stamps_are_kept(gaps: list[int], first: int) -> None:
    clock = _Clock(0.04)
    stamps = np.cumsum([first, *gaps])
    times = [clock.time(Fraction(int(s), 1000)) for s in stamps]
    np.testing.assert_allclose(times, (stamps - first) / 1000, atol=1e-9)


def test_missing_and_backward_stamps_are_one_frame_after_the_last() -> None:
    clock = _Clock(0.04)
    times = [clock.time(None if s is None else Fraction(s, 1000)) for s in (None, None, 500, 540, 100, None, 700)]
    np.testing.assert_allclose(times, [0, 0.04, 0.08, 0.12, 0.16, 0.20, 0.28])


def test_a_raw_stream_without_times_gets_even_ones(tmp_path: Path) -> None:
    frames = frames_of(write_video(tmp_path / "clip.m4v", list(range(0, 400, 40))))
    gaps = np.diff([f.time for f in frames])
    assert len(frames) >= 9 and (gaps > 0).all()
    np.testing.assert_allclose(gaps, gaps[0], rtol=0.01)


# Damage


@pytest.mark.parametrize("name", ["clip.mp4", "image.png", "folder"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    assert name in message(lambda: open_source(tmp_path / name))


def test_an_input_without_a_name_is_not_the_folder_one_is_in() -> None:
    assert "has no name" in message(lambda: open_source(""))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    for name in ("clip.mp4", "image.png"):
        (tmp_path / name).touch()
        assert "empty" in message(lambda name=name: frames_of(tmp_path / name))


def test_rubbish_is_refused_when_opened(tmp_path: Path) -> None:
    for name, content in (("a.mp4", b"rubbish" * 1000), ("b.mp4", b"\0" * 5000), ("c.txt", b"hello")):
        (tmp_path / name).write_bytes(content)
        assert name in message(lambda name=name: open_source(tmp_path / name))


def test_a_video_without_its_index_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", list(range(0, 2000, 40)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "clip.mp4" in message(lambda: open_source(path))


def test_a_truncated_video_delivers_what_decodes_and_says_so(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    path = write_video(tmp_path / "clip.mp4", list(range(0, 4000, 40)), noise, {"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with Video(path) as source:
        assert not source.truncated
        frames = list(source)
        assert 0 < len(frames) < 100
        assert source.truncated
        assert source.warning is not None and "\n" not in source.warning
        assert "clip.mp4" in source.warning and str(len(frames)) in source.warning


def test_a_damaged_middle_is_passed_over(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    path = write_video(tmp_path / "clip.mp4", list(range(0, 4000, 40)), noise)
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 200] = bytes(200)
    path.write_bytes(data)
    with Video(path) as source:
        frames = list(source)
        assert source.truncated and source.warning is not None and "cannot be decoded" in source.warning
    assert 80 < len(frames) < 100
    assert frames[-1].time == pytest.approx(3.96, abs=1e-3)
    assert all(b.time > a.time for a, b in pairwise(frames))


def test_a_sound_file_has_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    assert "no video stream" in message(lambda: open_source(path))


def test_a_video_without_a_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert "none.avi" in message(lambda: open_source(path))


def test_an_absurd_video_is_refused(tmp_path: Path) -> None:
    wide = np.zeros((16, LARGEST_SIDE + 16, 3), np.uint8)
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = wide.shape[1], wide.shape[0], "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(wide, format="rgb24")))
        container.mux(stream.encode(None))
    assert str(LARGEST_SIDE) in message(lambda: open_source(path))


# Images


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for i, name in enumerate(["b.PNG", "a.png", "c.jpg", "._a.png", "notes.txt"]):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no image")
        else:
            Pillow.fromarray(np.full((9, 7, 3), i * 50, np.uint8)).save(tmp_path / name)
    with open_source(tmp_path) as source:
        assert (source.count, source.still, source.live, source.rate) == (3, True, False, 0.0)
        frames = list(source)
    assert [f.name for f in frames] == ["a.png", "b.PNG", "c.jpg"]
    assert [int(f.image[0, 0, 0]) for f in frames] == [50, 0, 100]
    assert [f.time for f in frames] == [0, 1 / NOMINAL_RATE, 2 / NOMINAL_RATE]


def test_a_single_image_is_one_still_frame(tmp_path: Path) -> None:
    Pillow.fromarray(quarters()).save(tmp_path / "face.png")
    with open_source(str(tmp_path / "face.png")) as source:
        assert source.still and source.count == 1
        (frame,) = source
    np.testing.assert_array_equal(frame.image, quarters())
    assert (frame.time, frame.index, frame.name) == (0.0, 0, "face.png")


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(1, [RED, GREEN, BLUE, WHITE]), (3, [WHITE, BLUE, GREEN, RED]), (6, [BLUE, RED, WHITE, GREEN]), (8, [GREEN, WHITE, RED, BLUE])],
)
def test_exif_orientation_is_honoured(tmp_path: Path, orientation: int, expected: list[object]) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.fromarray(quarters()).save(tmp_path / "phone.jpg", exif=exif)
    assert corners(read_image(tmp_path / "phone.jpg")) == expected


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_kind_of_image_becomes_rgb(tmp_path: Path, mode: str) -> None:
    grey = np.tile(np.linspace(0, 255, 32).round().astype(np.uint8), (24, 1))
    if mode == "I;16":
        image = Pillow.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = Pillow.fromarray(grey).convert("RGB").convert(mode, dither=Pillow.Dither.NONE)
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    image.save(path)
    read = read_image(path)
    assert read.shape == (24, 32, 3) and read.dtype == np.uint8
    tolerance = 128 if mode == "1" else 32 if mode == "P" else 2
    assert np.abs(read.astype(int) - grey[..., None]).max() <= tolerance


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    assert "no images" in message(lambda: open_source(tmp_path))


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    for name in ("half.png", "half.jpg"):
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        Pillow.fromarray(noise).save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        assert name in message(lambda name=name: frames_of(tmp_path / name))
    (tmp_path / "text.jpg").write_text("no image")
    assert "text.jpg" in message(lambda: frames_of(tmp_path / "text.jpg"))


def test_a_damaged_picture_of_a_folder_is_left_out_and_reported(tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        Pillow.fromarray(quarters()).save(tmp_path / name)
    (tmp_path / "b.png").write_text("no image")
    with open_source(tmp_path) as source:
        assert [(frame.name, frame.index) for frame in source] == [("a.png", 0), ("c.png", 2)]
        assert source.warning is not None and source.warning.startswith("1 of 3 pictures were left out, first: ")
        assert "b.png: not a readable image" in source.warning
    for name in ("a.png", "c.png"):
        (tmp_path / name).write_text("no image")
    assert "a.png: not a readable image" in message(lambda: frames_of(tmp_path))


def test_pictures_of_a_phone_s_own_kind_are_no_damaged_video(tmp_path: Path) -> None:
    (tmp_path / "me.HEIC").write_bytes(bytes(100))
    assert "save it as one of .bmp, .jpeg" in message(lambda: open_source(tmp_path / "me.HEIC"))
    assert "no such file" in message(lambda: open_source(tmp_path / "gone.heic"))


def test_an_absurd_image_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    for name, size in (("wide.png", (LARGEST_SIDE + 1, 1)), ("bomb.png", (60000, 60000))):
        header = b"IHDR" + struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        (tmp_path / name).write_bytes(data + b"\0\0\0\0IDAT\x35\xaf\x06\x1e")
        assert name in message(lambda name=name: frames_of(tmp_path / name))


def test_a_recording_that_turns_empty_ends_its_loop() -> None:
    class Nothing(Recording):
        loop = True

        def _play(self) -> Iterator[Frame]:
            return iter(())

    assert list(Nothing()) == []


# Real clips


@pytest.mark.data
@pytest.mark.parametrize("name", ["lp_d9.mp4", "face_noface.mov", "sadtalker_wda_1.mp4"])
def test_real_clips_are_read_whole(data_root: Path, name: str) -> None:
    with open_source(data_root / "video" / name) as source:
        times = [frame.time for frame in source]
        assert source.warning is None
    assert len(times) == source.count
    assert times[-1] == pytest.approx((len(times) - 1) / source.rate, rel=0.05)
