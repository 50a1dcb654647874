"""Synthetic people: what is asked of them is what they show, again and again."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from freeavatar import arkit
from freeavatar.errors import SourceError
from freeavatar.face import FaceTracker
from freeavatar.types import Frame
from freeavatar_renderer import head_map, heads
from freeavatar_renderer.performance import MOODS, natural_shapes, partner, random_scene
from freeavatar_renderer.portrait import PortraitRenderer, Scene


def test_every_row_of_the_map_names_a_known_movement() -> None:
    with np.load(head_map.FILE, allow_pickle=False) as stored:
        for family in ("valid", "ict"):
            names = tuple(str(n) for n in stored[f"{family}_names"])
            assert head_map.to_arkit(family, names).shape == (len(names), 52)
            assert head_map.from_arkit(family, names).shape == (52, len(names))
            assert head_map.movement(family, names).shape == (len(names), 72)
            assert (head_map.to_arkit(family, names) >= 0).all()


def test_the_map_keeps_sides_apart() -> None:
    with np.load(head_map.FILE, allow_pickle=False) as stored:
        names = tuple(str(n) for n in stored["valid_names"])
    table = head_map.to_arkit("valid", names)
    for weight, shape in (("LeyeClose", "eyeBlinkLeft"), ("RsmileClose", "mouthSmileRight"), ("LLbrowUp", "browOuterUpLeft")):
        row = table[names.index(weight)]
        assert row.argmax() == arkit.INDEX[shape]
        assert row[arkit.INDEX[arkit.mirrored(shape)]] < 0.15 * row.max()


def test_the_map_follows_the_order_of_the_names_it_is_given() -> None:
    with np.load(head_map.FILE, allow_pickle=False) as stored:
        names = tuple(str(n) for n in stored["ict_names"])
    np.testing.assert_array_equal(head_map.to_arkit("ict", names[::-1]), head_map.to_arkit("ict", names)[::-1])


def test_moods_and_speech_use_arkit_names_only() -> None:
    assert all(name in arkit.INDEX for mood in MOODS.values() for name in mood)
    rng = np.random.default_rng(0)
    for _ in range(200):
        shapes = natural_shapes(rng)
        assert all(name in arkit.INDEX and 0 <= value <= 1 for name, value in shapes.items())


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("RbrowUp", ("RbrowUp", "LbrowUp", "RRbrowUp"), "LbrowUp"),
        ("RRbrowUp", ("RRbrowUp", "LLbrowUp", "LRbrowUp"), "LLbrowUp"),
        ("eyeBlink_L", ("eyeBlink_L", "eyeBlink_R"), "eyeBlink_R"),
        ("Kiss", ("Kiss",), None),
    ],
)
def test_partners_are_found_in_both_naming_schemes(name: str, names: tuple[str, ...], expected: str | None) -> None:
    assert partner(name, names) == expected


def test_without_the_data_folder_the_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FREEAVATAR_DATA", raising=False)
    with pytest.raises(SourceError, match="FREEAVATAR_DATA"):
        heads.data_root()


@pytest.fixture(scope="module")
def renderer() -> PortraitRenderer:
    return PortraitRenderer(224)


@pytest.mark.data
@pytest.mark.parametrize("family", ["valid", "ict"])
def test_the_same_seed_gives_the_same_picture(data_root: Path, renderer: PortraitRenderer, family: str) -> None:
    head = heads.load_valid("White_F_1") if family == "valid" else heads.load_ict(3)
    scenes = [random_scene(head, np.random.default_rng(5)) for _ in range(2)]
    first, second = (renderer.render(head, scene) for scene in scenes)
    np.testing.assert_array_equal(first, second)
    assert first.std() > 10


@pytest.mark.data
@pytest.mark.parametrize("family", ["valid", "ict"])
def test_a_left_wink_changes_the_left_eye(data_root: Path, renderer: PortraitRenderer, family: str) -> None:
    head = heads.load_valid("White_M_1")
    if family == "ict":
        head = heads.dress(heads.load_ict(1), head.textures["body"])
    rest = renderer.render(head, Scene(np.zeros(len(head.names), np.float32))).astype(int)
    wink = renderer.render(head, Scene(head.express({"eyeBlinkLeft": 1.0}))).astype(int)
    change = np.abs(wink - rest).sum((0, 2))
    # The subject's left is on the right of the picture.
    assert change[112:].sum() > 5 * change[:112].sum() > 0 or change[:112].sum() == 0 < change[112:].sum()


@pytest.mark.data
def test_a_reshaped_head_is_another_person_with_round_eyes(data_root: Path) -> None:
    head = heads.load_valid("Asian_M_1")
    other = heads.reshape(head, np.random.default_rng(2))
    moved = np.linalg.norm(other.parts[0].vertices - head.parts[0].vertices, axis=1)
    assert 0.001 < moved.mean() < 0.02
    eye, bent = (next(p for p in h.parts if p.name == "eye_left") for h in (head, other))
    np.testing.assert_allclose(np.ptp(eye.vertices, axis=0), np.ptp(bent.vertices, axis=0), atol=1e-6)


def _tip(head: heads.Head, **shapes: float) -> tuple[float, float]:
    """How far the tip of the tongue of a VALID head lies before, and above, the edge of its lower front teeth, metres."""
    weights = head.express(shapes)
    part = next(p for p in head.parts if p.name == "teeth_lower")
    assert part.morphs is not None
    points = part.vertices + np.tensordot(weights, part.morphs.astype(np.float32), 1)
    tongue = part.morphs[head.names.index("tongueOut")].any(1)
    teeth, tip = points[~tongue], points[tongue][points[tongue, 2].argmax()]
    front = teeth[teeth[:, 2] > teeth[:, 2].max() - 0.005]
    return float(tip[2] - front[:, 2].max()), float(tip[1] - front[:, 1].max())


@pytest.mark.data
@pytest.mark.parametrize("name", ["White_F_1", "Black_M_1", "Asian_M_2"])
def test_a_tongue_that_is_out_hangs_over_the_lip_and_one_that_lies_in_an_open_mouth_is_not_out(data_root: Path, name: str) -> None:
    head = heads.load_valid(name)
    before, above = _tip(head, jawOpen=0.5, tongueOut=1.0)
    assert before > 0.02 and above < -0.005
    rng = np.random.default_rng(0)
    laid = [_tip(heads.lay_tongue(head, rng), jawOpen=1.0) for _ in range(20)]
    assert max(before for before, _ in laid) < 0.015
    assert np.std([above for _, above in laid]) > 0.002
    assert np.abs(np.subtract(_tip(heads.lay_tongue(head, rng)), _tip(head))).max() < 1e-6, "a closed mouth keeps its tongue"


@pytest.mark.data
def test_the_pose_of_a_portrait_is_the_pose_the_tracker_finds(data_root: Path, renderer: PortraitRenderer) -> None:
    head = heads.load_valid("Hispanic_M_1")
    wanted, found = [], []
    with FaceTracker(still=True) as tracker:
        for pose in ((0.4, 0, 0), (-0.4, 0, 0), (0, 0.25, 0), (0, -0.25, 0), (0, 0, 0.3), (0, 0, -0.3)):
            crop = tracker.track(Frame(renderer.render(head, Scene(np.zeros(len(head.names), np.float32), pose=pose)), 0.0, 0))
            assert crop is not None
            wanted.append(pose)
            found.append(crop.head_pose[:3])
    for axis in range(3):
        assert np.corrcoef(np.array(wanted)[:, axis], np.array(found)[:, axis])[0, 1] > 0.95


def _render_for(seconds: float) -> float:
    """Portraits a second of one process, people and scenes changing as in a dataset."""
    rng, small = np.random.default_rng(0), PortraitRenderer(192)
    people = [heads.load_valid(name) for name in heads.valid_people()[:3]]
    head, count = people[0], 0
    small.render(head, random_scene(head, rng))
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        if count % 8 == 0:
            head = heads.reshape(people[count // 8 % 3], rng)
        small.render(head, random_scene(head, rng))
        count += 1
    return count / (time.perf_counter() - start)


@pytest.mark.data
@pytest.mark.slow
def test_two_processes_render_sixty_portraits_a_second(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("LP_NUM_THREADS", "0"), ("OPENBLAS_NUM_THREADS", "1")):  # as tools/render_dataset does
        monkeypatch.setenv(name, count)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rates = pool.map(_render_for, [4.0, 4.0], chunksize=1)
    assert sum(rates) >= 60
