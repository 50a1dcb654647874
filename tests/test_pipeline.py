"""One call from a picture to an avatar."""

from typing import Any

import numpy as np
import pytest

from freeavatar.encoder import Encoder
from freeavatar.errors import SourceError, WeightsError
from freeavatar.pipeline import Pipeline, load_models
from freeavatar.rig import Rig

pytestmark = pytest.mark.usefixtures("tiny_weights", "tracked")


def test_a_picture_with_a_face_gives_a_row_and_one_without_gives_none(rig: Rig) -> None:
    with Pipeline(rig) as pipeline:
        row = pipeline(np.full((40, 60, 3), 120, np.uint8), 0.5)
        assert row is not None and (row.rig, row.time, row.index) == ("tiny", 0.5, 0)
        assert pipeline(np.zeros((40, 60, 3), np.uint8), 0.6) is None
        again = pipeline(np.full((40, 60, 3), 120, np.uint8), 0.7)
        assert again is not None and again.index == 2
        np.testing.assert_array_equal(again.values, row.values)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), "x"],
)
def test_what_is_no_rgb_picture_is_refused(rig: Rig, picture: object) -> None:
    with Pipeline(rig) as pipeline, pytest.raises(SourceError, match="expected an RGB picture"):
        pipeline(picture, 0.0)  # type: ignore[arg-type]


def test_models_that_were_not_made_for_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    load_models()
    monkeypatch.setattr("freeavatar.encoder.Encoder.__init__", _another(monkeypatch))
    with pytest.raises(WeightsError, match="trained on the encoder"):
        load_models()


def test_the_accurate_encoder_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    load = Encoder.load

    def recorded(*args: Any, variant: str | None = None, **options: Any) -> Encoder:
        asked.append(variant)
        return load(*args, **options)

    monkeypatch.setattr(Encoder, "load", recorded)
    load_models()
    load_models(accurate=True)
    assert asked == [None, "accurate"]


def _another(monkeypatch: pytest.MonkeyPatch) -> object:
    original = Encoder.__init__

    def init(self: Encoder, config: dict[str, object], session: object, looks: object) -> None:
        original(self, config | {"feature_version": 2}, session, looks)  # type: ignore[arg-type]

    return init
