"""The crop: a similarity with an exact inverse, which follows the face when the picture turns, grows or moves."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freeavatar.face.alignment import INDICES, align, crop_matrix, inverse, similarity, transform, warp
from freeavatar.face.landmarks import COUNT

points = arrays(np.float64, (9, 2), elements=st.floats(-500, 500)).filter(lambda p: np.ptp(p, axis=0).min() > 1)
angles = st.floats(-np.pi, np.pi)
scales = st.floats(0.05, 20)
shifts = arrays(np.float64, (2,), elements=st.floats(-1000, 1000))


def matrix_of(angle: float, scale: float, shift: np.ndarray) -> np.ndarray:
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def chained(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The transform that applies ``first``, then ``second``."""
    return np.vstack([second, [0, 0, 1]])[:2] @ np.vstack([first, [0, 0, 1]])


def face_landmarks(seed: int = 0) -> np.ndarray:
    """Landmarks whose crop points form a plausible, imperfect face around (300, 200)."""
    random = np.random.default_rng(seed)
    landmarks = random.normal(0, 1, (COUNT, 3))
    ideal = {33: (0.29, 0.365), 133: (0.43, 0.37), 263: (0.71, 0.365), 362: (0.57, 0.37), 168: (0.5, 0.35)}
    ideal |= {6: (0.5, 0.4), 98: (0.44, 0.58), 327: (0.56, 0.58), 2: (0.5, 0.6)}
    assert set(ideal) == set(INDICES)
    for index, place in ideal.items():
        landmarks[index, :2] = np.array(place) * 120 + [240, 140] + random.normal(0, 2, 2)
    return landmarks


@given(points, angles, scales, shifts)
def test_a_similarity_is_recovered_exactly(source: np.ndarray, angle: float, scale: float, shift: np.ndarray) -> None:
    matrix = matrix_of(angle, scale, shift)
    found = similarity(source, source @ matrix[:, :2].T + matrix[:, 2])
    np.testing.assert_allclose(found[:, :2], matrix[:, :2], atol=1e-7 * scale)
    np.testing.assert_allclose(found[:, 2], matrix[:, 2], atol=1e-4 * max(1, scale))


@given(points, points)
def test_the_fit_is_a_similarity_without_reflection(source: np.ndarray, target: np.ndarray) -> None:
    linear = similarity(source, target)[:, :2]
    np.testing.assert_allclose(linear.T @ linear, np.linalg.det(linear) * np.eye(2), atol=1e-9 * max(1, float(np.abs(linear).max()) ** 2))
    assert np.linalg.det(linear) >= 0


@given(points, points, angles, scales, shifts)
def test_no_other_similarity_fits_better(source: np.ndarray, target: np.ndarray, angle: float, scale: float, shift: np.ndarray) -> None:
    def error(matrix: np.ndarray) -> float:
        return float(np.square(source @ matrix[:, :2].T + matrix[:, 2] - target).sum())

    assert error(similarity(source, target)) <= error(matrix_of(angle, scale, shift)) * (1 + 1e-9) + 1e-9


def test_coinciding_points_have_no_similarity() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.ones((9, 2)), np.ones((9, 2)))


@given(angles, scales, shifts, points)
def test_the_inverse_brings_points_back(angle: float, scale: float, shift: np.ndarray, crop: np.ndarray) -> None:
    matrix = matrix_of(angle, scale, shift)
    back = transform(transform(crop, matrix), inverse(matrix))
    np.testing.assert_allclose(back, crop, atol=0.02 * max(1, 1 / scale))


@given(angles, st.floats(0.2, 5), shifts, st.sampled_from([64, 128, 192]))
def test_the_crop_follows_roll_scale_and_translation_of_the_picture(angle: float, scale: float, shift: np.ndarray, size: int) -> None:
    landmarks = face_landmarks()
    moved_by = matrix_of(angle, scale, shift)
    moved = landmarks.copy()
    moved[:, :2] = landmarks[:, :2] @ moved_by[:, :2].T + moved_by[:, 2]
    np.testing.assert_allclose(chained(crop_matrix(moved, size), moved_by), crop_matrix(landmarks, size), atol=2e-2)


@given(st.integers(0, 99))
def test_landmarks_off_the_template_do_not_move_the_crop(seed: int) -> None:
    landmarks = face_landmarks()
    others = np.random.default_rng(seed).normal(0, 100, landmarks.shape)
    others[list(INDICES), :2] = landmarks[list(INDICES), :2]
    np.testing.assert_array_equal(crop_matrix(others, 128), crop_matrix(landmarks, 128))


def test_a_mirrored_face_gives_the_mirrored_crop() -> None:
    """Otherwise a flip in training would shift every face by a pixel."""
    random = np.random.default_rng(1)
    image = cv2.GaussianBlur(random.integers(0, 255, (400, 600, 3), np.uint8), (0, 0), 3)
    landmarks, partner = face_landmarks(), {33: 263, 133: 362, 98: 327}
    partner |= {b: a for a, b in partner.items()}
    mirrored = landmarks.copy()
    for index in INDICES:
        mirrored[partner.get(index, index), :2] = [599 - landmarks[index, 0], landmarks[index, 1]]
    straight, _ = align(image, landmarks, 128)
    flipped, _ = align(np.ascontiguousarray(image[:, ::-1]), mirrored, 128)
    assert np.abs(flipped[:, ::-1].astype(int) - straight).max() <= 2


def wave(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(..., 3) the colours of a smooth picture at any place, 28..228."""
    return np.stack([128 + 100 * np.sin(x / 37 + k) * np.cos(y / 41 - k) for k in range(3)], axis=-1)


def waves(height: int, width: int) -> np.ndarray:
    """The picture of :func:`wave`."""
    return wave(*np.meshgrid(np.arange(width), np.arange(height))).round().astype(np.uint8)


@settings(max_examples=60)
@given(st.integers(300, 900), st.integers(300, 900), st.floats(0.07, 1.2), st.floats(-0.6, 0.6))
def test_a_crop_shows_what_lies_under_it_at_every_scale(height: int, width: int, scale: float, angle: float) -> None:
    """Also when it is cut from a halved image: no shift by a part of a pixel."""
    size = 80
    turn = matrix_of(angle, scale, np.zeros(2))
    matrix = np.column_stack([turn[:, :2], (size - 1) / 2 - turn[:, :2] @ [width / 2, height / 2]])
    crop = warp(waves(height, width), matrix, size)
    ys, xs = np.mgrid[:size, :size]
    under = transform(np.stack([xs, ys], axis=-1).reshape(-1, 2), inverse(matrix))
    inside = ((under > 8 / scale) & (under < np.array([width, height]) - 1 - 8 / scale)).all(axis=1)
    if inside.sum() < 50:
        return
    x, y = under[inside].T.astype(float)
    # Shrinking blurs the waves a little, evenly; a shift shows as a difference that follows the slope.
    slopes = [(wave(x + dx, y + dy) - wave(x - dx, y - dy)).ravel() / 2 for dx, dy in ((1, 0), (0, 1))]
    difference = (crop.reshape(-1, 3)[inside] - wave(x, y)).ravel()
    shift = np.linalg.lstsq(np.column_stack([*slopes, np.ones(difference.size)]), difference, rcond=None)[0][:2]
    assert np.abs(shift).max() * scale < 0.1, f"shifted by {shift * scale} crop pixels"


def test_the_crop_is_a_square_of_the_asked_size() -> None:
    image, matrix = align(waves(400, 600), face_landmarks(), 96)
    assert image.shape == (96, 96, 3) and image.dtype == np.uint8
    assert matrix.shape == (2, 3) and matrix.dtype == np.float32


def test_outside_the_frame_the_border_is_repeated() -> None:
    image = np.full((50, 50, 3), 77, np.uint8)
    assert (warp(image, matrix_of(0.3, 0.4, np.array([200.0, -300.0])), 32) == 77).all()
