"""Where rig frames go: files, recordings, and other programs."""

from freeavatar.sinks.files import FILE_SUFFIXES, open_file
from freeavatar.sinks.ifacialmocap import IFacialMocapSink
from freeavatar.sinks.live_link import LiveLinkSink
from freeavatar.sinks.openseeface import OpenSeeFaceSink
from freeavatar.sinks.osc import OscSink
from freeavatar.sinks.recording import RecordingSink, read_take
from freeavatar.sinks.targets import DEFAULT_TARGETS, Targets, open_targets
from freeavatar.sinks.udp import UdpSink
from freeavatar.sinks.vmc import VmcSink
from freeavatar.sinks.vrchat import VrchatSink
from freeavatar.sinks.vtube_studio import VTubeStudioSink

__all__ = [
    "DEFAULT_TARGETS",
    "FILE_SUFFIXES",
    "IFacialMocapSink",
    "LiveLinkSink",
    "OpenSeeFaceSink",
    "OscSink",
    "RecordingSink",
    "Targets",
    "UdpSink",
    "VTubeStudioSink",
    "VmcSink",
    "VrchatSink",
    "open_file",
    "open_targets",
    "read_take",
]
