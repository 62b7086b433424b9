"""A PEP 517 frontend: runs one hook of a build backend and writes what it returns into `out`.

Everything lies beside this file: `request.json`, the source tree `src`, and the build requirements, installed,
in `site`. The working directory is this one; nothing is assumed about where it is.
"""

import importlib
import json
import os
import site
import sys


def prepare(root):
    for name in ["home", "out", "tmp"]:
        os.makedirs(os.path.join(root, name), exist_ok=True)
    os.umask(0o022)
    os.environ["HOME"] = os.path.join(root, "home")
    os.environ["TMPDIR"] = os.path.join(root, "tmp")
    packages = os.path.join(root, "site")
    scripts = os.path.join(packages, "bin")
    # Debian has no `python` without a number; at the end of the path is one, for sources that begin with `env python`.
    interpreters = os.path.join(root, "env", "bin")
    os.environ["PATH"] = os.pathsep.join([scripts, "/usr/local/bin", "/usr/bin", "/bin", interpreters])
    # For what the backend starts; this process has read its own already.
    os.environ["PYTHONPATH"] = packages
    sys.path[:] = [entry for entry in sys.path if entry and os.path.abspath(entry) != root]
    known = set(sys.path)
    site.addsitedir(packages)
    # In front of what the distribution may bring: these versions are the ones that were asked for.
    sys.path.sort(key=lambda entry: entry in known)
    os.chdir(os.path.join(root, "src"))


def load(backend, backend_path):
    source = os.path.realpath(os.getcwd())
    paths = [os.path.realpath(os.path.join(source, entry)) for entry in backend_path]
    for path in paths:
        if os.path.commonpath([path, source]) != source:
            sys.exit("the backend-path %s leaves the project" % path)
    sys.path[:0] = paths
    module, _, attribute = backend.partition(":")
    loaded = importlib.import_module(module)
    if paths and not any(os.path.realpath(loaded.__file__ or "").startswith(path + os.sep) for path in paths):
        sys.exit("the backend %s does not lie in the backend-path" % module)
    for name in filter(None, attribute.split(".")):
        loaded = getattr(loaded, name)
    return loaded


def main():
    root = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(root, "request.json"), encoding="utf-8") as file:
        request = json.load(file)
    prepare(root)
    out = os.path.join(root, "out")
    backend = load(request["backend"], request["backend_path"])
    settings = request["config_settings"]
    if request["hook"] == "requires":
        hook = getattr(backend, "get_requires_for_build_wheel", None)
        answer = list(hook(settings)) if hook else []
    else:
        answer = backend.build_wheel(out, settings, None)
    with open(os.path.join(root, "out", "answer.json"), "w", encoding="utf-8") as file:
        json.dump(answer, file)


main()
