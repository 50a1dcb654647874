"""An avatar on the screen: a rig's values to pixels, by OpenGL off screen. This picture is the ground truth of training."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit, rotation
from freeavatar.errors import RenderError, RigError
from freeavatar.rig import Rig
from freeavatar.types import Image, Vector
from freeavatar_renderer import gl
from freeavatar_renderer.glb import load_glb
from freeavatar_renderer.model import Model
from freeavatar_renderer.surface import Matrix, Surface, columns, upload

FIELD_OF_VIEW: Final = 0.35
"""Radians, vertical; a portrait lens."""
STILL: Final = 4
"""Samples a pixel of pictures that nobody waits for."""
BACKGROUND: Final = (0.78, 0.81, 0.85)


class AvatarRenderer:
    """Draws one avatar.

    Args:
        rig: the avatar.
        width, height: pixels.
        samples: points a pixel that are drawn, on average; for smooth edges.
        background: sRGB colour in 0..1.

    Raises:
        RigError: the model is damaged, lacks a morph target or node that the rig.toml names, or has a skin that follows more
            than four turns or a node of scale 0.
        MissingExtraError, RenderError: no OpenGL.
    """

    def __init__(
        self, rig: Rig, width: int = 512, height: int = 512, samples: float = 2, background: tuple[float, float, float] = BACKGROUND
    ) -> None:
        model = load_model(rig)
        self.rig, self.background, self._model = rig, background, model
        self._ctx = gl.context()
        self._target = gl.Target(width, height, samples)
        pictures = [p.material.texture for node in model.nodes for p in node.primitives]
        self._textures = {id(picture): upload(picture) for picture in pictures if picture is not None}
        turned = _turned_by(model, {control.node for control in rig.controls if control.node})
        surfaces = [
            Surface(p, i, turned, self._textures.get(id(p.material.texture))) for i, node in enumerate(model.nodes) for p in node.primitives
        ]
        try:
            self._unplaced = {i: np.linalg.inv(model.places[i]) for surface in surfaces for i in surface.follows if i >= 0}
        except np.linalg.LinAlgError:
            raise RigError(f"{rig.model}: has a skin that follows a node of scale 0; export it with other scales") from None
        # What one can see through comes last, over what lies behind it; what never changes first, for threads to draw while the rest
        # is being shaped.
        self._surfaces = sorted(surfaces, key=lambda s: (("OPAQUE", "MASK", "BLEND").index(s.material.alpha), s.changes))

    def render(self, values: Vector, orbit: tuple[float, float] = (0.0, 0.0)) -> Image:
        """A picture of the avatar.

        Args:
            values: (N,) control values in the ranges of the rig.toml.
            orbit: yaw, pitch in radians by which the camera goes around the avatar: positive to the subject's left, and up.

        Returns:
            (height, width, 3) RGB uint8.

        Raises:
            RenderError: the values are not N finite numbers.
        """
        values = np.asarray(values, np.float32)
        if values.shape != (len(self.rig.controls),) or not np.isfinite(values).all():
            raise RenderError(f"rig {self.rig.name!r} takes {len(self.rig.controls)} finite values, got {values.shape}: {values}"[:300])
        ctx = self._ctx
        weights, turns, looks = self.rig.morph_weights(values), self._turns(values), self._looks(values)
        camera, clip = _camera(self.rig, orbit, self._target.size[0] / self._target.size[1])
        # By which a pixel's place tells from where it is seen.
        lens = 1 / clip[0, 0], 1 / clip[1, 1], 2 / clip[1, 1] / self._target.drawn_size[1]
        for program in {surface.program for surface in self._surfaces}:
            program["clip_from_camera"].write(columns(clip))
            program["lens"].value = lens
        places: list[Matrix] = []
        for node in self._model.nodes:
            local = node.matrix @ turns[node.name] if node.name in turns else node.matrix
            places.append((places[node.parent] if node.parent >= 0 else camera) @ local)
        self._target.begin(self.background)
        for surface in self._surfaces:
            surface.shape(weights, self._model.nodes[surface.node].weights)
            surface.draw(self._parts(surface, camera, places), looks.get(surface.material.name, {}))
        ctx.fbo.depth_mask = True
        ctx.enable_only(ctx.DEPTH_TEST)
        return self._target.read()

    def release(self) -> None:
        """Free what the renderer holds on the graphics device."""
        for resource in (*self._surfaces, *self._textures.values(), self._target):
            resource.release()

    def _parts(self, surface: Surface, camera: Matrix, places: Sequence[Matrix]) -> list[Matrix]:
        """(4, 4) from a surface's coordinates to the camera's; of a skin, four, one for each of the nodes that it follows."""
        moves = [camera if i < 0 else places[i] @ self._unplaced[i] for i in surface.follows]
        return moves + [moves[0]] * (4 - len(moves)) if moves else [places[surface.node]]

    def _turns(self, values: Vector) -> dict[str, Matrix]:
        """(4, 4) rotation of each node that controls turn."""
        angles: dict[str, dict[str, float]] = {}
        for control, value in zip(self.rig.controls, values, strict=True):
            if control.node:
                turn = angles.setdefault(control.node, {"x": 0.0, "y": 0.0, "z": 0.0})
                turn[control.axis] += control.acting(float(value)) * control.gain
        return {name: _rotation(turn["y"], turn["x"], turn["z"]) for name, turn in angles.items()}

    def _looks(self, values: Vector) -> dict[str, dict[str, Vector]]:
        """By material and property: (1 + K,) the sum of amounts, then of amounts times the K numbers that it becomes."""
        looks: dict[str, dict[str, Vector]] = {}
        for control, value in zip(self.rig.controls, values, strict=True):
            amount = min(max(control.acting(float(value)), 0.0), 1.0)
            for change in control.materials if amount else ():
                look = looks.setdefault(change.material, {})
                for key in ("colour", "emissive", "scale", "offset"):
                    if target := getattr(change, key):
                        row = np.array([amount, *(amount * v for v in target)], np.float32)
                        look[key] = look.get(key, np.zeros_like(row)) + row
        return looks


def load_model(rig: Rig) -> Model:
    """The rig's model, with all that its rig.toml names. Needs no OpenGL.

    Raises:
        RigError: the model is damaged, or lacks a morph target or node that the rig.toml names.
    """
    model = load_glb(rig.model)
    names = [node.name for node in model.nodes]
    for control in rig.controls:
        if missing := [f"morph target {m!r}" for m in control.morphs if m not in model.morphs]:
            raise RigError(f"{rig.model}: has no {missing[0]}, which control {control.name!r} of its rig.toml drives")
        if control.node and control.node not in names:
            raise RigError(f"{rig.model}: has no node {control.node!r}, which control {control.name!r} of its rig.toml turns")
    if absent := [c.morph for c in rig.correctives if c.morph not in model.morphs]:
        raise RigError(f"{rig.model}: has no morph target {absent[0]!r}, which a corrective of its rig.toml drives")
    return model


def contact_sheet(
    rig: Rig,
    expressions: Mapping[str, Mapping[str, float]],
    size: int = 256,
    columns: int = 0,
    orbits: Sequence[tuple[float, float]] = ((0.0, 0.0),),
    head_pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Image:
    """Labelled pictures of several expressions.

    Args:
        rig: the avatar.
        expressions: ARKit weights by label; eyeLook weights become gaze.
        size: side of one picture in pixels.
        columns: pictures a row; 0 makes the sheet about square.
        orbits: camera positions; every expression is drawn from each.
        head_pose: yaw, pitch, roll in radians.

    Returns:
        (H, W, 3) RGB uint8.

    Raises:
        RigError: an expression names what ARKit does not have.
    """
    renderer = AvatarRenderer(rig, size, size, STILL)
    tiles: list[Image] = []
    for label, shapes in expressions.items():
        if unknown := shapes.keys() - arkit.INDEX.keys():
            raise RigError(f"expression {label!r} names {', '.join(sorted(unknown))}, which ARKit does not have")
        values = rig.pose(rig.from_arkit(arkit.weights(shapes)), np.array(head_pose, np.float32), _gaze(shapes))
        tiles += [_labelled(renderer.render(values, orbit), label) for orbit in orbits]
    renderer.release()
    return _sheet(tiles, columns or (len(orbits) if len(orbits) > 1 else 0))


def control_sheet(rig: Rig, labels: Mapping[str, str], size: int = 160) -> Image:
    """Labelled pictures of the face at rest, and of single controls at the end of their range.

    Args:
        rig: the avatar.
        labels: what to write over the picture of each control, by the control's name.
        size: side of one picture in pixels.

    Returns:
        (H, W, 3) RGB uint8.
    """
    renderer = AvatarRenderer(rig, size, size, STILL)
    tiles = [_labelled(renderer.render(rig.neutral()), "neutral")]
    for name, label in labels.items():
        values, at = rig.neutral(), rig.names.index(name)
        values[at] = max(rig.maximum[at], rig.minimum[at], key=abs)
        tiles.append(_labelled(renderer.render(values), label))
    renderer.release()
    return _sheet(tiles)


def _labelled(tile: Image, label: str) -> Image:
    import cv2

    size = len(tile)
    # What is too wide is written smaller, down to half of the size.
    scale = size / 520 * min(1, max(0.5, 0.92 * size / max(cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, size / 520, 1)[0][0], 1)))
    cv2.putText(tile, label, (size // 24, size // 12), cv2.FONT_HERSHEY_SIMPLEX, scale, (40, 44, 52), max(size // 256, 1), cv2.LINE_AA)
    return tile


def _sheet(tiles: Sequence[Image], columns: int = 0) -> Image:
    """Tiles of one size in rows; 0 columns make the sheet about square."""
    columns = columns or int(np.ceil(np.sqrt(len(tiles))))
    rows = [*tiles, *[np.full_like(tiles[0], 255)] * (-len(tiles) % columns)]
    return np.concatenate([np.concatenate(rows[i : i + columns], axis=1) for i in range(0, len(rows), columns)])


def _gaze(shapes: Mapping[str, float]) -> Vector:
    """(2,) yaw, pitch in radians of eyeLook weights, the mean of both eyes."""

    def mean(*names: str) -> float:
        return sum(shapes.get(name, 0.0) for name in names) / len(names)

    left, right = mean("eyeLookOutLeft", "eyeLookInRight"), mean("eyeLookInLeft", "eyeLookOutRight")
    down, up = mean("eyeLookDownLeft", "eyeLookDownRight"), mean("eyeLookUpLeft", "eyeLookUpRight")
    return np.array([(left - right) * arkit.EYE_LOOK_FULL_YAW, (down - up) * arkit.EYE_LOOK_FULL_PITCH], np.float32)


def _turned_by(model: Model, names: set[str]) -> NDArray[np.int64]:
    """(N,) of each node, the nearest one at or above it of those names, or -1."""
    turned = np.full(len(model.nodes), -1)
    for i, node in enumerate(model.nodes):
        turned[i] = i if node.name in names else turned[node.parent] if node.parent >= 0 else -1
    return turned


def _rotation(yaw: float, pitch: float, roll: float) -> Matrix:
    """(4, 4) Ry(yaw) Rx(pitch) Rz(roll)."""
    turn = np.eye(4)
    turn[:3, :3] = rotation.matrix(yaw, pitch, roll)
    return turn


def _camera(rig: Rig, orbit: tuple[float, float], aspect: float) -> tuple[Matrix, Matrix]:
    """(4, 4) world to camera and (4, 4) camera to clip space."""
    f = 1 / np.tan(FIELD_OF_VIEW / 2)
    distance = rig.camera_height / 2 * f
    centre, back = np.eye(4), np.eye(4)
    centre[:3, 3] = -np.asarray(rig.camera_target)
    back[2, 3] = -distance
    view = back @ _rotation(orbit[0], -orbit[1], 0).T @ centre
    near, far = 0.1 * distance, 10 * distance
    depth = [[0, 0, (near + far) / (near - far), 2 * near * far / (near - far)], [0, 0, -1, 0]]
    return view, np.array([[f / aspect, 0, 0, 0], [0, f, 0, 0], *depth])
