"""A synthetic person in front of a camera: head, expression, pose and light -> pixels, by OpenGL off screen."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freeavatar import rotation
from freeavatar.types import Image
from freeavatar_renderer import gl
from freeavatar_renderer.heads import Floats, Head, Part
from freeavatar_renderer.morphing import vertex_normals

_VERTEX = """#version 330
in vec3 position; in vec3 normal; in vec2 uv;
uniform mat4 clip_from_head; uniform mat3 camera_from_head;
out vec3 n; out vec2 t; out vec3 h;
void main() { gl_Position = clip_from_head * vec4(position, 1); n = camera_from_head * normal; t = uv; h = position; }"""
_FRAGMENT = """#version 330
in vec3 n; in vec2 t; in vec3 h;
uniform sampler2D skin; uniform vec3 key_direction, key, fill, sky, ground, tint, mouth;
uniform float shine, mouth_radius, mouth_light, toon;
out vec4 colour;
float stepped(float v) { return toon > 0.0 ? floor(v * toon + 0.5) / toon : v; }
void main() {
    vec3 albedo = pow(texture(skin, t).rgb, vec3(2.2)) * tint;
    vec3 m = normalize(n); if (!gl_FrontFacing) m = -m;
    float lit = max(dot(m, key_direction), 0.0), other = max(dot(m, normalize(vec3(-key_direction.x, 0.2, 0.6))), 0.0);
    vec3 light = mix(ground, sky, stepped(0.5 + 0.5 * m.y)) + key * stepped(lit) + fill * stepped(other);
    float glint = stepped(pow(max(reflect(-key_direction, m).z, 0.0), 24.0)) * shine;
    // Little light gets into the mouth.
    float depth = clamp(1.0 - (h.z - mouth.z) / mouth_radius, 0.0, 1.0);
    vec3 seen = albedo * light * mix(1.0, mouth_light, mouth_radius > 0.0 ? depth : 0.0) + key * glint;
    colour = vec4(pow(clamp(seen, 0.0, 1.0), vec3(1.0 / 2.2)), 1);
}"""


@dataclass(frozen=True)
class Scene:
    """Everything about one portrait but the person.

    Attributes:
        weights: (K,) expression weights of the head's family.
        gaze: yaw, pitch of both eyes relative to the head, radians.
        pose: yaw, pitch, roll of the head, radians.
        offset: (3,) metres that the head's centre lies beside the optical axis.
        fov: vertical field of view in radians.
        height: metres that the image covers at the head's distance.
        key_direction: (3,) unit vector to the key light, camera frame.
        key, fill, sky, ground: RGB light.
        tint: RGB factor on all albedo.
        shine: strength of the highlight.
        mouth_light: share of the light that reaches the back of the mouth.
        toon: steps of the light in cel shading; 0 is smooth.
        background: RGB in 0..1, or an (S, S, 3) uint8 picture.
    """

    weights: Floats
    gaze: tuple[float, float] = (0.0, 0.0)
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    fov: float = 0.35
    height: float = 0.30
    key_direction: tuple[float, float, float] = (0.3, 0.4, 0.87)
    key: tuple[float, float, float] = (0.8, 0.8, 0.8)
    fill: tuple[float, float, float] = (0.1, 0.1, 0.1)
    sky: tuple[float, float, float] = (0.4, 0.4, 0.4)
    ground: tuple[float, float, float] = (0.2, 0.2, 0.2)
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shine: float = 0.05
    mouth_light: float = 0.25
    toon: int = 0
    background: tuple[float, float, float] | Image = (0.4, 0.45, 0.5)


def place(head: Head, scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (3, 3) and translation (3,) that take the head's own coordinates to the camera's."""
    turn = rotation.matrix(*scene.pose)
    # The middle of the face: a little below and behind the eyes.
    centre = head.eyes.mean(0).astype(np.float64) - [0, 0.45 * head.eye_distance, 0.25 * head.eye_distance]
    distance = scene.height / (2 * np.tan(scene.fov / 2))
    return turn, -turn @ centre + np.asarray(scene.offset) - [0, 0, distance]


def _shaped(part: Part, weights: Floats) -> Floats:
    """(V, 3) vertices of a part under expression weights."""
    if part.morphs is None:
        return part.vertices
    used = np.flatnonzero(weights)
    # Only the weights in use: most are zero, and the displacements are stored in half precision.
    return np.asarray(part.vertices + np.tensordot(weights[used], part.morphs[used].astype(np.float32), 1), np.float32)


class _Mesh:
    """A part on the graphics device; holds the part, so that its ``id`` is not given to another."""

    def __init__(self, program: Any, data: Floats, part: Part) -> None:
        ctx = gl.context()
        self.part = part
        self._buffers = (ctx.buffer(data.tobytes()), ctx.buffer(part.faces.tobytes()))
        self._array = ctx.vertex_array(program, [(self._buffers[0], "3f 3f 2f", "position", "normal", "uv")], self._buffers[1])

    def draw(self) -> None:
        self._array.render()

    def release(self) -> None:
        for resource in (self._array, *self._buffers):
            resource.release()


class PortraitRenderer:
    """Draws portraits of one size.

    Args:
        size: side of the square image in pixels.
        samples: samples a pixel; training renders large and shrinks in the crop instead, which costs a third.
    """

    def __init__(self, size: int = 224, samples: int = 0) -> None:
        self._ctx = gl.context()
        self._program: Any = self._ctx.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._target = gl.Target(size, size, samples)
        self._textures: dict[int, tuple[Any, Image]] = {}
        self._still: dict[int, _Mesh] = {}
        self.size = size

    def _bind(self, head: Head, part: Part) -> None:
        pixels = head.textures[part.skin] if isinstance(part.skin, str) else np.array([[part.skin]], np.uint8)
        key = id(pixels) if isinstance(part.skin, str) else hash(part.skin)
        if key not in self._textures:
            if len(self._textures) > 24:
                for texture, _ in self._textures.values():
                    texture.release()
                self._textures.clear()
            texture = self._ctx.texture((pixels.shape[1], pixels.shape[0]), 3, np.ascontiguousarray(pixels).tobytes(), alignment=1)
            texture.build_mipmaps()
            # The array is kept beside its texture, so that its id is not given to another.
            self._textures[key] = (texture, pixels)
        self._textures[key][0].use()

    def render(self, head: Head, scene: Scene) -> Image:
        """(size, size, 3) RGB uint8 portrait."""
        ctx, program = self._ctx, self._program
        turn, shift = place(head, scene)
        near, far, f = 0.05, 10.0, 1 / np.tan(scene.fov / 2)
        clip = np.array([[f, 0, 0, 0], [0, f, 0, 0], [0, 0, (near + far) / (near - far), 2 * near * far / (near - far)], [0, 0, -1, 0]])
        view = np.eye(4)
        view[:3, :3], view[:3, 3] = turn, shift
        for name in ("key_direction", "key", "fill", "sky", "ground", "shine", "mouth_light", "toon"):
            program[name].value = getattr(scene, name)
        mouth = head.eyes.mean(0) - [0, 1.05 * head.eye_distance, -0.15 * head.eye_distance]
        program["mouth"].value = tuple(float(v) for v in mouth)
        plain = isinstance(scene.background, tuple)
        self._target.begin(scene.background if plain else (0.0, 0.0, 0.0))  # type: ignore[arg-type]
        if not plain:
            self._backdrop(np.asarray(scene.background, np.uint8))
        ctx.enable(ctx.DEPTH_TEST)
        eye_turn = rotation.matrix(scene.gaze[0], scene.gaze[1], 0)
        for part in head.parts:
            self._bind(head, part)
            inside = part.name.startswith(("teeth", "gums", "mouth"))
            program["mouth_radius"].value = 0.5 * head.eye_distance if inside else 0.0
            program["tint"].value = (1.0, 1.0, 1.0) if part.name.startswith(("teeth", "eye")) else scene.tint
            own = np.eye(4)
            if part.name in ("eye_left", "eye_right"):
                pivot = head.eyes[0 if part.name == "eye_left" else 1].astype(np.float64)
                own[:3, :3], own[:3, 3] = eye_turn, pivot - eye_turn @ pivot
            program["clip_from_head"].write((clip @ view @ own).T.astype("f4").tobytes())
            program["camera_from_head"].write((turn @ own[:3, :3]).T.astype("f4").tobytes())
            if part.morphs is None:
                self._unchanging(part).draw()
            else:
                mesh = self._upload(part, _shaped(part, scene.weights))
                mesh.draw()
                mesh.release()
        return self._target.read()

    def _upload(self, part: Part, vertices: Floats) -> "_Mesh":
        data = np.concatenate([vertices, vertex_normals(vertices, part.faces), part.uv], axis=1, dtype=np.float32)
        return _Mesh(self._program, data, part)

    def _unchanging(self, part: Part) -> "_Mesh":
        """The mesh of a part without morphs, uploaded once."""
        if id(part) not in self._still:
            if len(self._still) > 64:
                for mesh in self._still.values():
                    mesh.release()
                self._still.clear()
            self._still[id(part)] = self._upload(part, part.vertices)
        return self._still[id(part)]

    def _backdrop(self, picture: Image) -> None:
        """Draw a picture behind everything: a full-screen triangle pair at the far plane."""
        ctx = self._ctx
        program = _backdrop_program()
        texture = ctx.texture((picture.shape[1], picture.shape[0]), 3, np.ascontiguousarray(picture).tobytes(), alignment=1)
        texture.use()
        ctx.disable(ctx.DEPTH_TEST)
        array = ctx.vertex_array(program, [])
        array.render(vertices=3)
        array.release()
        texture.release()


@functools.cache
def _backdrop_program() -> Any:
    return gl.context().program(
        vertex_shader="#version 330\nout vec2 t; void main() { vec2 p = vec2(gl_VertexID == 1 ? 3 : -1, gl_VertexID == 2 ? 3 : -1);"
        " t = vec2(0.5 + 0.5 * p.x, 0.5 - 0.5 * p.y); gl_Position = vec4(p, 0.999, 1); }",
        fragment_shader="#version 330\nin vec2 t; uniform sampler2D picture; out vec4 c; void main() { c = texture(picture, t); }",
    )
