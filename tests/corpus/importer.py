"""Imports every module of one distribution, and writes which could be, as JSON: run inside an image.

A child imports one after the other; where it dies or hangs, the next child goes on behind that module. What is about
tests comes last, so that nothing depends on what a test suite has done.
"""

import importlib
import importlib.metadata
import json
import os
import re
import select
import signal
import sys
import time

NAME = "{name}"
LIMIT_SECONDS = 60
TESTS = re.compile(r"(^|[._])((c|cy)?tests?|conftest|idle_test)([._]|$)")
SUFFIX = re.compile(r"(\.py|\.cpython-[^/]*\.so|\.abi3\.so|\.so)$")


def modules():
    names = set()
    for file in importlib.metadata.files(NAME) or []:
        path = str(file)
        if path.startswith("..") or not SUFFIX.search(path) or ".dist-info/" in path:
            continue
        parts = SUFFIX.sub("", path).split("/")
        if parts[-1] == "__init__":
            parts.pop()
        name = ".".join(parts)
        if parts and all(part.isidentifier() for part in parts) and parts[-1] != "__main__":
            names.add(name)
    return sorted(names, key=lambda name: (bool(TESTS.search(name)), name))


def child(names, pipe):
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for name in names:
        try:
            importlib.import_module(name)
            said = "+"
        except BaseException as error:
            said = f"-{type(error).__name__}: {error}"[:300].replace("\n", " ")
        os.write(pipe, (said + "\n").encode("utf-8", "replace"))
    os._exit(0)


def main():
    names = modules()
    outcome = {}
    while len(outcome) < len(names):
        left = names[len(outcome):]
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:
            child(left, writer)
        os.close(writer)
        rest = b""
        began = time.monotonic()
        while True:
            ready, _, _ = select.select([reader], [], [], max(0, began + LIMIT_SECONDS - time.monotonic()))
            part = os.read(reader, 65536) if ready else b""
            if not part:
                break
            began = time.monotonic()
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                outcome[names[len(outcome)]] = line.decode()
        os.close(reader)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        if len(outcome) < len(names):
            outcome[names[len(outcome)]] = "-it ended the process or took too long"
    print(json.dumps(outcome))


main()
sys.stdout.flush()
