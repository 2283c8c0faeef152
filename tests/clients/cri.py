"""Calls containerd's CRI as a kubelet does: `cri.py run NAME HOST_PORT`, `cri.py install IMAGE FOLDER`, `cri.py remove ID`,
`cri.py network` (whether it is ready).

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
    mapping = field(2, 80) + field(3, int(port))
    print(sandbox(channel, pod(name, hostname=name) + field(5, mapping) + field(8, b"")))


def install(channel, image, folder):
    """The container of conf/kubernetes/daemonset.yaml."""
    on_the_host = pod("install", hostname="") + field(8, field(2, field(1, field(1, 2))))
    identifier = sandbox(channel, on_the_host)
    mount = field(1, f"/host{folder}") + field(2, folder)
    capabilities = field(1, "DAC_OVERRIDE") + field(2, "ALL")
    security = field(1, capabilities) + field(5, field(1, 0)) + field(7, 1) + field(11, 1)
    arguments = field(4, "--stay") + field(4, f"/host{folder}")
    container = field(1, field(1, "install")) + field(2, field(1, image)) + arguments + field(7, mount)
    container += field(15, field(2, security))
    message = field(1, identifier) + field(2, container) + field(3, on_the_host)
    call(channel, "StartContainer", field(1, first_text(call(channel, "CreateContainer", message))))
    print(identifier)


def pod(name, hostname):
    metadata = field(1, name) + field(2, f"uid-of-{name}") + field(3, "shop")
    return field(1, metadata) + field(2, hostname) + field(3, "/run")


def sandbox(channel, config):
    return first_text(call(channel, "RunPodSandbox", field(1, config)))


def first_text(answer):
    return answer[2 : 2 + answer[1]].decode()


def remove(channel, sandbox):
    for method in ("StopPodSandbox", "RemovePodSandbox"):
        call(channel, method, field(1, sandbox))


def network(channel):
    """Of the answer only what is said of that condition; a truth is left out where it is false."""
    told = call(channel, "Status", b"").split(b"NetworkReady", 1)[1]
    print("ready, as all plugins say" if told.startswith(field(2, 1)) else f"not ready: {told}")


with grpc.insecure_channel("unix:///run/containerd/containerd.sock") as connection:
    {"run": run, "install": install, "remove": remove, "network": network}[sys.argv[1]](connection, *sys.argv[2:])
