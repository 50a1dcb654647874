"""The picture of the iris of the rig ``anime``, painted by program."""

from typing import Final

import cv2
import numpy as np

from solids import Array, smoothstep

SIZE: Final = 256
_OVERSAMPLED: Final = 3

_TOP, _MIDDLE, _BOTTOM = np.array([[0.05, 0.13, 0.30], [0.05, 0.46, 0.62], [0.42, 0.93, 0.86]])
_RIM, _PUPIL, _LIGHT = np.array([[0.03, 0.06, 0.18], [0.02, 0.04, 0.12], [1.0, 1.0, 1.0]])


def iris() -> bytes:
    """A PNG of the iris, sRGB, over the whole square; the disc that carries it cuts the ellipse."""
    n = SIZE * _OVERSAMPLED
    x, y = np.meshgrid((np.arange(n) + 0.5) / n * 2 - 1, 1 - (np.arange(n) + 0.5) / n * 2)
    radius, angle = np.hypot(x, y), np.arctan2(x, y)
    down = ((1 - y) / 2)[..., None]
    colour = np.where(down < 0.5, _mix(_TOP, _MIDDLE, smoothstep(0.05, 0.5, down)), _mix(_MIDDLE, _BOTTOM, smoothstep(0.5, 0.95, down)))
    # Rays around the pupil and a glow in the lower half, like light that has crossed the eye.
    rays = (0.5 + 0.5 * np.sin(angle * 34 + 2.2 * np.sin(angle * 5))) * smoothstep(0.42, 0.62, radius) * smoothstep(0.95, 0.72, radius)
    colour = colour * (1 - 0.16 * rays[..., None])
    glow = np.exp(-((x / 0.62) ** 2) - ((y + 0.62) / 0.24) ** 2)
    colour = _mix(colour, np.array([0.78, 1.0, 0.93]), 0.62 * glow[..., None])
    colour = _mix(colour, _RIM, 0.92 * smoothstep(0.80, 0.93, radius)[..., None] * (0.72 + 0.28 * smoothstep(-0.9, 0.2, y))[..., None])
    pupil = np.hypot(x / 0.36, (y - 0.02) / 0.42)
    colour = _mix(colour, _PUPIL, smoothstep(1.06, 0.94, pupil)[..., None])
    colour = _mix(colour, np.array([0.16, 0.50, 0.66]), 0.55 * (smoothstep(0.9, 0.6, pupil) * smoothstep(0.1, -0.35, y))[..., None])
    colour = _mix(colour, _RIM, 0.55 * smoothstep(0.40, 0.95, y)[..., None])  # the shadow of the lid
    for at_x, at_y, wide, high, turn, share in (
        (-0.34, 0.42, 0.27, 0.21, 0.5, 1.0), (0.36, -0.36, 0.13, 0.11, 0.0, 0.95), (-0.06, 0.66, 0.08, 0.06, 0.3, 0.8),
    ):  # fmt: skip
        c, s = np.cos(turn), np.sin(turn)
        u, v = (c * (x - at_x) + s * (y - at_y)) / wide, (-s * (x - at_x) + c * (y - at_y)) / high
        colour = _mix(colour, _LIGHT, share * smoothstep(1.06, 0.94, np.hypot(u, v))[..., None])
    small = colour.reshape(SIZE, _OVERSAMPLED, SIZE, _OVERSAMPLED, 3).mean(axis=(1, 3))
    done, data = cv2.imencode(".png", np.round(small[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise RuntimeError("the iris could not be encoded as PNG")
    return data.tobytes()


def _mix(a: Array, b: Array, share: Array | float) -> Array:
    return np.asarray(a + (b - a) * share)
