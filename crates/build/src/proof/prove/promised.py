"""Tries whether what is installed for this interpreter can be imported, found and loaded, and its programs started.

Reads a request as JSON from its standard input and writes what came of it to its standard output, one JSON object a
line. Runs on Python 3.8 and later, with nothing but the standard library; it writes nothing to any disk.

Every distribution gets a forked child, so that none sees another's modules, and what crashes takes no other with it.
A child imports its modules in order; what fails or crashes there is tried again in a child of its own, whose word
counts. Nothing that this process imports for itself is unloaded: it is the interpreter's own library.
"""
import sys

# The caller's directory is no place of modules.
sys.path[:] = [entry for entry in sys.path if entry not in ("", ".")]

import ast
import contextlib
import importlib
import importlib.machinery
import json
import os
import re
import select
import signal
import time
from importlib import metadata

# What isn't there to be imported, by any part of its name.
NEVER = {"tests", "test", "_tests", "_test", "conftest", "__main__", "idlelib", "turtledemo", "antigravity", "this"}
# What is imported only where every module is asked for.
SELDOM = {"examples", "example", "benchmarks", "_vendor", "_vendored_packages", "vendored"}
# The standard library has them elsewhere.
FOREIGN = {"_msi", "_overlapped", "_scproxy", "_winapi", "msilib", "msvcrt", "nt", "winreg", "winsound", "java",
           "org", "vms_lib", "_winreg", "os2", "_ios_support", "_android_support", "_osx_support"}
SUFFIXES = sorted(importlib.machinery.all_suffixes(), key=len, reverse=True)
# What so many distributions need is imported once for all.
COMMON = 3
# Where programs lie of which no list of files speaks.
SCRIPTS = [os.path.dirname(sys.executable), os.path.join(sys.prefix, "bin")]
RESULTS = None


def say(line):
    data = (json.dumps(line, ensure_ascii=True) + "\n").encode()
    while data:
        data = data[os.write(RESULTS, data):]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def module_of(path):
    """Returns the names of a file's module and whether it is a package, or none."""
    parts = str(path).split("/")
    for suffix in SUFFIXES:
        if parts[-1].endswith(suffix):
            parts[-1] = parts[-1][: -len(suffix)]
            break
    else:
        return None
    package = parts[-1] == "__init__"
    names = tuple(parts[:-1] if package else parts)
    if names and all(name.isidentifier() for name in names):
        return names, package
    return None


def passed_over(names):
    return any(name in NEVER or name.startswith("test_") for name in names)


def is_public(names):
    return not any(name.startswith("_") or name in SELDOM for name in names)


def is_lazy(path):
    """Tells whether a package imports its modules only when somebody asks for them, by its `__init__`."""
    try:
        with open(path, "rb") as file:
            code = file.read()
        if b"lazy_loader" in code:
            return True
        if b"__getattr__" not in code or not path.endswith(".py"):
            # Bytecode in the place of a source tells no function from a method.
            return b"__getattr__" in code
        return any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in ast.parse(code).body)
    except (OSError, SyntaxError, ValueError):
        return False


def modules_of(files, depth, locate=None):
    """Returns the top-level modules of some files, and those below that are tried too.

    Those directly in a package that imports nothing by itself are tried where `locate` says where files lie.
    """
    found, inits = {}, {}
    for file in files:
        module = module_of(file)
        if module and not passed_over(module[0]):
            found[module[0]] = module[1] or found.get(module[0], False)
            if module[1] and locate:
                inits[module[0]] = file
    packages = {names for names, package in found.items() if package}
    parents = {names[:-1] for names in found if names not in packages and is_public(names[1:])} & set(inits)
    lazy = {names for names in parents if is_public(names[1:]) and is_lazy(str(locate(inits[names])))}
    top, below = [], []
    for names in sorted(found):
        if not any(names[:length] in packages for length in range(1, len(names))):
            # A file in a directory that is no package may be anything.
            (top if len(names) == 1 or found[names] else below).append(".".join(names))
        elif depth == "all":
            below.append(".".join(names))
        elif depth == "packages" and (found[names] or names[:-1] in lazy) and is_public(names[1:]):
            below.append(".".join(names))
    return top, below


def headers_of(distribution):
    """Returns what a distribution says of itself, by lower-case names, several values each.

    `importlib.metadata` reads whole descriptions, and does so again for each name that is asked for.
    """
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    found = {}
    for line in text.split("\n\n", 1)[0].splitlines():
        name, colon, value = line.partition(":")
        if colon and not name[:1].isspace():
            found.setdefault(name.lower(), []).append(value.strip())
    return found


def needs_of(requires):
    """Yields the names of what a distribution needs, each with the condition under which it does."""
    for line in requires or []:
        need, _, condition = line.partition(";")
        name = re.match(r"\s*([A-Za-z0-9._-]+)", need)
        if name:
            yield normal(name.group(1)), condition


def reach_of(needs):
    """Returns what distributions need, and what that needs, however far."""
    reach = {}
    for name in needs:
        found, pending = set(), [name]
        while pending:
            for other in needs.get(pending.pop(), set()) - found:
                found.add(other)
                pending.append(other)
        reach[name] = found - {name}
    return reach


def common(reach, tops):
    """Returns the modules at the top of what several distributions need, at first what needs the least itself."""
    often = [name for name in reach if sum(name in others for others in reach.values()) >= COMMON]
    return [module for name in sorted(often, key=lambda name: (len(reach[name]), name)) for module in tops[name]]


def scripts_of(distribution, files):
    """Returns the programs of a distribution: for each name its file, if there is one, and its entry point."""
    found = {}
    for file in files:
        parts = str(file).split("/")
        if parts[0] == ".." and parts[-2] == "bin":
            path = os.path.normpath(str(distribution.locate_file(file)))
            if os.path.isfile(path) and os.access(path, os.X_OK):
                found[parts[-1]] = path, None
    for entry in distribution.entry_points:
        if entry.group == "console_scripts":
            near = (os.path.join(directory, entry.name) for directory in SCRIPTS)
            path = found.get(entry.name, (next(filter(os.path.isfile, near), None),))[0]
            found[entry.name] = path, entry.value
    return found


def words_of(path, value):
    """Returns what starts a program: its own file, else its entry point's function."""
    if path:
        return [path, "--help"]
    module, _, attributes = value.split("[")[0].strip().partition(":")
    begin = "import importlib, sys; sys.path[:] = [entry for entry in sys.path if entry not in ('', '.')]; "
    call = "sys.exit(importlib.import_module(%r).%s())" % (module.strip(), attributes.strip())
    return [sys.executable, "-B", "-s", "-c", begin + call, "--help"]


def of_scripts(programs, wish, is_there):
    """Returns a batch for each program that is wished for, and the names of all."""
    batches = []
    for of, (scripts, lacks) in programs.items():
        for name, (path, value) in sorted(scripts.items()):
            if name in wish if isinstance(wish, list) else value is None or is_there(of, value):
                kind = "named" if isinstance(wish, list) else "console_scripts"
                batches.append((of, [("script", name + " --help", words_of(path, value), kind)], lacks))
    return batches, sorted({name for scripts, _ in programs.values() for name in scripts})


def of_distributions(depth, gone, scripts):
    seen = {}
    for distribution in metadata.distributions():
        headers = headers_of(distribution)
        name = headers.get("name", [""])[0]
        if name and normal(name) not in seen:
            seen[normal(name)] = (distribution, headers)
    batches, provided, needs, tops, codes, programs = [], set(), {}, {}, {}, {}
    for name, (distribution, headers) in sorted(seen.items()):
        files = [file for file in distribution.files or []]
        top, below = modules_of(files + gone.get(name, []), depth, distribution.locate_file)
        if not files:
            lines = (distribution.read_text("top_level.txt") or "").split()
            top = [line for line in lines if line.isidentifier() and not passed_over([line])]
        provided.update(module.split(".")[0] for module in top + below)
        items = [("module", module, None, "top") for module in top]
        items += [("module", module, None, "below") for module in below]
        for entry in distribution.entry_points:
            items.append(("entry", entry.group + ": " + entry.name + " = " + entry.value, entry.value, entry.group))
        libraries = []
        for file in files:
            last = str(file).split("/")[-1]
            if last.endswith(".so") or ".so." in last:
                path = str(distribution.locate_file(file))
                if os.path.isfile(path):
                    kind = "top" if module_of(file) else "below"
                    libraries.append(("library", os.path.realpath(path), None, kind))
        version = headers.get("version", [""])[0]
        # What was installed without a wheel has a file of its own for what it needs.
        requires = list(needs_of(headers.get("requires-dist") or distribution.requires))
        lacks = [need for need, condition in requires if not condition and need not in seen]
        needs[name] = {need for need, condition in requires if "extra" not in condition}
        tops[name], codes[name] = top, bool(top or below or not files)
        say({"distribution": name, "version": version, "lacks": lacks})
        batches.append((name, items, bool(lacks)))
        batches.append((name, sorted(set(libraries)), bool(lacks)))
        if scripts:
            programs[name] = scripts_of(distribution, files), bool(lacks)

    def is_there(of, value):
        """Tells whether the module of an entry point may be."""
        return codes[of] or re.split(r"[.:\s\[]", value.strip())[0] in provided

    # What is left of a distribution without code promises nothing of its own.
    batches = [
        (name, [item for item in items if item[0] != "entry" or is_there(name, item[2])], lacks)
        for name, items, lacks in batches
    ]
    reach, sizes = reach_of(needs), {}
    for name, items, _ in batches:
        sizes[name] = sizes.get(name, 0) + len(items)
    # What is imported with it takes memory, too.
    batches.sort(key=lambda batch: sum(sizes.get(name, 0) for name in reach[batch[0]] | {batch[0]}))
    return batches, provided, common(reach, tops), of_scripts(programs, scripts, is_there)


def is_package(directory):
    """Tells whether a directory is one, by its source or by the bytecode that stands in its place."""
    return any(os.path.isfile(os.path.join(directory, "__init__" + suffix)) for suffix in (".py", ".pyc"))


def of_standard_library():
    base = os.path.dirname(os.__file__)
    files = []
    for directory, above in ((base, ""), (os.path.join(base, "lib-dynload"), "")):
        for name in sorted(os.listdir(directory) if os.path.isdir(directory) else []):
            files.append(above + name)
            package = os.path.join(directory, name)
            if name.isidentifier() and is_package(package):
                files.append(name + "/__init__.py")
                for inner in sorted(os.listdir(package)):
                    if is_package(os.path.join(package, inner)):
                        files.append(name + "/" + inner + "/__init__.py")
    files = [file for file in files if module_of(file) and module_of(file)[0][0] not in FOREIGN]
    top, below = modules_of(files, "packages")
    top = sorted(set(top) | {name for name in sys.builtin_module_names if not passed_over([name])})
    names = set(getattr(sys, "stdlib_module_names", ())) | {name.split(".")[0] for name in top}
    return [("module", name, None, "standard") for name in top + below], names


def wanted(batches, only):
    """Keeps the items that were asked for; without a wish, all."""
    if only is None:
        return batches
    only = {tuple(item) for item in only}
    return [
        (of, [item for item in items if (of, item[0], item[1]) in only], lacks) for of, items, lacks in batches
    ]
