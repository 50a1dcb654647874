"""The shipped monitor ``pixel``: eight controls that move the right pixels, and nothing else."""

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from freeavatar.rig import Rig, load_rig
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.model import Primitive

ROOT = Path(__file__).parents[1]
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def rig() -> Rig:
    return load_rig("pixel")


@pytest.fixture(scope="module")
def parts(rig: Rig) -> dict[str, Primitive]:
    head = next(node for node in load_glb(rig.model).nodes if node.name == "head")
    return {part.material.name: part for part in head.primitives}


def moves(part: Primitive, name: str) -> Floats:
    change = np.zeros(part.positions.shape)
    change[part.morphs[name].vertices] = part.morphs[name].moves
    return change


def centres(part: Primitive, name: str = "") -> Floats:
    """(N, 3) middle of every pixel; a pixel is a tile of sixteen vertices."""
    points = part.positions + (moves(part, name) if name else 0.0)
    return points.reshape(-1, 16, 3).mean(axis=1)


def test_has_eight_controls_in_a_small_file(rig: Rig) -> None:
    model = load_glb(rig.model)
    assert len(rig.controls) == 8 and rig.model.stat().st_size < 1e6
    assert {m for c in rig.controls for m in c.morphs} == model.morphs
    assert (rig.folder / "preview.png").is_file() and (rig.folder / "LICENSE").is_file()


@pytest.mark.parametrize(("name", "other", "sign"), [("lidLeft", "lidRight", 1), ("lidRight", "lidLeft", -1)])
def test_a_lid_closes_its_own_eye_to_one_row(parts: dict[str, Primitive], name: str, other: str, sign: int) -> None:
    glow = parts["pixels"]
    moved = np.abs(moves(glow, name)).reshape(-1, 16, 3).max(axis=(1, 2)) > 1e-4
    assert (sign * centres(glow)[moved, 0] > 0).all()
    at_rest, shut = centres(glow)[moved], centres(glow, name)[moved]
    assert np.ptp(at_rest[:, 1]) > 0.02 and np.ptp(shut[:, 1]) < 0.008
    assert not (moved & (np.abs(moves(glow, other)).reshape(-1, 16, 3).max(axis=(1, 2)) > 1e-4)).any()


def test_smile_lifts_the_corners_of_the_mouth_and_frown_lowers_them(parts: dict[str, Primitive]) -> None:
    glow = parts["pixels"]
    rest, smile, frown = centres(glow), centres(glow, "smile"), centres(glow, "frown")
    mouth = np.abs(frown - rest).max(axis=1) > 1e-4
    x = np.abs(rest[mouth, 0])
    corner, middle = x == x.max(), x < 1e-6
    assert corner.any() and middle.any()
    assert (smile[mouth, 1][corner].mean() - smile[mouth, 1][middle].mean()) > 0.012
    assert (frown[mouth, 1][corner].mean() - frown[mouth, 1][middle].mean()) < -0.012


def test_the_mouth_opens_over_a_warm_tongue(parts: dict[str, Primitive]) -> None:
    assert np.ptp(centres(parts["pixels"], "mouthOpen")[:, 1]) > np.ptp(centres(parts["pixels"])[:, 1]) + 0.01
    size = np.ptp(parts["mouth"].positions.reshape(-1, 16, 3), axis=1)[:, 0].max()
    opened = np.ptp((parts["mouth"].positions + moves(parts["mouth"], "mouthOpen")).reshape(-1, 16, 3), axis=1)[:, 0].min()
    assert size < 0.001 and opened > 0.007


def test_brows_go_both_ways(parts: dict[str, Primitive]) -> None:
    up, down = moves(parts["pixels"], "browRaise")[:, 1], moves(parts["pixels"], "browLower")[:, 1]
    assert up.max() > 0.008 and down.min() < -0.006 and (np.abs(up) > 1e-4).sum() == (np.abs(down) > 1e-4).sum()


@pytest.mark.parametrize(("name", "mirror"), [("lidLeft", "lidRight"), ("smile", ""), ("frown", ""), ("mouthOpen", ""), ("browRaise", "")])
def test_pixels_move_as_mirror_images(parts: dict[str, Primitive], name: str, mirror: str) -> None:
    # The light in an eye lies on one side, so an eye's pixels have partners only where both eyes are lit.
    rest, here, there = (centres(parts["pixels"], n) for n in ("", name, mirror or name))
    flip = np.array([-1.0, 1.0, 1.0])
    paired = np.linalg.norm(rest[:, None] * flip - rest[None], axis=2).min(axis=1) < 1e-5
    assert paired.mean() > 0.9
    # By place and movement: the lips lie on each other until the mouth opens.
    mirrored, whole = np.hstack([rest * flip, here * flip])[paired], np.hstack([rest, there])
    assert np.abs(mirrored[:, None] - whole[None]).max(axis=2).min(axis=1).max() < 2e-5


def test_pixels_never_sink_into_the_glass(parts: dict[str, Primitive]) -> None:
    glass = parts["screen"].positions
    for name in ("", *parts["pixels"].morphs):
        for middle in centres(parts["pixels"], name):
            near = glass[np.abs(glass[:, :2] - middle[:2]).max(axis=1) < 0.009]
            assert len(near) and middle[2] > near[:, 2].max() - 0.0005


def test_the_builder_makes_the_shipped_model(rig: Rig, tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from build_pixel import nodes
        from gltf_writer import write_glb

        write_glb(tmp_path / "avatar.glb", nodes(), "")
    finally:
        sys.path.remove(str(ROOT / "tools"))
    for a, b in zip(load_glb(tmp_path / "avatar.glb").nodes, load_glb(rig.model).nodes, strict=True):
        for p, q in zip(a.primitives, b.primitives, strict=True):
            assert p.morphs.keys() == q.morphs.keys() and np.allclose(p.positions, q.positions, atol=1e-5)
