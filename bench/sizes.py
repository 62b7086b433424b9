"""How large an image is when unpacked, from its archive alone."""

import gzip
import json
import tarfile
import zlib
from pathlib import Path
from typing import IO

CHUNK = 1 << 20
GZIP = 16 + zlib.MAX_WBITS


def unpacked(archive: Path) -> int:
    """Bytes of the layers of a docker-archive, as tar files; the archive itself may be compressed."""
    lengths: dict[str, int] = {}
    layers: list[str] = []
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            if member.name == "manifest.json":
                layers = json.load(tar.extractfile(member))[0]["Layers"]
            elif member.isfile():
                lengths[member.name] = length(tar.extractfile(member))
    return sum(lengths[layer] for layer in layers)


def files(archive: Path) -> dict[str, int]:
    """Bytes of the files in a docker-archive that isn't compressed itself, and of those that are bytecode."""
    found = {"files": 0, "bytecode": 0}
    with tarfile.open(archive) as tar:
        for name in json.load(tar.extractfile("manifest.json"))[0]["Layers"]:
            # Gzip of several members, which tarfile alone doesn't read as a stream.
            with gzip.open(tar.extractfile(name)) as inflated, tarfile.open(fileobj=inflated, mode="r|") as layer:
                for member in layer:
                    found["files"] += member.size
                    found["bytecode"] += member.size if member.name.endswith(".pyc") else 0
    return found


def length(stream: IO[bytes]) -> int:
    """Bytes in a stream, after decompression of every gzip member in it if it is gzip."""
    head = stream.read(2)
    if head != b"\x1f\x8b":
        return len(head) + sum(len(chunk) for chunk in iter(lambda: stream.read(CHUNK), b""))
    total, inflating, waiting = 0, zlib.decompressobj(GZIP), head
    while waiting or (waiting := stream.read(CHUNK)):
        if inflating.eof:
            inflating = zlib.decompressobj(GZIP)
        total += len(inflating.decompress(waiting))
        waiting = inflating.unused_data
    return total
