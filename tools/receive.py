"""Print what arrives from ``freeavatar live``, to see that packets come through: OSC, VMC, VRChat, Live Link, iFacialMocap.

python tools/receive.py 127.0.0.1:9000      an address as given to --osc, --vmc, --vrchat, --live-link or --ifacialmocap

Every packet is told by its first bytes. Ctrl-C ends.
"""

import argparse
import socket
import struct
import sys
from collections.abc import Iterator

from pythonosc.osc_packet import OscPacket, ParseError

from freeavatar.arkit import LIVE_LINK_ORDER, LIVE_LINK_POSE
from freeavatar.errors import FreeAvatarError
from freeavatar.sinks.udp import open_socket

_LARGEST = 65_535


def main() -> int:
    """Listen at one address and print every packet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", metavar="HOST:PORT", help="where to listen")
    parser.add_argument("--packets", type=int, default=0, metavar="N", help="stop after so many packets; 0 goes on")
    args = parser.parse_args()
    try:
        with open_socket(args.address, socket.socket.bind) as receiver:
            receiver.setblocking(True)
            print(f"listening at {args.address}", file=sys.stderr, flush=True)
            count = 0
            while count < args.packets or not args.packets:
                print("\n".join(describe(receiver.recv(_LARGEST))), flush=True)
                count += 1
    except (FreeAvatarError, OSError) as error:
        print(f"receive: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def describe(data: bytes) -> Iterator[str]:
    """What a packet says, line by line; whatever is no known packet is named by its size."""
    try:
        if data[:1] in (b"/", b"#"):
            for timed in OscPacket(data).messages:
                yield " ".join([timed.message.address, *(f"{v:.3f}" if isinstance(v, float) else str(v) for v in timed.message.params)])
        elif data[:1] == b"\x06":
            yield _live_link(data)
        elif b"|=head#" in data:
            yield f"iFacialMocap {data.decode('ascii')}"
        else:
            yield f"{len(data)} bytes of another protocol"
    except (ParseError, struct.error, ValueError, IndexError) as error:
        yield f"{len(data)} bytes that cannot be read: {error}"


def _live_link(data: bytes) -> str:
    at, texts = 1, []
    for _ in range(2):
        (length,) = struct.unpack_from(">i", data, at)
        texts.append(data[at + 4 : at + 4 + length].decode())
        at += 4 + length
    frame, part, rate, divisor = struct.unpack_from(">ifii", data, at)
    head = f"Live Link {texts[1]} frame {frame + part:.2f} at {rate / divisor:g} a second"
    if len(data) == at + 16:
        return f"{head}: no face"
    names = (*LIVE_LINK_ORDER, *LIVE_LINK_POSE)
    (count,), values = struct.unpack_from(">B", data, at + 16), struct.unpack_from(f">{len(names)}f", data, at + 17)
    moved = " ".join(f"{name} {value:.3f}" for name, value in zip(names, values, strict=True) if abs(value) >= 0.05)
    return f"{head}, {count} values: {moved}"


if __name__ == "__main__":
    sys.exit(main())
