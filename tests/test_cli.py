"""The command line: what it prints where, and how it ends."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from freeavatar.cli import main

COMMANDS = ("demo", "retarget", "live", "cameras", "calibrate", "replay", "embed", "rigs", "rig", "bench")


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No profile of whoever runs the tests; and a busy machine is no hanging sink."""
    monkeypatch.setenv("FREEAVATAR_CONFIG", str(tmp_path_factory.mktemp("config")))
    monkeypatch.setattr("freeavatar.sinks.outlet._PATIENCE", 30.0)


def ended(*args: str) -> int:
    """The exit status of a command, however it ends."""
    try:
        return main(args)
    except SystemExit as end:
        return int(end.code or 0)


def only_error(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("freeavatar: error: ")
    return err


def test_each_action_on_a_rig_lists_its_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    for action, own, other in (
        ("check", "--pictures", "--output"),
        ("import", "--output", "--pictures"),
        ("export", "--output", "--pictures"),
    ):
        assert ended("rig", action, "--help") == 0
        text = capsys.readouterr().out
        assert "usage: freeavatar rig " + action in text and own in text and other not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(command, "--help") == 0
    assert "usage: freeavatar " + command in capsys.readouterr().out


@pytest.mark.parametrize(
    "args", [(), ("bogus",), ("retarget",), ("retarget", "a.mp4", "--rigg", "x"), ("live", "--frames", "x"), ("rig", "c", "x")]
)
def test_wrong_arguments_end_with_status_2(args: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(*args) == 2
    out, err = capsys.readouterr()
    assert out == "" and err


def test_a_typo_is_answered_with_a_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("retarget", "a.mp4", "--rigg", "x") == 2
    assert "--rig" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("retarget", "no.mp4", "-o", "out.csv"), "no.mp4"),
        (("retarget", "no.mp4", "-o", "out.xyz"), ".csv, .jsonl, .npz"),
        (("retarget", "no.mp4", "--rig", "nobody", "-o", "out.csv"), "nobody"),
        (("retarget", "no.mp4"), "nothing to write"),
        (("embed", "no.png", "-o", "out.npz"), "no.png"),
        (("embed", "-o", "out.npz"), "no input"),
        (("live", "--source", "no.mp4", "--osc", "nowhere"), "HOST:PORT"),
        (("live", "--source", "no.mp4", "--osc", "127.0.0.1:9@fast"), "rate of 1 to 1000"),
        (("live", "--source", "no.mp4", "--rig", "human", "human"), "each once"),
        (("live", "--source", "no.mp4", "--size", "wide"), "--size 'wide'"),
        (("live", "--source", "no.mp4", "--rate", "0"), "--rate"),
        (("live", "--source", "no.mp4", "--hold", "-1"), "hold"),
        (("live", "--source", "no.mp4", "--smoothing", "silky"), "silky"),
        (("live", "--source", "no.mp4", "--virtual-camera", "--virtual-camera-size", "big"), "--virtual-camera-size 'big'"),
        (("live", "--source", "no.mp4", "--virtual-camera-beside"), "add it"),
        (("live", "--source", "no.mp4", "--vrchat-bits", "4"), "--vrchat HOST:PORT"),
        (("live", "--source", "no.mp4", "--ifacialmocap-listen", "127.0.0.1:49983"), "--ifacialmocap HOST:PORT"),
        (("live", "--source", "no.mp4", "--vmc", "127.0.0.1:9", "--osc-prefix", "/me"), "--osc HOST:PORT"),
        (("live", "--source", "no.mp4", "--osc-prefix", "/me"), "no.mp4"),
        (("live", "--source", "no.mp4", "--names", "no.toml"), "no.toml"),
        (("live", "--source", "no.mp4", "--names", "a.toml", "--live-link", "127.0.0.1:9"), "--osc HOST:PORT or --vmc HOST:PORT"),
        (("calibrate", "--source", "no.mp4"), "no.mp4"),
        (("replay", "no_take"), "no_take"),
        (("replay", "no_take", "-o", "take.csv", "--osc", "127.0.0.1:9"), "sent or written, not both"),
        (("rig", "check", "."), "rig.toml"),
        (("demo", "no.mp4"), "no.mp4"),
        (("bench", "no.mp4"), "no.mp4"),
    ],
)
@pytest.mark.usefixtures("tiny_weights")
def test_bad_input_is_one_line_and_status_2(
    args: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ended(*args) == 2
    assert message in only_error(capsys)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_retarget_reports_in_words_or_as_json(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [str(tmp_path / "a.csv"), str(tmp_path / "a.npz")]
    assert main(["retarget", str(clip), "--rig", "human", "-o", *outputs]) == 0
    assert "40 frames" in capsys.readouterr().out
    assert main(["retarget", str(clip), "--rig", "human", "-o", *outputs, "--json"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert (summary["frames"], summary["faces"], summary["rigs"], summary["outputs"], err) == (40, 20, ["human"], outputs, "")


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_retarget_writes_a_file_for_each_rig(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retarget", str(clip), "--rig", "human", "robot", "-o", str(tmp_path / "a.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == [str(tmp_path / f"a.{name}.csv") for name in ("human", "robot")]


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_embed_reports_as_json(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", str(clip), "-o", str(tmp_path / "f.npz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 40


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_live_sends_bundles_and_sums_up(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        options = ["--osc", address, "--osc-prefix", "/me", "--loop", "--frames", "3", "--json"]
        assert main(["live", "--source", str(clip), "--rig", "human", *options]) == 0
        bundles = [listener.recv(65536) for _ in range(3)]
    assert all(bundle.startswith(b"#bundle\0") and b"/me/jawOpen\0" in bundle and b"/me/tracking\0" in bundle for bundle in bundles)
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == 3 and {"face", "encoder", "animator", "send", "capture_to_send"} <= summary["stages"].keys()


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_whoever_sends_to_nobody_is_asked(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    assert main(["live", "--source", str(clip), "--vmc", address, "--loop", "--frames", "6"]) == 0
    assert f"VMC to {address}: 0 sent, 6 unsent" in (out := capsys.readouterr().out) and "is this its port?" in out


@pytest.mark.usefixtures("tiny_weights", "tracked")
@pytest.mark.parametrize("rigs", [["--rig", "human", "robot"], ["--rig", "human", "--rig", "robot"]])
def test_several_rigs_are_driven_recorded_and_replayed(
    rigs: list[str], clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take, curves = tmp_path / "take", tmp_path / "robot.csv"
    options = ["--osc", "127.0.0.1:9@10", "--profile", "none", "--mirror", "--record", str(take)]
    assert main(["live", "--source", str(clip), *rigs, *options, "--loop", "--frames", "4", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    sinks = {sink["target"]: sink for sink in done["sinks"]}
    assert done["rigs"] == ["human", "robot"] and sinks.keys() == {
        "127.0.0.1:9/freeavatar/human",
        "127.0.0.1:9/freeavatar/robot",
        str(take),
    }
    assert sinks[str(take)]["sent"] == 4 and sinks["127.0.0.1:9/freeavatar/human"]["sent"] < 4
    assert json.loads((take / "take.json").read_text())["mirror"] is True
    assert main(["replay", str(take), "--rig", "robot", "-o", str(curves), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["moments"] == 4 and len(curves.read_text().splitlines()) == 5
    assert main(["replay", str(take), "--vmc", "127.0.0.1:9", "--json"]) == 0
    assert [sink["name"] for sink in json.loads(capsys.readouterr().out)["sinks"]] == ["VMC"]


def test_cameras_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from freeavatar.sources.cameras import CameraInfo, Mode

    found = [CameraInfo(0, "Webcam", (Mode(1280, 720, 60.0, "MJPG"), Mode(640, 480, 30.0, "YUYV")))]
    monkeypatch.setattr("freeavatar.sources.cameras.list_cameras", lambda: found)
    assert main(["cameras"]) == 0
    assert capsys.readouterr().out.splitlines() == ["  0  Webcam", "       1280x720 at 60 MJPG", "       640x480 at 30 YUYV"]
    assert main(["cameras", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["modes"][0] == {"width": 1280, "height": 720, "rate": 60.0, "format": "MJPG"}
    monkeypatch.setattr("freeavatar.sources.cameras.list_cameras", list)
    assert main(["cameras"]) == 0
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1


def test_rigs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rigs"]) == 0
    assert "human" in capsys.readouterr().out
    assert main(["rigs", "--json"]) == 0
    listed = {rig["name"]: rig for rig in json.loads(capsys.readouterr().out)}
    assert listed["human"]["controls"] >= 52 and listed["human"]["licence"] == "CC0-1.0" and listed["human"]["title"]


def test_a_shipped_rig_passes_its_check(capsys: pytest.CaptureFixture[str]) -> None:
    from freeavatar.rig import load_rig

    assert main(["rig", "check", str(load_rig("human").folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["valid"] is True


def test_a_rig_whose_model_lacks_what_it_names_fails_its_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from freeavatar.rig import load_rig

    folder = Path(shutil.copytree(load_rig("human").folder, tmp_path / "human"))
    text = (folder / "rig.toml").read_text()
    (folder / "rig.toml").write_text(text + '[[control]]\nname = "whiskers"\nregion = "nose"\nrange = [0.0, 1.0]\n')
    assert main(["rig", "check", str(folder)]) == 2
    assert "whiskers" in only_error(capsys)


def interrupted(clip: Path, weights: Path, number: signal.Signals) -> float:
    """Starts a session, ends it by a signal; the seconds that its end took."""
    script = (
        "import sys, pathlib, freeavatar.network as n; n.WEIGHTS = pathlib.Path(sys.argv.pop(1))\n"
        "from freeavatar.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    args = [str(weights), "live", "--source", str(clip), "--loop", "--rig", "human", "--osc", "127.0.0.1:9", "--seconds", "60", "--json"]
    with subprocess.Popen([sys.executable, "-c", script, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stderr is not None
        assert "OSC to 127.0.0.1:9/freeavatar" in job.stderr.readline()
        start = time.monotonic()
        job.send_signal(number)
        out, err = job.communicate(timeout=60)
        took = time.monotonic() - start
    assert job.returncode == 0 and "Traceback" not in err
    assert json.loads(out)["seconds"] < 60
    return took


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_live_session_ends_cleanly_on_a_signal(clip: Path, weights: Path, number: signal.Signals) -> None:
    interrupted(clip, weights, number)


@pytest.mark.slow
def test_a_live_session_ends_within_a_second_of_a_signal(clip: Path, weights: Path) -> None:
    """A busy machine can only make a measurement longer, so the shortest of several is the true one."""
    assert min(interrupted(clip, weights, signal.SIGTERM) for _ in range(3)) < 1.0


def test_training_without_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.startswith(("freeavatar.train", "freeavatar.models"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["train", "expression", "--data", "d", "--out", "o"]) == 2
    assert "freeavatar[train]" in capsys.readouterr().err


def test_training_data_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "expression", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "render_dataset" in error and error.count("\n") == 1


@pytest.mark.usefixtures("tiny_weights", "tracked")
def test_a_truncated_video_gives_what_decodes_and_an_error(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import av

    cut, out = tmp_path / "cut.mkv", tmp_path / "out.jsonl"
    with av.open(str(clip)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    cut.write_bytes(cut.read_bytes()[: int(cut.stat().st_size * 0.8)])
    assert main(["retarget", str(cut), "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert "damaged" in error and "cut.mkv" in error
    assert 0 < len(out.read_text().splitlines()) < 40
