"""The stage ``renderer`` reads pictures of any engine, refuses damaged ones, learns, goes on exactly, and is judged fairly."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from freeavatar.errors import FreeAvatarError, RenderError, SourceError, WeightsError
from freeavatar.face.alignment import warp
from freeavatar.models.expression import ExpressionEncoder
from freeavatar.network import WEIGHTS
from freeavatar.rig import ANIMATOR, Rig, load_rig
from freeavatar.train import avatar_pictures, regions, renderer
from freeavatar.train.avatar_pictures import (
    LEAST,
    WHOLE,
    Painter,
    PictureBatches,
    Pictures,
    at_rest,
    draw_values,
    read_pictures,
    render_pictures,
)
from freeavatar.train.export import load_weights
from freeavatar.train.likeness import psnr, ssim
from freeavatar.train.stages import main
from freeavatar.types import FaceCrop, Frame
from freeavatar_renderer.neural import PatchRenderer, Renderer

RIG, SIZE, COUNT = "pixel", 32, 160


def drawn(rig: Rig, values: np.ndarray, side: int = 64) -> np.ndarray:
    """A stand-in for an engine: lids and mouth are bars as wide as their controls say, brows are grey as theirs."""
    image = np.full((side, side, 3), (90, 110, 140), np.uint8)
    unit = dict(zip(rig.names, rig.normalise(values).tolist(), strict=True))
    for name, x, y in (("lidRight", 10, 20), ("lidLeft", 38, 20), ("mouthOpen", 24, 44)):
        image[y : y + 8, x : x + 16] = 40
        image[y : y + 8, x : x + round(16 * unit[name])] = (220, 60, 60)
    image[8:12, 10:54] = round(255 * unit["brows"])
    return image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and controls of a user."""
    root, rig, rng = tmp_path_factory.mktemp("user"), load_rig(RIG), np.random.default_rng(0)
    (root / "images").mkdir()
    rows = ["file," + ",".join(reversed(rig.names))]  # names decide, not places
    for i in range(COUNT):
        values = draw_values(rig, rng)
        cv2.imwrite(str(root / "images" / f"{i:03}.png"), drawn(rig, values)[..., ::-1])
        rows.append(f"{i:03}.png," + ",".join(f"{v:.6f}" for v in reversed(values.tolist())))
    (root / "controls.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Callable[[Callable[[list[str]], list[str]]], Path]:
    """The same folder with a table that was changed."""

    def change(edit: Callable[[list[str]], list[str]]) -> Path:
        root = tmp_path / "user"
        root.mkdir()
        (root / "images").symlink_to(folder / "images")
        (root / "controls.csv").write_text("\n".join(edit((folder / "controls.csv").read_text().splitlines())))
        return root

    return change


class NoFace:
    """A tracker that sees no face."""

    size = 128
    found: FaceCrop | None = None

    def __init__(self, still: bool) -> None: ...

    def track(self, frame: Frame) -> FaceCrop | None:
        return self.found

    def __enter__(self) -> "NoFace":
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "FaceTracker", NoFace)


@pytest.fixture
def graphics(monkeypatch: pytest.MonkeyPatch) -> None:
    from freeavatar_renderer import gl

    try:
        gl.context()
    except RenderError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(avatar_pictures, "SHARD", 8)


def settings(folder: Path, out: Path, **changes: object) -> renderer.RendererConfig:
    config = renderer.RendererConfig(RIG, out, pictures=folder, size=SIZE, steps=3, batch=8, threads=1)
    return replace(config, **changes)  # type: ignore[arg-type]


def test_psnr_and_ssim_of_known_pictures() -> None:
    grey, lighter = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.3)
    assert psnr(grey, lighter).item() == pytest.approx(20, abs=1e-4) and psnr(grey, grey).item() == torch.inf
    half = grey.clone()
    half[..., :8] += 0.1
    weight = torch.zeros(16, 16)
    weight[:, 8:] = 1
    assert psnr(grey, half).item() == pytest.approx(20 + 10 * np.log10(2), abs=1e-4) and psnr(grey, half, weight).item() == torch.inf
    assert ssim(grey, lighter).item() == pytest.approx((2 * 0.06 + 1e-4) / (0.04 + 0.09 + 1e-4), abs=1e-4)
    noise = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ssim(noise, noise), torch.ones(2))
    assert (ssim(noise, 1 - noise) < 0).all() and (ssim(noise, 0.5 * noise + 0.25) < 0.9).all()


def test_pictures_of_a_user_are_read_by_name_and_both_tables_say_the_same(folder: Path, tmp_path: Path) -> None:
    rig = load_rig(RIG)
    pictures = read_pictures(folder, rig, SIZE)
    assert pictures.images.shape == (COUNT, SIZE, SIZE, 3) and pictures.values.shape == (COUNT, len(rig.controls))
    expected = cv2.resize(drawn(rig, rig.denormalise(pictures.values[5])), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert np.abs(pictures.images[5].astype(int) - expected).max() <= 1
    lines = []
    for i, row in enumerate(rig.denormalise(pictures.values).tolist()):
        # What rests may be left out.
        lines.append(json.dumps({"file": f"{i:03}.png", "controls": {n: v for n, v in zip(rig.names, row, strict=True) if abs(v) > 1e-6}}))
    (tmp_path / "images").symlink_to(folder / "images")
    (tmp_path / "controls.jsonl").write_text("\n".join(lines))
    again = read_pictures(tmp_path, rig, SIZE)
    np.testing.assert_array_equal(again.images, pictures.images)
    np.testing.assert_allclose(again.values, pictures.values, atol=2e-6)


def replaced(row: int, old: str, new: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [line.replace(old, new, 1) if i == row else line for i, line in enumerate(lines)]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (replaced(0, "mouthOpen", "mouthOpn"), "line 2: rig 'pixel' has no control 'mouthOpn'; expected some of .*mouthOpen"),
        (replaced(0, "file,", "picture,"), r"the first line is .*expected file,CONTROL"),
        (replaced(0, "mouthOpen", "smile"), "each once"),
        (replaced(3, "002.png,", "002.png,1.5,"), "line 4: has 10 columns; expected 9"),
        (replaced(3, "002.png", "../002.png"), r"line 4: '../002.png' names no picture in images"),
        (replaced(3, "002.png", "002.exe"), "names no picture in images; expected a file that ends in .png"),
        (replaced(3, "002.png", "001.png"), "names '001.png' twice"),
        (replaced(3, "002.png", "absent.png"), "absent.png"),
        (lambda lines: [*lines[:5], "004.png,7" + lines[5][15:], *lines[6:]], "line 6: mouthOpen is '7.*'; expected a number from 0 to 1"),
        (lambda lines: [*lines[:5], "004.png,nan,0,0,0,0,0,0,0", *lines[6:]], "line 6: mouthOpen is 'nan'"),
        (lambda lines: [*lines[:5], "004.png,,0,0,0,0,0,0,0", *lines[6:]], "line 6: mouthOpen is ''"),
        (lambda lines: lines[:LEAST], f"has {LEAST - 1} rows; expected at least {LEAST}"),
        (lambda lines: [*lines, '"097'], "is not valid CSV"),
        (lambda lines: [], "the first line is ''"),
    ],
)  # fmt: skip
def test_a_damaged_table_is_refused_with_its_line(
    copy: Callable[[Callable[[list[str]], list[str]]], Path], edit: Callable[[list[str]], list[str]], said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        read_pictures(copy(edit), load_rig(RIG), SIZE)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: is not valid JSON"),
        ("[" * 100_000, "line 1: is not valid JSON"),
        ("[]", 'expected {"file": NAME'),
        ('{"file": "a.png"}', 'expected {"file": NAME'),
        ('{"file": "a.png", "controls": {"mouthOpen": true}}', "mouthOpen is True; expected a number"),
        ('{"file": "a.png", "controls": {"mouthOpen": [1]}}', r"mouthOpen is \[1\]; expected a number"),
        ('{"file": "/etc/a.png", "controls": {}}', "names no picture"),
    ],
)
def test_damaged_json_lines_are_refused(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "controls.jsonl").write_text(line)
    with pytest.raises(SourceError, match=said):
        read_pictures(tmp_path, load_rig(RIG), SIZE)


def test_a_folder_has_one_table_and_square_pictures(tmp_path: Path, folder: Path) -> None:
    rig = load_rig(RIG)
    with pytest.raises(SourceError, match=r"has neither controls.csv nor controls.jsonl"):
        read_pictures(tmp_path, rig, SIZE)
    (tmp_path / "controls.csv").write_bytes((folder / "controls.csv").read_bytes())
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "000.png"), np.zeros((32, 40, 3), np.uint8))
    with pytest.raises(SourceError, match=r"000.png: is 40 x 32 pixels; expected a square"):
        read_pictures(tmp_path, rig, SIZE)
    (tmp_path / "images" / "000.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"000.png: not a readable image"):
        read_pictures(tmp_path, rig, SIZE)
    (tmp_path / "controls.jsonl").write_text("")
    with pytest.raises(SourceError, match="has both"):
        read_pictures(tmp_path, rig, SIZE)
    (tmp_path / "controls.jsonl").unlink()
    (tmp_path / "controls.csv").write_bytes(b"file,mouthOpen\n\xff\xfe")
    with pytest.raises(SourceError, match="is no UTF-8 text"):
        read_pictures(tmp_path, rig, SIZE)


def test_the_split_is_by_the_seed_in_blocks_and_stays_when_pictures_are_added() -> None:
    values = np.arange(400, dtype=np.float32)[:, None]
    pictures = Pictures(np.zeros((400, 2, 2, 3), np.uint8), values)
    learnt, held = (part.values[:, 0].astype(int).tolist() for part in pictures.split(3))
    assert sorted([*learnt, *held]) == list(range(400)) and 8 <= len(held) <= 64
    assert all(set(range(v // 8 * 8, v // 8 * 8 + 8)) <= set(held) for v in held)
    for count in (64, 200):
        fewer = pictures.rows(np.arange(count)).split(3)[0].values[:, 0]
        assert not set(held) & set(fewer.astype(int).tolist())
    assert pictures.split(3)[1].values[:, 0].tolist() == held != pictures.split(4)[1].values[:, 0].tolist()


def test_drawn_values_are_in_range_reach_every_control_and_rest_the_head_in_two_thirds() -> None:
    rig, rng = load_rig("human"), np.random.default_rng(0)
    values = np.stack([draw_values(rig, rng) for _ in range(600)])
    assert (values >= rig.minimum).all() and (values <= rig.maximum).all()
    reach = np.abs(rig.normalise(values) - rig.normalise(rig.neutral())).max(0)
    assert (reach > 0.2).all()
    assert 0.6 < at_rest(rig, rig.normalise(values)).mean() < 0.75


def test_what_moves_is_found_and_weighs_more(folder: Path) -> None:
    rig = load_rig(RIG)
    pictures = read_pictures(folder, rig, 64)
    lids, mouth = regions.moving(pictures, rig, regions.LIDS), regions.moving(pictures, rig, regions.MOUTH)
    assert lids[20:28, 12:24].mean() > 0.5 and lids[20:28, 40:52].mean() > 0.5 and lids[44:52].max() < 0.3
    assert mouth[44:52, 26:38].mean() > 0.5 and mouth[:36].max() < 0.3
    assert not regions.moving(pictures, rig, ("tongue",)).any()
    weight = regions.loss_weight(pictures, rig)
    assert weight.mean() == pytest.approx(1, abs=1e-5) and weight[24, 18] > 3 * weight[60, 60] and weight[48, 32] > 3 * weight[60, 60]


def test_the_face_is_where_the_tracker_says_or_else_where_lids_and_mouth_move(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = load_rig(RIG)
    pictures = read_pictures(folder, rig, 64)
    neutral = drawn(rig, rig.neutral())
    assert regions.tracked_face(neutral) is None
    guessed = regions.moving_face(pictures, rig)
    middle = np.array([32.0, 24.0]) / 64  # between the bars that stand for lids
    np.testing.assert_allclose(guessed[:, :2] @ middle + guessed[:, 2], [0.5, 0.309], atol=0.08)
    matrix = np.array([[1.5, 0.2, -4.0], [-0.2, 1.5, 3.0]], np.float32)
    crop = FaceCrop(np.zeros((128, 128, 3), np.uint8), matrix, None, np.zeros(6, np.float32), 0.0, 0)
    monkeypatch.setattr(NoFace, "found", crop)
    tracked = regions.tracked_face(neutral)
    assert tracked is not None
    pixel = np.array([10.0, 40.0])
    expected = (matrix[:, :2] @ pixel + matrix[:, 2] + 0.5) / 128
    np.testing.assert_allclose(tracked[:, :2] @ ((pixel + 0.5) / 64) + tracked[:, 2], expected, atol=1e-5)


def test_the_stage_goes_on_exactly(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(folder, tmp_path / "a", steps=4)
    whole = torch.load(renderer.train(config), weights_only=True)
    batch = PictureBatches.batch

    def interrupted(self: PictureBatches, step: int) -> dict[str, torch.Tensor]:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return batch(self, step)

    config = replace(config, out=tmp_path / "b")
    monkeypatch.setattr(PictureBatches, "batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        renderer.train(config)
    assert torch.load(config.out / "last.pt", weights_only=True)["step"] < 4
    monkeypatch.setattr(PictureBatches, "batch", batch)
    parts = torch.load(renderer.train(config), weights_only=True)
    assert parts["step"] == 4
    for part in ("model", "average"):
        assert all(torch.equal(v, parts[part][k]) for k, v in whole[part].items())


def test_a_new_look_does_not_move_the_face_of_a_renderer_that_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, rig = settings(folder, tmp_path, steps=1), load_rig(RIG)
    view = renderer.load_trained(renderer.train(config), rig).view
    elsewhere = np.float32([[3, 0, -1], [0, 3, -1]])
    monkeypatch.setattr(renderer, "find_face", lambda config, rig: elsewhere)
    on = renderer.load_trained(renderer.train(replace(config, steps=2)), rig)
    assert torch.equal(on.view, view) and not np.allclose(view, elsewhere)


def test_a_trained_renderer_is_frozen_and_belongs_to_its_controls(folder: Path, tmp_path: Path) -> None:
    last = renderer.train(settings(folder, tmp_path, steps=1))
    model = renderer.load_trained(last, load_rig(RIG))
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert not torch.equal(model.view, torch.eye(2, 3)) and torch.equal(model.face, torch.eye(2, 3))
    camera = renderer.train(settings(folder, tmp_path / "camera", steps=1, framing="camera"))
    whole = renderer.load_trained(camera, load_rig(RIG))
    assert torch.equal(whole.view, torch.eye(2, 3)) and torch.equal(whole.face, model.view)
    with pytest.raises(WeightsError, match="was trained for other controls than those of rig 'robot'"):
        renderer.load_trained(last, load_rig("robot"))
    state = torch.load(last, weights_only=True)
    torch.save({**state, "architecture": {"size": 64}}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="holds no neural renderer"):
        renderer.load_trained(tmp_path / "other.pt", load_rig(RIG))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 100}, "--model patches: size is 100.*set --size"),
        ({"model": "published"}, "expected 256"),
        ({"images": 0}, "--images is 0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(folder: Path, tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(FreeAvatarError, match=said):
        renderer.train(settings(folder, tmp_path, **change))


def test_the_loss_is_of_pixels_and_edges_and_weighs_regions() -> None:
    wanted, weight = torch.zeros(1, 3, 8, 8), torch.ones(8, 8)
    assert renderer.picture_loss(wanted + 0.5, wanted, weight) == {"pixels": 0.5, "edges": 0.0}
    spot = wanted.clone()
    spot[..., 2, 2] = 1
    weight[2, 2] = 3
    terms = renderer.picture_loss(spot, wanted, weight)
    assert terms["pixels"].item() == pytest.approx(3 / 64) and terms["edges"].item() == pytest.approx(2 * (3 + 1) / 56)


def test_a_look_in_half_precision_sees_what_the_encoder_sees(folder: Path) -> None:
    encoder = load_weights(WEIGHTS / "encoder")
    crops = avatar_pictures.as_tensor(read_pictures(folder, load_rig(RIG), encoder.size).images[:24]).float() / 255
    with torch.inference_mode():
        exact, fast = encoder(255 * crops).feature, renderer.look(renderer.frozen(encoder), crops).feature
        assert (exact - fast).norm(dim=1).mean() < 0.03 * torch.nn.functional.pdist(exact).mean()


def test_the_critic_lets_gradients_pass_to_the_picture_and_keeps_none() -> None:
    torch.manual_seed(0)
    encoder = ExpressionEncoder(size=32, stem=(8, 8, 8, 8), width=16, depth=1, heads=2)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    pictures = torch.randint(256, (12, 3, 32, 32), dtype=torch.uint8)
    critic = renderer.Critic(encoder, Renderer(1, 32).crop, pictures)
    true = pictures.float() / 255
    assert critic(true, true).item() == pytest.approx(0, abs=1e-6)
    assert critic(true, true.roll(1, 0)).item() == pytest.approx(2**0.5, abs=0.3)
    painted = true.roll(1, 0).requires_grad_()
    distance = critic(painted, true)
    distance.backward()
    assert painted.grad is not None and painted.grad.isfinite().all()
    with torch.no_grad():
        assert critic(painted - painted.grad / painted.grad.norm(), true) < distance
    assert all(p.grad is None and not p.requires_grad for p in encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


class Perfect(Renderer):
    """Draws what a table says, a little off."""

    def __init__(self, pictures: Pictures, off: float) -> None:
        super().__init__(pictures.values.shape[1], pictures.images.shape[1])
        self.pictures, self.off = pictures, off

    def forward(self, controls: torch.Tensor) -> torch.Tensor:
        rows = [int(np.abs(self.pictures.values - c).sum(1).argmin()) for c in controls.numpy()]
        return (torch.from_numpy(self.pictures.images[rows]).permute(0, 3, 1, 2).float() / 255 + self.off).clamp(0, 1)


def test_a_renderer_is_judged_by_the_expressions_that_are_read_from_it(folder: Path) -> None:
    torch.manual_seed(0)
    rig = load_rig(RIG)
    pictures = read_pictures(folder, rig, SIZE)
    encoder = ExpressionEncoder(size=32, stem=(8, 8, 8, 8), width=16, depth=1, heads=2).eval()
    perfect, off = (renderer.judge(Perfect(pictures, by), rig, pictures, pictures, encoder) for by in (0.0, 0.1))
    assert perfect["psnr"] == np.inf and perfect["ssim"] == pytest.approx(1) and perfect["expression_error"] < 1e-3
    assert off["psnr"] == pytest.approx(20, abs=0.5) and perfect["psnr_mean"] == off["psnr_mean"] < 40
    assert 1e-3 < off["expression_error"] <= off["expression_worst"] and off["perceptual"] > 1e-3
    assert perfect["images"] == COUNT and perfect["expression_images"] == at_rest(rig, pictures.values).sum()
    flat = renderer.judge(PatchRenderer(len(rig.controls), SIZE).eval(), rig, pictures, pictures, encoder)
    assert flat["expression_error"] > 0.2 and flat["psnr"] < flat["psnr_mean"]


def test_the_grid_shows_true_pictures_above_those_of_the_network(folder: Path) -> None:
    pictures = read_pictures(folder, load_rig(RIG), SIZE)
    sheet = renderer.grid(Perfect(pictures, 0.0), pictures)
    assert sheet.shape == (2 * (3 * SIZE + 4), 8 * SIZE, 3)
    np.testing.assert_array_equal(sheet[:SIZE], sheet[SIZE : 2 * SIZE])
    np.testing.assert_array_equal(sheet[:SIZE, :SIZE], pictures.images[0])
    assert not sheet[2 * SIZE : 3 * SIZE].any()


def test_renders_are_drawn_once_and_belong_to_their_avatar(graphics: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = load_rig(RIG)
    first = render_pictures(rig, tmp_path, 9, SIZE, 0)
    assert len(first) == 16 and first.images.std() > 10
    (tmp_path / "shard_00001.npz").unlink()
    kept = (tmp_path / "shard_00000.npz").stat().st_mtime_ns
    again = render_pictures(rig, tmp_path, 9, SIZE, 0)
    np.testing.assert_array_equal(first.images, again.images)
    assert (tmp_path / "shard_00000.npz").stat().st_mtime_ns == kept
    with pytest.raises(SourceError, match="from another avatar, size, view or seed"):
        render_pictures(rig, tmp_path, 9, SIZE, 1)
    (tmp_path / "shard_00000.npz").write_bytes(b"nothing")
    with pytest.raises(SourceError, match=r"not a readable shard.*delete it"):
        render_pictures(rig, tmp_path, 9, SIZE, 0)


def test_a_cut_is_the_crop_of_the_run_time() -> None:
    y, x = np.mgrid[:128, :128]
    image = np.stack([127 + 100 * np.sin(x / 19), 127 + 100 * np.cos(y / 17), 127 + 100 * np.sin((x + y) / 21)], axis=-1).round()
    image = image.astype(np.uint8)
    np.testing.assert_array_equal(avatar_pictures.cut(image, WHOLE, 128), image)
    matrix = np.array([[0.8, 0.1, 3.0], [-0.1, 0.8, -5.0]])  # of pixels, whose coordinates are those of their centres
    view = np.column_stack([matrix[:, :2] * 128 / 64, (matrix[:, 2] + 0.5 - matrix[:, :2].sum(1) / 2) / 64]).astype(np.float32)
    assert np.abs(avatar_pictures.cut(image, view, 64).astype(int) - warp(image, matrix, 64)).max() <= 1


def test_pictures_of_a_user_are_cut_to_the_face_and_those_that_turn_are_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, config = load_rig(RIG), settings(folder, tmp_path)
    view = np.array([[2, 0, -0.5], [0, 2, -0.5]], np.float32)
    pictures = renderer.read(config, rig, view)
    assert at_rest(rig, pictures.values).all() and LEAST <= len(pictures) < COUNT
    expected = drawn(rig, rig.denormalise(pictures.values[7]))[16:48, 16:48].astype(int)
    assert np.abs(pictures.images[7] - expected).mean() < 5
    monkeypatch.setattr(renderer, "LEAST", COUNT)
    with pytest.raises(FreeAvatarError, match=r"in \d+ pictures the head is at rest; expected 160, or set --framing camera"):
        renderer.read(config, rig, view)


def test_only_what_the_animator_drives_moves_in_still_renders(graphics: None, tmp_path: Path) -> None:
    rig, view = load_rig("robot"), np.array([[2, 0, -0.5], [0, 2, -0.5]], np.float32)
    still = render_pictures(rig, tmp_path, 8, SIZE, 0, view, still=True)
    computed = [c.source != ANIMATOR for c in rig.controls]
    np.testing.assert_array_equal(still.values[:, computed], np.tile(rig.normalise(rig.neutral())[computed], (8, 1)))
    assert (still.values[:, ~np.array(computed)].std(0) > 0).mean() > 0.8
    with Painter(rig, 4 * SIZE, WHOLE) as painter:
        middle = painter.paint(still.values[0])[SIZE : 3 * SIZE, SIZE : 3 * SIZE]
    coarse = [cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA).astype(int) for image in (middle, still.images[0])]
    assert np.abs(coarse[0] - coarse[1]).mean() < 4 < coarse[0].std()


def test_the_command_trains_on_renders_and_reports(graphics: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["renderer", RIG, "--out", str(tmp_path), "--images", "24", "--size", "32", "--steps", "2", "--batch", "4", "--threads", "1"]
    assert main(words) == 0
    scores = json.loads(capsys.readouterr().out)
    assert 0 < scores["psnr"] < 40 and scores["images"] == 8 and (tmp_path / "grid.png").is_file()


def test_held_out_pictures_are_drawn_better_than_by_the_picture_that_it_starts_from(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer, "PIXELS_FIRST", 1.0)
    rig = load_rig(RIG)
    losses = []
    for steps in (1, 40):
        state = torch.load(renderer.train(settings(folder, tmp_path / str(steps), steps=steps)), weights_only=True)
        model = PatchRenderer(len(rig.controls), SIZE)
        model.load_state_dict(state["model"])
        _, held = renderer.read(settings(folder, tmp_path), rig, model.view.numpy()).split(0)
        wanted, values = avatar_pictures.as_tensor(held.images).float() / 255, torch.from_numpy(held.values)
        with torch.inference_mode():
            losses.append(renderer.picture_loss(model(values), wanted, torch.ones(SIZE, SIZE))["pixels"].item())
    assert losses[1] < 0.85 * losses[0]
