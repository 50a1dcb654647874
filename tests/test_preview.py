"""The side-by-side video: in step with the input, whatever its rate, size and number of avatars."""

import sys
from pathlib import Path

import av
import numpy as np
import pytest

from freeavatar import preview as module
from freeavatar.errors import MissingExtraError
from freeavatar.preview import Preview, Stage
from freeavatar.rig import Rig, load_rig
from freeavatar.types import Frame, Image, RigFrame, Vector


class FlatRenderer:
    """An avatar that is a grey as bright as its first control."""

    def __init__(self, rig: Rig, size: int) -> None:
        self.size = size

    def render(self, values: Vector) -> Image:
        return np.full((self.size, self.size, 3), round(float(values[0]) * 255), np.uint8)

    def release(self) -> None: ...


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_renderer", FlatRenderer)


def row(rig: Rig, value: float = 0.0) -> RigFrame:
    values = rig.neutral()
    values[0] = value
    return RigFrame(rig.name, rig.names, values, *[np.zeros(n, np.float32) for n in (52, 6, 2)], 1.0, 0.0, 0)  # type: ignore[arg-type]


def frame(time: float, index: int, level: int = 100, height: int = 48, width: int = 64) -> Frame:
    return Frame(np.full((height, width, 3), level, np.uint8), time, index)


def read(path: Path) -> tuple[list[float], list[Image]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].codec_context.name == "h264" and frames[0].format.name == "yuv420p"
        return [float(f.time or 0) for f in frames], [f.to_ndarray(format="rgb24") for f in frames]


@pytest.mark.usefixtures("flat")
def test_input_and_avatar_share_a_frame_and_its_time(tmp_path: Path, rig: Rig) -> None:
    times = [0.0, 0.04, 0.1, 0.5, 0.533]
    with Preview(tmp_path / "out.mp4", [rig], 25.0) as preview:
        for i, time in enumerate(times):
            preview.write(frame(time, i, level=40 * i), [row(rig, i / 5)])
    shown, pictures = read(tmp_path / "out.mp4")
    np.testing.assert_allclose(shown, times, atol=1e-4)
    for i, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        assert height == 512 and width % 2 == 0 and width > 512
        assert picture[:, : width - 520].mean() == pytest.approx(40 * i, abs=4)
        assert picture[:, -504:].mean() == pytest.approx(i * 51, abs=4)


@pytest.mark.usefixtures("flat")
def test_one_panel_an_avatar(rig: Rig) -> None:
    picture = Stage([rig, rig], 100).picture(frame(0, 0, height=50, width=75), [row(rig, 0.2), row(rig, 1.0)])
    assert picture.shape == (100, 150 + 200, 3)
    assert [int(picture[50, x, 0]) for x in (20, 160, 260)] == [100, 51, 255]


@pytest.mark.usefixtures("flat")
def test_pictures_of_other_sizes_are_fitted_in_without_stretching(rig: Rig) -> None:
    stage = Stage([rig], 100)
    first = stage.picture(frame(0, 0, height=101, width=77), [row(rig)])
    wide = stage.picture(frame(0, 1, level=200, height=20, width=400), [row(rig)])
    assert wide.shape == first.shape and wide.shape[1] % 2 == 0
    bright = (wide[:, :76] == 200).all(2)
    assert bright.any(1).sum() == 4 and bright.any(0).all()


@pytest.mark.usefixtures("flat")
def test_pictures_without_a_rate_are_shown_for_half_a_second_each(tmp_path: Path, rig: Rig) -> None:
    with Preview(tmp_path / "out.mp4", [rig]) as preview:
        for i in range(3):
            preview.write(frame(i / 30, i), [row(rig)])
    assert read(tmp_path / "out.mp4")[0] == pytest.approx([0, 0.5, 1.0])


@pytest.mark.usefixtures("flat")
def test_a_failure_leaves_nothing(tmp_path: Path, rig: Rig) -> None:
    with pytest.raises(ZeroDivisionError), Preview(tmp_path / "out.mp4", [rig], 30.0) as preview:
        preview.write(frame(0.0, 0), [row(rig)])
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_without_the_renderer_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from freeavatar_renderer import gl

    monkeypatch.setattr(gl, "context", gl.context.__wrapped__)  # not the context that other tests share
    monkeypatch.setitem(sys.modules, "moderngl", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'freeavatar\[renderer\]'"):
        Preview(tmp_path / "out.mp4", [load_rig("human")])
    assert list(tmp_path.iterdir()) == []


def test_a_shipped_avatar_moves_in_the_picture() -> None:
    rig = load_rig("human")
    stage = Stage([rig], 128)
    rest, smile = (stage.picture(frame(0, i), [row]) for i, row in enumerate((_shown(rig), _shown(rig, "jawOpen"))))
    assert np.abs(rest[:, -128:].astype(int) - smile[:, -128:]).max() > 40


def _shown(rig: Rig, *names: str) -> RigFrame:
    values = rig.neutral()
    for name in names:
        values[rig.names.index(name)] = 1.0
    return RigFrame(rig.name, rig.names, values, *[np.zeros(n, np.float32) for n in (52, 6, 2)], 1.0, 0.0, 0)  # type: ignore[arg-type]
