"""Calls containerd's CRI as a kubelet does: `cri.py run NAME HOST_PORT`, `cri.py remove ID`.

Messages are written field by field (numbers from runtime/v1/api.proto): two calls do not need a compiler for all of them.
"""

import sys

import grpc


def field(number, value):
    """A field of a protobuf message: text and messages with their length, numbers as varints."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(number):
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def call(channel, method, message):
    raw = {"request_serializer": lambda sent: sent, "response_deserializer": lambda got: got}
    return channel.unary_unary(f"/runtime.v1.RuntimeService/{method}", **raw)(message, timeout=60, wait_for_ready=True)


def run(channel, name, port):
    metadata = field(1, name) + field(2, f"uid-of-{name}") + field(3, "shop")
    mapping = field(2, 80) + field(3, int(port))
    config = field(1, metadata) + field(2, name) + field(3, "/run") + field(5, mapping) + field(8, b"")
    answer = call(channel, "RunPodSandbox", field(1, config))
    print(answer[2 : 2 + answer[1]].decode())


def remove(channel, sandbox):
    for method in ("StopPodSandbox", "RemovePodSandbox"):
        call(channel, method, field(1, sandbox))


with grpc.insecure_channel("unix:///run/containerd/containerd.sock") as connection:
    {"run": run, "remove": remove}[sys.argv[1]](connection, *sys.argv[2:])
