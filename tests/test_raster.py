"""Avatars on the screen: controls move what they name, on the side they name, the same way every time."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from freeavatar import arkit
from freeavatar.errors import RenderError, RigError
from freeavatar.rig import Rig, list_rigs, load_rig
from freeavatar.types import Image
from freeavatar_renderer import gl
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.morphing import Morpher, vertex_normals
from freeavatar_renderer.raster import AvatarRenderer, contact_sheet

SIZE = 160
POSE, GAZE = np.zeros(6, np.float32), np.zeros(2, np.float32)


@pytest.fixture(scope="module")
def renderer() -> AvatarRenderer:
    try:
        gl.context()
    except RenderError as error:
        pytest.skip(str(error))
    return AvatarRenderer(load_rig("robot"), SIZE, SIZE)


def expression(rig: Rig, **shapes: float) -> np.ndarray:
    weights = np.array([shapes.get(name, 0.0) for name in arkit.NAMES], np.float32)
    return rig.pose(rig.from_arkit(weights), POSE, GAZE)


def moved(a: Image, b: Image) -> np.ndarray:
    """(H, W) whether a pixel changed visibly."""
    return np.abs(a.astype(int) - b).max(axis=2) > 12


def test_a_picture_has_the_avatar_in_the_middle_and_the_background_around(renderer: AvatarRenderer) -> None:
    image = renderer.render(renderer.rig.neutral())
    assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
    corner = np.round(np.array(renderer.background) * 255)
    assert np.abs(image[0, 0] - corner).max() <= 1
    assert moved(image, np.broadcast_to(corner, image.shape)).mean() > 0.3


def test_the_same_values_give_the_same_picture_whatever_came_before(renderer: AvatarRenderer) -> None:
    rig = renderer.rig
    first = renderer.render(rig.neutral())
    renderer.render(rig.maximum)
    renderer.render(rig.minimum, (0.5, 0.2))
    assert np.array_equal(renderer.render(rig.neutral()), first)
    assert np.array_equal(AvatarRenderer(rig, SIZE, SIZE).render(rig.neutral()), first)


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_a_wink_is_seen_on_its_own_side_only(renderer: AvatarRenderer, side: str) -> None:
    rest = renderer.render(renderer.rig.neutral())
    changed = moved(rest, renderer.render(expression(renderer.rig, **{f"eyeBlink{side}": 1.0})))
    left, right = changed[:, SIZE // 2 :].sum(), changed[:, : SIZE // 2].sum()  # the subject's left is on the image's right
    assert (left > 100 and right == 0) if side == "Left" else (right > 100 and left == 0)


def test_the_head_turns_to_the_subjects_left_for_positive_yaw_and_down_for_positive_pitch(renderer: AvatarRenderer) -> None:
    rig = renderer.rig

    def face(yaw: float, pitch: float) -> np.ndarray:
        """Centre of the pink cheeks: x, y in pixels."""
        image = renderer.render(rig.pose(rig.neutral(), np.array([yaw, pitch, 0, 0, 0, 0], np.float32), GAZE)).astype(int)
        pink = (image[..., 0] > image[..., 1] + 60) & (image[..., 2] > image[..., 1] + 5)
        assert pink.any()
        return np.argwhere(pink).mean(0)[::-1]

    assert face(0.4, 0)[0] > face(0, 0)[0] + 4 > face(-0.4, 0)[0] + 8
    assert face(0, 0.3)[1] > face(0, 0)[1] + 4


def test_eyes_turn_with_gaze(renderer: AvatarRenderer) -> None:
    rig = renderer.rig

    def pupils(yaw: float) -> float:
        image = renderer.render(rig.pose(rig.neutral(), POSE, np.array([yaw, 0], np.float32))).astype(int)
        iris = (image[..., 1] > image[..., 0] + 60)[: SIZE // 2]  # above the mouth
        iris[:, : SIZE // 5] = iris[:, -SIZE // 5 :] = False  # and beside the antennas
        return float(np.argwhere(iris)[:, 1].mean())

    assert pupils(0.5) > pupils(0) + 2 > pupils(-0.5) + 4


@pytest.mark.parametrize("name", ["human", "robot"])
def test_every_control_of_a_shipped_rig_changes_the_picture(renderer: AvatarRenderer, name: str) -> None:
    rig = load_rig(name)
    own = AvatarRenderer(rig, SIZE, SIZE)
    rest = own.render(rig.neutral())
    for i, control in enumerate(rig.controls):
        values = rig.neutral()
        values[i] = control.maximum
        visible = moved(rest, own.render(values)).sum()
        if name == "human" and control.name == "mouthClose":
            continue  # closes an open jaw; nothing to see at rest
        assert visible >= 6, control.name
    own.release()


def test_expressions_differ_at_a_glance(renderer: AvatarRenderer) -> None:
    def both(name: str, value: float = 1.0) -> dict[str, float]:
        return {f"{name}Left": value, f"{name}Right": value}

    faces = [
        {}, both("mouthSmile"), both("mouthFrown"), both("eyeBlink"), both("browDown"), {"jawOpen": 1.0}, {"mouthPucker": 1.0},
        {"cheekPuff": 1.0}, {"browInnerUp": 1.0, **both("eyeWide"), **both("browOuterUp")},
        both("noseSneer"), {"tongueOut": 1.0, "jawOpen": 0.4},
    ]  # fmt: skip
    images = [renderer.render(expression(renderer.rig, **shapes)) for shapes in faces]
    for i, a in enumerate(images):
        for b in images[:i]:
            assert moved(a, b).mean() > 0.004


def test_the_camera_goes_to_the_subjects_left_and_up(renderer: AvatarRenderer) -> None:
    rig, angle = renderer.rig, 0.5
    neutral = rig.neutral()
    # Turning the head to its right looks like going around it to its left, but for light and body.
    turned = renderer.render(rig.pose(neutral, np.array([-angle, 0, 0, 0, 0, 0], np.float32), GAZE))
    around, other = renderer.render(neutral, (angle, 0)), renderer.render(neutral, (-angle, 0))
    head = slice(0, int(SIZE * 0.7))
    assert moved(turned, around)[head].mean() < 0.6 * moved(turned, other)[head].mean()
    above, below = renderer.render(neutral, (0, 0.4)), renderer.render(neutral, (0, -0.4))
    assert moved(above, below).mean() > 0.1


def test_edges_are_smooth_with_samples(renderer: AvatarRenderer) -> None:
    rig = renderer.rig
    hard = AvatarRenderer(rig, SIZE, SIZE, samples=0).render(rig.neutral())
    soft = renderer.render(rig.neutral())
    assert len(np.unique(soft.reshape(-1, 3), axis=0)) > len(np.unique(hard.reshape(-1, 3), axis=0))


def test_four_samples_are_the_mean_of_a_picture_twice_as_large(renderer: AvatarRenderer) -> None:
    rig = renderer.rig
    large = AvatarRenderer(rig, 2 * SIZE, 2 * SIZE, samples=1).render(rig.neutral()).astype(int)
    mean = large.reshape(SIZE, 2, SIZE, 2, 3).mean(axis=(1, 3))
    assert np.abs(AvatarRenderer(rig, SIZE, SIZE, samples=4).render(rig.neutral()) - mean).max() <= 0.5


@pytest.mark.parametrize("name", list_rigs())
def test_shipped_avatars_have_few_enough_triangles_to_be_drawn_live_in_software(name: str) -> None:
    # Half a microsecond each on two cores; tools/bench_render.py measures the rest.
    faces = [len(primitive.faces) for node in load_glb(load_rig(name).model).nodes for primitive in node.primitives]
    assert sum(faces) < 29_000


@pytest.mark.parametrize("values", [np.zeros(3, np.float32), np.full(99, np.nan, np.float32)])
def test_wrong_values_are_refused(renderer: AvatarRenderer, values: np.ndarray) -> None:
    count = len(renderer.rig.controls)
    with pytest.raises(RenderError, match=f"takes {count} finite values"):
        renderer.render(values[:count])


@pytest.mark.parametrize(
    ("old", "new", "message"), [('squint"\n', 'squont"\n', "morph target 'squont'"), ('"eyeLeft"', '"eyeMiddle"', "node 'eyeMiddle'")]
)
def test_a_rig_that_names_what_its_model_lacks_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    folder = load_rig("robot").folder
    shutil.copy(folder / "avatar.glb", tmp_path)
    text = (folder / "rig.toml").read_text()
    assert old in text
    (tmp_path / "rig.toml").write_text(text.replace(old, new))
    with pytest.raises(RigError, match=message):
        AvatarRenderer(load_rig(tmp_path), 32, 32)


def test_a_contact_sheet_has_a_tile_for_every_expression(renderer: AvatarRenderer) -> None:
    sheet = contact_sheet(renderer.rig, {"rest": {}, "left": {"eyeLookOutLeft": 1, "eyeLookInRight": 1}, "open": {"jawOpen": 1}}, 96)
    assert sheet.shape == (192, 192, 3)
    assert moved(sheet[:96, :96], sheet[:96, 96:])[30:].any()  # gaze is drawn, too
    with pytest.raises(RigError, match="jawWide"):
        contact_sheet(renderer.rig, {"wrong": {"jawWide": 1}}, 32)


def test_morphs_add_up_and_leave_no_trace() -> None:
    for node in load_glb(load_rig("robot").model).nodes:
        for primitive in node.primitives:
            morpher = Morpher(primitive)
            rest, names = morpher.rest.copy(), list(primitive.morphs)
            if len(names) < 2:
                continue
            a, b = names[0], names[-1]
            total = morpher.shape({a: 0.5, b: 2.0})
            expected = rest.astype(np.float64)
            for name, weight in ((a, 0.5), (b, 2.0)):
                morph = primitive.morphs[name]
                assert morph.turns is not None
                expected[morph.vertices] += weight * np.concatenate([morph.moves, morph.turns], axis=1)
            assert total is None or total == pytest.approx(expected, abs=1e-5)
            assert morpher.shape({a: 0.5, b: 2.0}) is None
            back = morpher.shape({})
            assert back is None or np.array_equal(back, rest)


def test_missing_normals_of_morphs_are_measured_on_the_surface() -> None:
    from dataclasses import replace

    mesh = next(p for n in load_glb(load_rig("robot").model).nodes for p in n.primitives if p.material.name == "lips")
    bare = replace(mesh, normals=None, morphs={name: replace(m, turns=None) for name, m in mesh.morphs.items()})
    morpher = Morpher(bare)
    shaped = morpher.shape({"mouthOpen": 1.0})
    assert shaped is not None
    groups = np.unique(np.round(mesh.positions * 1e6).astype(np.int64), axis=0, return_inverse=True)[1].reshape(-1)
    expected = vertex_normals(shaped[:, :3].copy(), mesh.faces.astype(np.int64), groups)
    normals = shaped[:, 3:] / np.linalg.norm(shaped[:, 3:], axis=1, keepdims=True)
    assert np.median((normals * expected).sum(1)) > 0.999


def test_building_the_robot_twice_gives_the_same_bytes_and_the_shipped_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import build_robot

    first, second = tmp_path / "first.glb", tmp_path / "second.glb"
    build_robot.write_glb(first, build_robot.nodes())
    build_robot.write_glb(second, build_robot.nodes())
    assert first.read_bytes() == second.read_bytes()
    built, shipped = load_glb(first), load_glb(load_rig("robot").model)
    assert [n.name for n in built.nodes] == [n.name for n in shipped.nodes] and built.morphs == shipped.morphs
    for a, b in zip(built.nodes, shipped.nodes, strict=True):
        for p, q in zip(a.primitives, b.primitives, strict=True):
            assert p.positions == pytest.approx(q.positions, abs=1e-5)
