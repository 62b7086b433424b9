"""Runs a script under qemu-user, without which nothing of the image's architecture starts: not its children either.

Its first argument is the emulator, the rest the script and its arguments.
"""

import runpy
import subprocess
import sys

EMULATOR, sys.argv[:] = sys.argv[1], sys.argv[2:]


class Emulated(subprocess.Popen):
    def __init__(self, args, *more, **named):
        super().__init__(args if isinstance(args, str) else [EMULATOR, *args], *more, **named)


subprocess.Popen = Emulated
# An emulated posix_spawn doesn't say that there is no such program.
subprocess._USE_POSIX_SPAWN = False
runpy.run_path(sys.argv[0], run_name="__main__")
