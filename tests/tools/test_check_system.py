"""The check of system libraries names exactly what is missing."""

from tools.check_system import LIBRARIES, missing


def without(*absent: str):
    def load(name: str) -> None:
        if name in absent:
            raise OSError(name)

    return load


def test_a_complete_system_misses_nothing() -> None:
    assert missing(without(), lambda: True) == []


def test_each_library_names_its_own_package() -> None:
    for library, package in LIBRARIES.items():
        assert package in missing(without(library), lambda: True)


def test_the_two_glib_libraries_name_one_package_once() -> None:
    assert missing(without("libglib-2.0.so.0", "libgthread-2.0.so.0"), lambda: True) == ["libglib2.0-0"]


def test_a_driver_that_does_not_answer_names_mesa_alone() -> None:
    assert missing(without(), lambda: False) == ["libgl1-mesa-dri"]


def test_without_egl_the_driver_is_not_asked_but_installed() -> None:
    def never() -> bool:
        raise AssertionError("asked for a driver without EGL")

    assert missing(without("libEGL.so.1"), never) == ["libegl1", "libgl1-mesa-dri"]
