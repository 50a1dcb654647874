"""The figures of the benchmark on made-up arrays whose answers are known."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from freeavatar.errors import OutputError
from tools.measure import metrics
from tools.measure.regions import REGIONS, region_grams
from tools.measure.tables import Line, Table, insert, summary

ROOT = Path(__file__).parents[2]
PEOPLE = np.repeat([f"p{i}" for i in range(20)], 30)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_a_perfect_feature_explains_everything_and_noise_nothing(rng: np.random.Generator) -> None:
    truth, mix = rng.random((600, 4)), rng.normal(size=(4, 9))
    grams = {"brows": np.diag([1.0, 1, 0, 0]), "lips": np.diag([0.0, 0, 1, 2])}
    perfect = metrics.probe(truth[:450] @ mix, truth[:450], PEOPLE[:450], truth[450:] @ mix, truth[450:], grams)
    assert min(perfect.values()) > 0.99
    noise = rng.normal(size=(600, 9))
    assert abs(metrics.probe(noise[:450], truth[:450], PEOPLE[:450], noise[450:], truth[450:], grams)["mean"]) < 0.05


def test_a_region_counts_only_what_moves_it(rng: np.random.Generator) -> None:
    truth = rng.random((600, 2))
    grams = {"brows": np.diag([1.0, 0.0]), "lips": np.diag([0.0, 1.0])}
    shares = metrics.probe(truth[:450, :1], truth[:450], PEOPLE[:450], truth[450:, :1], truth[450:], grams)
    assert shares["brows"] > 0.99 and abs(shares["lips"]) < 0.05
    assert shares["mean"] == pytest.approx((shares["brows"] + shares["lips"]) / 2)


def test_a_face_not_found_counts_as_the_mean(rng: np.random.Generator) -> None:
    truth, grams = rng.random((600, 2)), {"lips": np.eye(2)}
    unseen = truth[450:].copy()
    unseen[::2] = np.nan
    assert 0.4 < metrics.probe(truth[:450], truth[:450], PEOPLE[:450], unseen, truth[450:], grams)["lips"] < 0.6


def test_calibration_removes_what_a_person_always_shows(rng: np.random.Generator) -> None:
    truth, grams = rng.random((600, 2)), {"lips": np.eye(2)}
    neutral = np.arange(600) % 30 < 5
    truth[neutral] = 0
    biased = truth + np.repeat(rng.normal(0, 3, (20, 2)), 30, axis=0)
    flat = metrics.calibrated(biased, PEOPLE, neutral)
    np.testing.assert_allclose(flat, truth, atol=1e-9)
    plain = metrics.probe(biased[:450], truth[:450], PEOPLE[:450], biased[450:], truth[450:], grams)
    assert plain["lips"] < 0.5 < 0.99 < metrics.probe(flat[:450], truth[:450], PEOPLE[:450], flat[450:], truth[450:], grams)["lips"]


def test_a_triplet_is_right_only_from_both_sides() -> None:
    anchor, positive = np.array([[0.0], [0.0], [0.0]]), np.array([[1.0], [1.0], [np.nan]])
    negative = np.array([[-2.0], [1.5], [9.0]])  # the second is nearer to the positive than the anchor is
    assert metrics.two_sided(anchor, positive, negative).tolist() == [True, False, False]


def test_doubtful_triplets_are_told_from_clear_ones() -> None:
    anchor, positive = np.zeros((4, 1)), np.array([[0.0], [0.2], [0.2], [0.0]])
    negative = np.array([[1.0], [-0.3], [-0.21], [0.05]])  # the third is hardly farther than the pair, the fourth cannot be seen
    assert metrics.clear(anchor, positive, negative).tolist() == [True, True, False, False]


def test_class_triplets_join_labels_and_part_people(rng: np.random.Generator) -> None:
    labels, people = rng.choice(["neutral", "happiness", "fear"], 300, p=[0.5, 0.45, 0.05]), rng.integers(0, 40, 300)
    index, pair = metrics.class_triplets(labels, people, each=50)
    a, p, n = (labels[index[:, k]] for k in range(3))
    assert (a == p).all() and (a != n).all() and "fear" not in {*a, *n}
    assert all(len(set(people[row])) == 3 for row in index)
    assert np.bincount(pair).tolist() == [50, 50]


def test_the_bootstrap_encloses_the_figure_and_narrows_with_people(rng: np.random.Generator) -> None:
    def interval(count: int) -> tuple[float, float, float]:
        people, groups = rng.integers(0, count, (4000, 3)), np.zeros(4000, np.int64)
        good = rng.random(count) < 0.5  # what is right depends on the person alone
        right = good[people[:, 0]]
        return *metrics.bootstrap(right, groups, people), metrics.balanced(right, groups)

    low, high, figure = interval(20)
    assert low < figure < high
    narrow_low, narrow_high, _ = interval(500)
    assert narrow_high - narrow_low < (high - low) / 2


def test_the_balance_is_over_groups_not_rows() -> None:
    assert metrics.balanced(np.array([True, True, True, False]), np.array([0, 0, 0, 1])) == 0.5


def test_the_discriminant_finds_the_axis_that_parts_the_classes(rng: np.random.Generator) -> None:
    labels = np.repeat(["a", "b", "c"], 200)
    x = rng.normal(size=(600, 6)) * [20, 1, 1, 1, 1, 1]
    x[:, 1] += np.repeat([0, 6, 0], 200)
    x[:, 2] += np.repeat([0, 0, 6], 200)
    layer = metrics.discriminant(x, labels)
    assert layer.shape == (6, 2)
    low = x @ layer
    nearest = np.array([np.linalg.norm(low - low[labels == c].mean(0), axis=1) for c in "abc"]).argmin(0)
    assert (np.array(list("abc"))[nearest] == labels).mean() > 0.97


def test_identity_is_read_where_it_is_and_only_there(rng: np.random.Generator) -> None:
    noise = rng.normal(size=(600, 8))
    assert metrics.identity(noise, PEOPLE) < 0.12
    assert metrics.identity(noise + np.repeat(rng.normal(0, 4, (20, 8)), 30, axis=0), PEOPLE) > 0.9


def test_leakage_is_the_ratio_of_the_two_deviations() -> None:
    expression, yaw = np.linspace(0, 1, 5)[None, :, None], np.linspace(-1, 1, 5)[None, None, :]
    steady, leaky = expression + 0 * yaw, expression + 0.25 * yaw
    read = np.repeat(np.stack([steady, leaky], -1), 3, axis=0)
    np.testing.assert_allclose(metrics.leakage(read), [0, 0.5], atol=1e-5)
    read[0, 1, 2] = np.nan  # one face not found
    assert np.isfinite(metrics.leakage(read)).all()


def test_the_angle_between_two_looks() -> None:
    looks = np.radians([[30.0, 0.0], [0.0, -20.0], [90.0, 0.0]])
    np.testing.assert_allclose(metrics.angle(looks, np.zeros((3, 2))), [30, 20, 90])


def test_a_constant_read_out_has_no_correlation() -> None:
    assert metrics.correlation(np.zeros(9), np.arange(9.0)) is None
    assert metrics.correlation(np.arange(9.0), 2 - np.arange(9.0)) == pytest.approx(-1)


def test_regions_gather_the_morphs_of_their_own_skin() -> None:
    places = np.array([[(inner + outer) / 2, (low + high) / 2, 0] for inner, outer, low, high in REGIONS.values()])
    places[list(REGIONS).index("chin"), 1] = -1.8  # neighbours overlap a little
    places[list(REGIONS).index("lids"), 0] = 0.4
    morphs = np.zeros((len(places), len(places), 3), np.float16)
    morphs[range(len(places)), range(len(places)), 2] = 0.5
    head = SimpleNamespace(parts=[SimpleNamespace(vertices=places, morphs=morphs)], eyes=np.zeros((2, 3)), eye_distance=1.0)
    for i, gram in enumerate(region_grams([head, head]).values()):  # type: ignore[list-item]
        assert gram[i, i] == 0.25 and gram.sum() == 0.25


def test_the_better_figure_is_bold() -> None:
    table = Table(
        "T", "How.", {"ours": {"x": 0.5}}, (Line("a", 0.5, 0.4), Line("b", 0.5, 0.4, higher=False), Line("c", 1, None, unit=" ms"))
    )
    lines = summary([table]).splitlines()[2:]
    assert lines == ["| a | **0.500** | 0.400 |", "| b | 0.500 | **0.400** |", "| c | 1 ms | - |"]
    assert "| ours | 0.500 |" in table.markdown()
    accurate = Table("T", "How.", {}, (Line("a", 0.6, 0.4), Line("b", 0.3, 0.4, higher=False), Line("c", 4, None, unit=" ms")))
    head, _, *lines = summary([table], [accurate]).splitlines()
    assert head == "| | FreeAvatar | MediaPipe | FreeAvatar, accurate |"
    assert lines == ["| a | **0.500** | 0.400 | 0.600 |", "| b | 0.500 | **0.400** | 0.300 |", "| c | 1 ms | - | 4 ms |"]


def test_the_report_is_written_between_marks_only() -> None:
    text = "before\n<!-- benchmark summary -->\nold\n<!-- end -->\nafter\n<!-- other -->\nkept\n<!-- end -->\n"
    new = insert(text, {"summary": "new\n", "details": "more\n"})
    assert new == text.replace("old", "new")
    with pytest.raises(OutputError, match="no mark"):
        insert("nothing", {"summary": "new\n"})


def test_an_unknown_section_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "benchmark.py"), "--only", "smell", "--images-cache", str(tmp_path / "x")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "no section smell" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.data
@pytest.mark.slow
def test_the_quick_run_fills_both_reports(data_root: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "benchmark.py"), "--quick", "--only", "movement,groups,leakage,triplets,gaze,identity"]
    command += ["--images-cache", str(tmp_path / "x"), "--markdown", str(tmp_path / "r.md"), "--json", str(tmp_path / "r.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env={**os.environ, "FREEAVATAR_DATA": str(data_root)})
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "r.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in the report"))
    assert report["movement"]["rows"].keys() >= {"FreeAvatar feature", "MediaPipe scores, calibrated"}
    bound = report["movement"]["rows"]["the true surface itself, calibrated"]
    assert all(bound[region] > max(0.9, report["movement"]["rows"]["FreeAvatar feature, calibrated"][region]) for region in REGIONS)
    assert report["triplets"]["rows"]["triplets"]["all"] > 0
    markdown = (tmp_path / "r.md").read_text()
    assert all(f"### {report[name]['title']}" in markdown for name in ("movement", "groups", "leakage", "triplets", "gaze", "identity"))
