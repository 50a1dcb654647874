"""What an avatar's triangles are drawn with: the shaders, and a surface's buffers and state on the graphics device."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freeavatar.errors import RigError
from freeavatar.types import Image, Vector
from freeavatar_renderer import gl
from freeavatar_renderer.model import Primitive
from freeavatar_renderer.morphing import Morpher

Matrix = NDArray[np.float64]

_MANY: Final = 2000
"""Triangles that keep a software driver busy while the next surface is prepared."""

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


class Surface:
    """A primitive on the graphics device.

    Args:
        primitive: the triangles.
        node: where they are in the model.
        turned: of each node of the model, the nearest one at or above it that turns, or -1.
        texture: the material's picture, from :func:`upload`; None for a material without.

    Raises:
        RigError: a skin follows more than four turning nodes.
    """

    def __init__(self, primitive: Primitive, node: int, turned: NDArray[np.int64], texture: Any) -> None:
        ctx = gl.context()
        self.node, self.material, self._texture = node, primitive.material, texture
        self.changes = bool(primitive.morphs)
        """Morph targets move it."""
        self._morpher, self._many = Morpher(primitive), len(primitive.faces) > _MANY
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

    def draw(self, places: Sequence[Matrix], look: Mapping[str, Vector]) -> None:
        """Draw into the current target.

        Args:
            places: (4, 4) from the surface's coordinates to the camera's; of a skin, four, one for each node that it follows.
            look: by property of the material, (1 + K,) the sum of amounts, then of amounts times the K numbers that it becomes.
        """
        ctx, program, material = gl.context(), self.program, self.material
        blend = material.alpha == "BLEND"
        ctx.enable_only(ctx.DEPTH_TEST | (0 if material.double_sided else ctx.CULL_FACE) | (ctx.BLEND if blend else 0))
        ctx.fbo.depth_mask = not blend
        if self._texture is not None:
            self._texture.use()
            program["shift"].value = (*_blend((1.0, 1.0), look.get("scale")), *_blend((0.0, 0.0), look.get("offset")))
        program["camera_from_part"].write(b"".join(map(columns, places)))
        program["colour"].value = _blend(material.colour, look.get("colour"))
        program["emissive"].value = _blend(material.emissive, look.get("emissive"))
        program["metallic"].value = material.metallic
        program["roughness"].value = material.roughness
        if material.alpha == "MASK":
            program["cutoff"].value = material.cutoff
        self._array.render()
        if self._many:
            gl.flush()

    def release(self) -> None:
        for resource in (self._array, self._moving, self._fixed, self._faces):
            resource.release()


def upload(picture: Image) -> Any:
    """A picture (H, W, 4) of sRGB and alpha as a texture that shaders read."""
    ctx = gl.context()
    texture = ctx.texture((picture.shape[1], picture.shape[0]), 4, _ROOTS[np.arange(4), picture].tobytes())
    texture.build_mipmaps()
    # Blending two levels costs software a tenth of its time, and changes a picture by less than 0.1 of 255 levels.
    texture.filter = (ctx.LINEAR_MIPMAP_NEAREST, ctx.LINEAR)
    return texture


def columns(matrix: Matrix) -> bytes:
    """A (4, 4) matrix as shaders take it."""
    return matrix.T.astype("f4").tobytes()


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
