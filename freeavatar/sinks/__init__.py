"""Where rig frames go: files and OSC."""

from freeavatar.sinks.files import FILE_SUFFIXES, open_file
from freeavatar.sinks.osc import OscSink

__all__ = ["FILE_SUFFIXES", "OscSink", "open_file"]
