"""The comparison with other programs finds what is missing and what is elsewhere; the programs themselves are no part of the tests."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from freeavatar.rig import load_rig


@pytest.fixture
def check_exports(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import check_exports

    return check_exports


def test_places_are_those_of_every_morph_target_alone(check_exports: ModuleType) -> None:
    places = check_exports.ours(load_rig("pixel").model)
    morphs = {morph for _, _, morph in places} - {""}
    assert len(morphs) == 7
    for (node, number, morph), moved in places.items():
        if morph:
            assert moved.shape == places[node, number, ""].shape
    assert all(any(np.abs(p - places[n, k, ""]).max() > 1e-4 for (n, k, m), p in places.items() if m == morph) for morph in morphs)


def test_what_a_program_has_elsewhere_or_lacks_is_found(check_exports: ModuleType, tmp_path: Path) -> None:
    truth = {key: places for key, places in check_exports.ours(load_rig("robot").model).items() if key[1] >= 0}
    index = [{"node": n, "primitive": k, "morph": m, "count": len(places)} for (n, k, m), places in truth.items()]
    (tmp_path / "read.json").write_text(json.dumps(index))
    np.concatenate(list(truth.values())).astype("<f4").tofile(tmp_path / "read.bin")
    found = check_exports.read(tmp_path / "read")
    assert check_exports.compare(found, truth) == (0.0, [])

    key = next(key for key in found if key[2])
    found[key] = found[key] + np.float32([1e-3, 0, 0])
    worst, findings = check_exports.compare(found, truth)
    assert worst == pytest.approx(1e-3, rel=1e-3) and len(findings) == 1 and "0.001 m off" in findings[0]
    found[key] = found[key][1:]
    assert "vertices, expected" in check_exports.compare(found, truth)[1][0]
    del found[key]
    assert check_exports.compare(found, truth)[1] == [f"{key[2]} of {key[0]}, primitive {key[1]} is missing"]


def test_a_program_that_fails_is_a_finding(check_exports: ModuleType, tmp_path: Path) -> None:
    cells, findings = check_exports.check(load_rig("pixel").model, {"none": ["false"]}, tmp_path)
    assert cells == {"morphs": "7", "none": "failed"} and findings[0].startswith("none: ")
