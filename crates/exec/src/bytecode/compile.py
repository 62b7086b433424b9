"""Compiles sources to unchecked-hash .pyc files and streams them to minke.

stdin:  MODE JOBS, then for each file IMAGE_PATH STORE_PATH OFFSET LENGTH; every field ends with NUL.
stdout: the cache tag and a newline, then for each file in order one frame: its kind (`c`ompiled or
        `f`ailed), its number and its length (4 bytes each, little-endian), and the .pyc or the message.

What CPython writes depends on what the process compiled before (equal constants are merged or not), so
nothing here may depend on anything but the sources and their order.
"""

import os
import sys
import warnings

sys.path[:] = [entry for entry in sys.path if entry]

from importlib.machinery import SourceFileLoader
from importlib.util import source_hash
from importlib._bootstrap_external import _code_to_hash_pyc


def read(store_path, offset, length):
    with open(store_path, "rb", buffering=0) as source:
        source.seek(offset)
        parts = []
        while length:
            part = source.read(length)
            if not part:
                raise EOFError("%s is shorter than was recorded" % store_path)
            parts.append(part)
            length -= len(part)
    return b"".join(parts)


def compiled(image_path, source):
    """What py_compile does with PycInvalidationMode.UNCHECKED_HASH, without writing a file."""
    try:
        code = SourceFileLoader("<py_compile>", image_path).source_to_code(source, image_path)
        return b"c", bytes(_code_to_hash_pyc(code, source_hash(source), False))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        message = "%s: %s" % (type(error).__name__, error)
        return b"f", message.encode("utf-8", "backslashreplace")[:4096]


def write_all(stream, data):
    view = memoryview(data)
    while view:
        view = view[stream.write(view):]


def frame(stream, number, kind, body):
    write_all(stream, kind + number.to_bytes(4, "little") + len(body).to_bytes(4, "little"))
    write_all(stream, body)


def one_process(out, files):
    for number, (image_path, store_path, offset, length) in enumerate(files):
        frame(out, number, *compiled(image_path, read(store_path, offset, length)))


def fork(number, file):
    image_path, store_path, offset, length = file
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    status = 1
    try:
        os.close(reader)
        with open(writer, "wb", buffering=0) as stream:
            frame(stream, number, *compiled(image_path, read(store_path, offset, length)))
        status = 0
    except BaseException as error:
        os.write(2, ("%s: %s: %s\n" % (image_path, type(error).__name__, error)).encode("utf-8", "replace"))
    finally:
        os._exit(status)


def fork_per_file(out, files, jobs):
    running = []
    following = 0
    for number in range(len(files)):
        while following < len(files) and len(running) < jobs:
            running.append(fork(following, files[following]))
            following += 1
        pid, reader = running.pop(0)
        with open(reader, "rb", buffering=0) as stream:
            write_all(out, stream.readall())
        _, status = os.waitpid(pid, 0)
        if status:
            # As `os.waitstatus_to_exitcode` says it, which Python 3.8 hasn't got.
            ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            sys.exit("the process that compiled %s ended with %d" % (files[number][0], ended))


def main():
    warnings.simplefilter("ignore")
    fields = [os.fsdecode(field) for field in sys.stdin.buffer.read().split(b"\0")]
    mode, jobs, listed = fields[0], int(fields[1]), fields[2:-1]
    files = [
        (listed[at], listed[at + 1], int(listed[at + 2]), int(listed[at + 3]))
        for at in range(0, len(listed), 4)
    ]
    out = open(1, "wb", buffering=0)
    write_all(out, sys.implementation.cache_tag.encode() + b"\n")
    if mode == "one-process":
        one_process(out, files)
    else:
        fork_per_file(out, files, jobs)


main()
# What else the interpreter would do at its end is for nobody.
os._exit(0)
