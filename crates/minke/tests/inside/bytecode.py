"""Compiles the image's own standard library again, as minke does, and compares it with what is there."""

import os
import sys
import warnings
from importlib._bootstrap_external import _code_to_hash_pyc
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source, source_hash

warnings.simplefilter("ignore")
LIBRARY = os.path.dirname(os.__file__)

found = []
for directory, _, names in os.walk(LIBRARY):
    found += [os.path.join(directory, name) for name in names if name.endswith(".py")]

same, other = 0, []
for path in sorted(found, key=lambda path: path.split("/")):
    with open(path, "rb") as file:
        source = file.read()
    code = SourceFileLoader("<py_compile>", path).source_to_code(source, path)
    with open(cache_from_source(path), "rb") as file:
        if file.read() == _code_to_hash_pyc(code, source_hash(source), False):
            same += 1
        else:
            other.append(path)

assert same > 500 and not other, (same, other)
print(os.uname().machine, "has the same bytecode")
