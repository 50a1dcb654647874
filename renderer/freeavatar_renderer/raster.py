"""An avatar on the screen: a rig's values to pixels, by OpenGL off screen. This picture is the ground truth of training."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar import arkit, rotation
from freeavatar.errors import RenderError, RigError
from freeavatar.rig import Rig
from freeavatar.types import Image, Vector
from freeavatar_renderer import gl
from freeavatar_renderer.glb import Model, Primitive, load_glb
from freeavatar_renderer.morphing import Morpher

Matrix = NDArray[np.float64]

FIELD_OF_VIEW: Final = 0.35
"""Radians, vertical; a portrait lens."""
STILL: Final = 4
"""Samples a pixel of pictures that nobody waits for."""
BACKGROUND: Final = (0.78, 0.81, 0.85)

_VERTEX = """
in vec3 position; in vec3 normal; in vec4 tone;
uniform mat4 clip_from_camera;
out vec3 facing; out vec4 paint;
#ifdef SKINNED
in vec4 share; uniform mat4 camera_from_part[4];
#else
uniform mat4 camera_from_part;
#endif
#ifdef PICTURED
in vec2 uv; uniform vec4 shift; out vec2 spot;
#endif
void main() {
#ifdef SKINNED
    mat4 place = camera_from_part[0] * share.x + camera_from_part[1] * share.y
        + camera_from_part[2] * share.z + camera_from_part[3] * share.w;
#else
    mat4 place = camera_from_part;
#endif
#ifdef PICTURED
    spot = uv * shift.xy + shift.zw;
#endif
    gl_Position = clip_from_camera * (place * vec4(position, 1));
    // Avatars scale their nodes evenly, so normals turn like positions.
    facing = mat3(place) * normal; paint = tone;
}"""

# A bright room: soft sky and floor, a large window at the upper left, a light from behind that draws the outline.
# Powers and exponentials are what software spends most of its time with, so that there are none: textures hold the square root of
# light, tones roll off by a Taylor series' inverse, and 1 / 2.2 is a sum of halves, quarters and whole powers, 0.1 of 255 levels
# off at most.
_FRAGMENT = """
in vec3 facing; in vec4 paint;
uniform vec4 colour; uniform vec3 emissive, lens; uniform float metallic, roughness;
#ifdef PICTURED
in vec2 spot; uniform sampler2D picture;
#endif
#ifdef MASKED
uniform float cutoff;
#endif
out vec4 result;
const vec3 SKY = vec3(0.60, 0.64, 0.72), FLOOR = vec3(0.26, 0.24, 0.23), KEY = vec3(0.95, 0.91, 0.84), RIM = vec3(0.50, 0.56, 0.66);
const vec3 KEY_AT = vec3(-0.466, 0.559, 0.686), RIM_AT = vec3(0.62, 0.55, -0.56);
vec3 room(vec3 r, float blur) {
    vec3 walls = mix(FLOOR, SKY, smoothstep(-0.1 - 0.9 * blur, 0.1 + 0.9 * blur, r.y + 0.15));
    float window = smoothstep(0.90 - 0.9 * blur, 0.925 + 0.3 * blur, dot(r, KEY_AT));
    return walls * 0.8 + KEY * window * (2.6 - 2.2 * blur) + RIM * smoothstep(0.6, 1.0, dot(r, RIM_AT)) * 1.2;
}
void main() {
    vec4 base = colour * paint;
#ifdef PICTURED
    vec4 t = texture(picture, spot);
    base *= vec4(t.rgb * t.rgb, t.a);
#endif
#ifdef MASKED
    if (base.a < cutoff) discard;
#endif
    vec3 n = normalize(facing), v = normalize(vec3(lens.xy - lens.z * gl_FragCoord.xy, 1));
    if (!gl_FrontFacing) n = -n;
    float edge = 1.0 - clamp(dot(n, v), 0.0, 1.0), edge2 = edge * edge;
    float key = max((dot(n, KEY_AT) + 0.25) / 1.25, 0.0);
    vec3 light = mix(FLOOR, SKY, 0.5 + 0.5 * n.y) * 0.66 + KEY * key * 0.72 + RIM * max(dot(n, RIM_AT), 0.0);
    vec3 mirror = mix(vec3(0.04), base.rgb, metallic);
    mirror += (max(vec3(1.0 - roughness), mirror) - mirror) * edge2 * edge2 * edge;
    vec3 c = base.rgb * (1.0 - metallic) * light + mirror * room(reflect(-v, n), roughness) + emissive;
    vec3 over = max(4.0 * c - 3.0, 0.0);
    c = min(c, 0.75) + 0.25 - 0.25 / (1.0 + over * (1.0 + over * (0.5 + over * (0.1667 + over * 0.0417))));
    vec3 half_c = sqrt(c);
    result = vec4(1.2301 * half_c + 0.1324 * c + sqrt(half_c) * (0.0355 - 0.3976 * half_c), base.a);
}"""


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
        self._textures = {id(picture): self._texture(picture) for picture in pictures if picture is not None}
        turned = _turned_by(model, {control.node for control in rig.controls if control.node})
        surfaces = [_Surface(p, i, turned) for i, node in enumerate(model.nodes) for p in node.primitives]
        try:
            self._unplaced = {i: np.linalg.inv(model.places[i]) for surface in surfaces for i in surface.follows if i >= 0}
        except np.linalg.LinAlgError:
            raise RigError(f"{rig.model}: has a skin that follows a node of scale 0; export it with other scales") from None
        # What one can see through comes last, over what lies behind it.
        self._surfaces = sorted(surfaces, key=lambda s: ("OPAQUE", "MASK", "BLEND").index(s.material.alpha))

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
            program["clip_from_camera"].write(_columns(clip))
            program["lens"].value = lens
        places: list[Matrix] = []
        for node in self._model.nodes:
            local = node.matrix @ turns[node.name] if node.name in turns else node.matrix
            places.append((places[node.parent] if node.parent >= 0 else camera) @ local)
        self._target.begin(self.background)
        for surface in self._surfaces:
            surface.shape(weights, self._model.nodes[surface.node].weights)
            surface.program["camera_from_part"].write(b"".join(map(_columns, self._parts(surface, camera, places))))
            self._bind(surface, looks.get(surface.material.name, {}))
            surface.draw()
        ctx.fbo.depth_mask = True
        ctx.enable_only(ctx.DEPTH_TEST)
        return self._target.read()

    def release(self) -> None:
        """Free what the renderer holds on the graphics device."""
        for resource in (*self._surfaces, *self._textures.values(), self._target):
            resource.release()

    def _parts(self, surface: "_Surface", camera: Matrix, places: Sequence[Matrix]) -> list[Matrix]:
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

    def _texture(self, picture: Image) -> Any:
        texture = self._ctx.texture((picture.shape[1], picture.shape[0]), 4, _ROOTS[np.arange(4), picture].tobytes())
        texture.build_mipmaps()
        texture.filter = (self._ctx.LINEAR_MIPMAP_LINEAR, self._ctx.LINEAR)
        return texture

    def _bind(self, surface: "_Surface", look: Mapping[str, Vector]) -> None:
        ctx, program, material = self._ctx, surface.program, surface.material
        blend = material.alpha == "BLEND"
        flags = ctx.DEPTH_TEST | (0 if material.double_sided else ctx.CULL_FACE) | (ctx.BLEND if blend else 0)
        ctx.enable_only(flags)
        ctx.fbo.depth_mask = not blend
        if material.texture is not None:
            self._textures[id(material.texture)].use()
            program["shift"].value = (*_blend((1.0, 1.0), look.get("scale")), *_blend((0.0, 0.0), look.get("offset")))
        program["colour"].value = _blend(material.colour, look.get("colour"))
        program["emissive"].value = _blend(material.emissive, look.get("emissive"))
        program["metallic"].value = material.metallic
        program["roughness"].value = material.roughness
        if material.alpha == "MASK":
            program["cutoff"].value = material.cutoff


_ROOTS: Final = np.stack([np.round(255 * (np.arange(256) / 255) ** 1.1)] * 3 + [np.arange(256)], axis=1).astype(np.uint8).T
"""(4, 256) by channel: the square root of the light that a byte of sRGB stands for, and alpha as it is."""


@functools.cache
def _program(**features: bool) -> Any:
    """The shaders for surfaces with and without some features; they stay as long as the context."""
    head = "#version 330\n" + "".join(f"#define {name.upper()}\n" for name, wanted in features.items() if wanted)
    return gl.context().program(vertex_shader=head + _VERTEX, fragment_shader=head + _FRAGMENT)


def _blend(rest: tuple[float, ...], change: Vector | None) -> tuple[float, ...]:
    """Numbers of a material on their way from rest to what controls want."""
    return rest if change is None else tuple(float(r + t - change[0] * r) for r, t in zip(rest, change[1:], strict=True))


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


class _Surface:
    """A primitive on the graphics device.

    Args:
        primitive: the triangles.
        node: where they are in the model.
        turned: of each node of the model, the nearest one at or above it that turns, or -1.
    """

    def __init__(self, primitive: Primitive, node: int, turned: NDArray[np.int64]) -> None:
        ctx = gl.context()
        self.node, self.material = node, primitive.material
        self._morpher = Morpher(primitive)
        count = len(primitive.positions)
        self.follows: list[int] = []
        """The turning nodes that a skin follows, -1 for none; empty for what is rigidly on its own node."""
        fixed = [np.ones((count, 4), np.float32) if primitive.colours is None else primitive.colours]
        names, layout = ["tone"], "4f"
        if self.material.texture is not None:
            fixed.append(np.zeros((count, 2), np.float32) if primitive.uv is None else primitive.uv)
            names, layout = [*names, "uv"], f"{layout} 2f"
        if (bones := primitive.bones) is not None:
            nearest = turned[bones.nodes]
            self.follows = np.unique(nearest[bones.weights > 0]).tolist()
            if len(self.follows) > 4:
                raise RigError(
                    f"a skin follows {len(self.follows)} turning nodes, expected at most 4; let controls of its rig.toml turn fewer"
                )
            parts = [np.where(nearest == i, bones.weights, 0).sum(axis=1) for i in self.follows]
            if parts:
                fixed.append(np.stack([*parts, *[np.zeros(count)] * (4 - len(parts))], axis=1))
                names, layout = [*names, "share"], f"{layout} 4f"
        pictured, masked = self.material.texture is not None, self.material.alpha == "MASK"
        self.program = _program(pictured=pictured, masked=masked, skinned=bool(self.follows))
        self._moving = ctx.buffer(self._morpher.rest.tobytes(), dynamic=True)
        self._fixed = ctx.buffer(np.concatenate(fixed, axis=1, dtype=np.float32).tobytes())
        self._faces = ctx.buffer(primitive.faces.tobytes())
        self._array = ctx.vertex_array(
            self.program, [(self._moving, "3f 3f", "position", "normal"), (self._fixed, layout, *names)], self._faces
        )

    def shape(self, weights: Mapping[str, float], rest: Mapping[str, float]) -> None:
        """Apply morph weights, on top of the node's rest weights."""
        total = {name: weights.get(name, 0.0) + rest.get(name, 0.0) for name in weights.keys() | rest.keys()} if rest else weights
        if (rows := self._morpher.shape(total)) is not None:
            self._moving.write(rows)

    def draw(self) -> None:
        self._array.render()

    def release(self) -> None:
        for resource in (self._array, self._moving, self._fixed, self._faces):
            resource.release()


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


def _columns(matrix: Matrix) -> bytes:
    return matrix.T.astype("f4").tobytes()
