"""Strips a virtual environment by hand, as far as is known to be safe.

Test suites, C and Cython sources and headers go, type stubs too unless some package reads its own, and
every shared object loses its symbol table: with the original put back where `strip` ruined it, which it
does to some wheels' libraries with exit status 0. Metadata and packages called `testing` stay: others
import them.
"""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

SOURCES = {".h", ".hpp", ".a", ".pxd", ".pyx", ".c", ".cpp"}
PT_LOAD = 1


def main(environment: Path) -> None:
    packages = next(environment.glob("lib/python3*/site-packages"))
    stubs_are_read = (packages / "lazy_loader").exists()
    unwanted = SOURCES if stubs_are_read else SOURCES | {".pyi"}
    for directory, names, files in os.walk(packages):
        here = Path(directory)
        for suite in {"test", "tests"} & set(names):
            shutil.rmtree(here / suite)
            names.remove(suite)
        for file in map(here.joinpath, files):
            if file.suffix in unwanted:
                file.unlink()
            elif ".so" in file.name and file.read_bytes()[:4] == b"\x7fELF":
                strip(file)


def strip(file: Path) -> None:
    """Strips `file` unless that breaks it or gains nothing."""
    original, mode = file.read_bytes(), file.stat().st_mode
    stripped = file.with_name(f"{file.name}.stripped")
    done = subprocess.run(["strip", "-s", "-o", stripped, file], stderr=subprocess.DEVNULL)
    if done.returncode == 0 and stripped.stat().st_size < len(original) and loads(stripped.read_bytes()):
        stripped.chmod(mode)
        stripped.rename(file)
    else:
        stripped.unlink(missing_ok=True)


def loads(elf: bytes) -> bool:
    """Whether each segment lies in the file as the loader maps it: page offsets must agree."""
    start, size, count = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    for position in range(start, start + size * count, size):
        kind, _, offset, address = struct.unpack_from("<IIQQ", elf, position)
        align = struct.unpack_from("<Q", elf, position + 48)[0]
        if kind == PT_LOAD and offset % max(4096, align) != address % max(4096, align):
            return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
