"""Print what arrives from ``freeavatar live``, to see that it comes through.

python tools/receive.py 127.0.0.1:9000                  an address as given to --osc, --vmc, --vrchat, --live-link, --ifacialmocap
                                                        or --openseeface; every packet is told by its first bytes
python tools/receive.py 127.0.0.1:8001 --vtube-studio   in place of VTube Studio, which says yes to everything

Ctrl-C ends.
"""

import argparse
import json
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

from pythonosc.osc_packet import OscPacket, ParseError

from freeavatar.arkit import LIVE_LINK_ORDER, LIVE_LINK_POSE
from freeavatar.errors import FreeAvatarError, MissingExtraError
from freeavatar.sinks.openseeface import FEATURES
from freeavatar.sinks.udp import open_socket, parse_address

_LARGEST = 65_535
_FACE = 1785
"""Bytes of a face of OpenSeeFace."""
_ANSWERS: dict[str, dict[str, Any]] = {
    "AuthenticationToken": {"authenticationToken": "receive"},
    "Authentication": {"authenticated": True},
}
"""What VTube Studio answers; to all else an empty object."""


def main() -> int:
    """Listen at one address and print every packet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", metavar="HOST:PORT", help="where to listen")
    parser.add_argument("--packets", type=int, default=0, metavar="N", help="stop after so many packets; 0 goes on")
    parser.add_argument("--vtube-studio", action="store_true", help="be VTube Studio, until Ctrl-C")
    args = parser.parse_args()
    try:
        if args.vtube_studio:
            serve_studio(args.address)
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
        elif data and len(data) % _FACE == 0:
            yield from (_openseeface(data[at : at + _FACE]) for at in range(0, len(data), _FACE))
        else:
            yield f"{len(data)} bytes of another protocol"
    except (ParseError, struct.error, ValueError, IndexError) as error:
        yield f"{len(data)} bytes that cannot be read: {error}"


def serve_studio(address: str) -> None:
    """Be VTube Studio at an address: agree to every request and print it."""
    try:
        from websockets.sync.server import ServerConnection, serve
    except ImportError as error:
        raise MissingExtraError("Being VTube Studio", "websockets", "studio") from error

    def talk(connection: ServerConnection) -> None:
        for text in connection:
            line, answer = studio(text)
            print(line, flush=True)
            connection.send(answer)

    with serve(talk, *parse_address(address)) as server:
        print(f"VTube Studio at {address}", file=sys.stderr, flush=True)
        server.serve_forever()


def studio(text: str | bytes) -> tuple[str, str]:
    """What a request to VTube Studio says, on one line, and a kind answer."""
    try:
        request = json.loads(text)
        kind, data = str(request["messageType"]).removesuffix("Request"), request["data"]
        if kind == "InjectParameterData":
            moved = " ".join(f"{item['id']} {item['value']:.3f}" for item in data["parameterValues"] if abs(item["value"]) >= 0.05)
            line = f"VTube Studio, face {'found' if data['faceFound'] else 'lost'}: {moved}"
        else:
            line = f"VTube Studio {kind} {json.dumps(data)}"
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return f"{len(text)} characters that cannot be read: {error!r:.80}", "{}"
    answer = {"messageType": f"{kind}Response", "requestID": request.get("requestID"), "data": _ANSWERS.get(kind, {})}
    return "".join(filter(str.isprintable, line)), json.dumps(answer)


def _openseeface(face: bytes) -> str:
    right, left = struct.unpack_from("<2f", face, 20)
    euler = struct.unpack_from("<3f", face, 49)
    features = struct.unpack_from(f"<{len(FEATURES)}f", face, _FACE - 4 * len(FEATURES))
    angles, values = (" ".join(f"{value:.3f}" for value in group) for group in (euler, features))
    return f"OpenSeeFace eyes open {left:.3f} (left) {right:.3f} (right), angles {angles}, features {values}"


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
