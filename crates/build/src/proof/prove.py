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
LONGEST = 2000
# How many of a program's last lines are its reason, where it says nothing better.
LAST = 3
# What so many distributions need is imported once for all.
COMMON = 3
# How many seconds that may take.
WARMING = 60
# Where programs lie of which no list of files speaks.
SCRIPTS = [os.path.dirname(sys.executable), os.path.join(sys.prefix, "bin")]
# How many threads linear algebra starts as it is loaded.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
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


def common(needs, tops):
    """Returns the modules at the top of what several distributions need, at first what needs the least itself."""
    reach = {}
    for name in needs:
        found, pending = set(), [name]
        while pending:
            for other in needs.get(pending.pop(), set()) - found:
                found.add(other)
                pending.append(other)
        reach[name] = found - {name}
    often = [name for name in needs if sum(name in others for others in reach.values()) >= COMMON]
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
    return batches, provided, common(needs, tops), of_scripts(programs, scripts, is_there)


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


def load(item):
    what, name, value, _ = item
    if what == "module":
        importlib.import_module(name)
    elif what == "entry":
        module, _, attributes = value.split("[")[0].strip().partition(":")
        found = importlib.import_module(module.strip())
        for attribute in filter(None, attributes.strip().split(".")):
            found = getattr(found, attribute)
    else:
        import ctypes

        ctypes.CDLL(name, mode=os.RTLD_NOW | os.RTLD_LOCAL)


def run_script(words, limit):
    """Runs a program in a process of its own, with nothing to read, and returns what came of it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(writer, 2)
            os.execv(words[0], words)
        except OSError as error:
            os.write(2, ("it cannot be started: %s" % error).encode())
        finally:
            os._exit(126)
    os.close(writer)
    heard, pipes, until = b"", [reader], time.monotonic() + limit
    is_over = slow = False
    while True:
        ready = select.select(pipes, [], [], 0 if is_over else 0.05)[0]
        if ready:
            data = os.read(reader, 65536)
            heard = (heard + data)[-8 * LONGEST :]
            pipes = pipes if data else []
        late = time.monotonic() > until
        # What it said before its end is there by then; what others of its hold open is not waited for.
        if is_over and (late or not ready):
            break
        if not is_over:
            slow = late
            if slow:
                os.kill(child, signal.SIGKILL)
            ended_one, status = os.waitpid(child, 0 if slow else os.WNOHANG)
            is_over = ended_one != 0
    os.close(reader)
    if slow:
        return {"ok": False, "how": "time", "message": ""}
    if status == 0:
        return {"ok": True}
    return dict(reason_of(heard), ok=False, how=ending(status))


def reason_of(heard):
    """Returns what a program's last lines say: of a traceback its end, with the module or library that is missing."""
    lines = [line.rstrip() for line in heard.decode("utf-8", "replace").splitlines() if line.strip()]
    traces = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent")]
    if traces:
        below = [line for line in lines[traces[-1] + 1 :] if not line[0].isspace()]
        lines = below[:1] or lines
    outcome = {"message": " ".join(line.strip() for line in lines[-LAST:])[-LONGEST:]}
    missing = re.match(r"ModuleNotFoundError: No module named '([^']+)'", outcome["message"])
    library = re.match(r"\w*Error: ([^\s:]+): cannot open shared object file", outcome["message"])
    if traces and missing:
        outcome["module"] = missing.group(1)
    elif traces and library:
        outcome["file"] = library.group(1)
    return outcome


def ending(status):
    if not os.WIFSIGNALED(status):
        return "exit %d" % os.WEXITSTATUS(status)
    try:
        return signal.Signals(os.WTERMSIG(status)).name
    except ValueError:
        return "signal %d" % os.WTERMSIG(status)


def chain(error):
    """Yields an error and what led to it, the first cause last."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def failure(error):
    outcome = {"how": type(error).__name__, "message": first_line(error)}
    errors = list(chain(error))
    for cause in errors:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            outcome["module"] = str(cause.name)
        elif isinstance(cause, OSError) and isinstance(cause.filename, str):
            outcome["file"] = cause.filename
        elif isinstance(cause, (OSError, ImportError)):
            named = re.match(r"([^\s:]+): cannot open shared object file", str(cause))
            if named:
                outcome["file"] = named.group(1)
    trace = errors[-1].__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        outcome["at"] = trace.tb_frame.f_code.co_filename
    return outcome


def first_line(error):
    try:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    except BaseException:
        lines = []
    return " ".join(lines)[:LONGEST]


def attempt(item, limit):
    began = time.monotonic()
    try:
        if item[0] == "script":
            outcome = run_script(item[2], limit)
        else:
            load(item)
            outcome = {"ok": True}
    except BaseException as error:
        outcome = dict(failure(error), ok=False)
    outcome["seconds"] = round(time.monotonic() - began, 3)
    return outcome


class Batch:
    """Some items that are tried in one child after the other, and what is known of it."""

    def __init__(self, of, items, lacks, here):
        self.of, self.items, self.lacks, self.here = of, items, lacks, here
        self.waiting = list(range(len(items)))
        self.alone = []
        self.todo = []
        self.outcomes = {}
        self.child = None
        self.silent = ()

    def next(self):
        if self.waiting:
            return self.waiting
        return self.alone[:1]

    def start(self, request):
        results, write = os.pipe()
        said, speak = os.pipe()
        todo = self.todo = list(self.next())
        self.together = bool(self.waiting)
        sys.stdout.flush()
        self.child = os.fork()
        if self.child == 0:
            os.close(results)
            os.close(said)
            budget = request["budget"] if self.together else None
            run(self, list(todo), (write, speak), (budget, request.get("script_limit")))
        os.close(write)
        os.close(speak)
        self.results, self.said = results, said
        self.pending, self.heard, self.since = b"", b"", time.monotonic()

    def read(self):
        data = os.read(self.results, 65536)
        self.pending += data
        lines = self.pending.split(b"\n")
        self.pending = lines.pop()
        for line in lines:
            line = json.loads(line)
            if "start" in line:
                self.since = time.monotonic()
            else:
                self.settle(line.pop("item"), line)
        return bool(data)

    def listen(self):
        data = os.read(self.said, 65536)
        self.heard = (self.heard + data)[-LONGEST:]
        return bool(data)

    def settle(self, index, outcome):
        self.todo.remove(index)
        if self.together:
            self.waiting.remove(index)
            missing = outcome.get("module", "").split(".")[0]
            is_final = outcome.get("how") in ("time", "untried") or (missing and missing not in self.here)
            is_final = is_final or self.items[index][0] == "script"
            if not outcome["ok"] and not is_final:
                # Others were imported before it: what it is by itself counts.
                self.alone.append(index)
        else:
            self.alone.remove(index)
        self.outcomes[index] = outcome

    def end(self, status, slow):
        """Takes leave of a child; what it was at is its end's reason."""
        try:
            os.killpg(self.child, signal.SIGKILL)
        except OSError:
            pass
        os.close(self.results)
        os.close(self.said)
        self.child = None
        if not self.todo:
            return
        # It does one after the other: what it hasn't begun yet is the next.
        index = self.todo[0]
        heard = self.heard.decode("utf-8", "replace").strip().splitlines()
        message = " ".join(heard[-1:])[:LONGEST]
        how = "time" if slow else ending(status)
        if not slow and os.WIFSIGNALED(status):
            fatal = [line for line in heard if line.startswith(("Fatal", "Illegal", "terminate"))]
            message = (fatal or [message])[0][:LONGEST]
        seconds = round(time.monotonic() - self.since, 3)
        self.settle(index, {"ok": False, "how": how, "message": message, "seconds": seconds})


def run(batch, todo, pipes, limits):
    """Is the child: tries items and says what came of each."""
    global RESULTS
    budget, script_limit = limits
    try:
        os.setsid()
        RESULTS, speak = pipes
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(speak, 1)
        os.dup2(speak, 2)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL if number != signal.SIGPIPE else signal.SIG_IGN)
        import faulthandler

        faulthandler.enable(file=2)
        began = time.monotonic()
        for index in todo:
            item = batch.items[index]
            late = budget is not None and time.monotonic() - began > budget
            if late and item[3] == "below":
                say({"item": index, "ok": False, "how": "untried", "message": "", "seconds": 0})
                continue
            say({"start": True})
            say(dict(attempt(item, script_limit), item=index))
    finally:
        os._exit(0)


def ended(batch, limit):
    """Returns the status of a child that has ended, and whether it was too slow; else none."""
    slow = time.monotonic() - batch.since > limit
    if slow:
        try:
            os.kill(batch.child, signal.SIGKILL)
        except OSError:
            pass
    child, status = os.waitpid(batch.child, 0 if slow else os.WNOHANG)
    return (status, slow) if child else None


def work(batches, request, report):
    waiting = sorted(batches, key=lambda batch: len(batch.items))
    running = []
    while waiting or running:
        while waiting and len(running) < request["jobs"]:
            batch = waiting.pop()
            if not batch.next():
                report(batch)
                continue
            batch.start(request)
            running.append(batch)
        if not running:
            break
        poll = select.poll()
        readers = {}
        for batch in running:
            for descriptor, read in ((batch.results, batch.read), (batch.said, batch.listen)):
                if read not in batch.silent:
                    poll.register(descriptor, select.POLLIN | select.POLLHUP)
                    readers[descriptor] = (batch, read)
        finished = set()
        for descriptor, _ in poll.poll(50):
            batch, read = readers[descriptor]
            if not read():
                batch.silent += (read,)
                if read == batch.read:
                    finished.add(id(batch))
        for batch in list(running):
            over = ended(batch, request["limit"])
            if over is None and id(batch) in finished:
                over = os.waitpid(batch.child, 0)[1], False
            if over is not None:
                drain(batch)
                batch.end(*over)
                batch.silent = ()
                running.remove(batch)
                waiting.append(batch)


def try_warm(batches, modules, request):
    """Tries everything in a process that has imported before what many need.

    What works there works: a module that a rule took is nowhere to be imported from. What doesn't is left to be tried
    without.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            # What starts threads for no work yet is asked not to.
            os.environ.update(dict.fromkeys(THREADS, "1"))
            # What hangs is ended by the signal, and nothing is known then.
            signal.alarm(WARMING)
            for module in modules:
                # Those that need it say so.
                with contextlib.suppress(Exception):
                    importlib.import_module(module)
            signal.alarm(0)
            # A copy of a process has none of its threads, and may wait for one for ever.
            if len(os.listdir("/proc/self/task")) == 1:
                with open(writer, "w") as known:
                    numbers = {id(batch): number for number, batch in enumerate(batches)}

                    def keep(batch):
                        known.write(json.dumps([numbers[id(batch)], batch.outcomes]) + "\n")

                    work(batches, request, keep)
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as known:
        for line in known:
            if not line.endswith("\n"):
                break
            number, outcomes = json.loads(line)
            batch = batches[number]
            for index, outcome in outcomes.items():
                if outcome["ok"]:
                    batch.outcomes[int(index)] = outcome
                    batch.waiting.remove(int(index))
    os.waitpid(child, 0)


def drain(batch):
    """Reads what a child said before its end, though a child of its own may still hold the pipe."""
    for descriptor, read in ((batch.results, batch.read), (batch.said, batch.listen)):
        os.set_blocking(descriptor, False)
        try:
            while read():
                pass
        except BlockingIOError:
            pass


def main():
    global RESULTS
    request = json.loads(sys.stdin.buffer.read())
    # What a module prints is no result.
    RESULTS = os.dup(1)
    os.dup2(2, 1)
    say({"python": "%d.%d.%d" % sys.version_info[:3], "executable": sys.executable, "prefix": sys.prefix})
    wish = request.get("scripts", [])
    batches, provided, warm, programs = of_distributions(request["depth"], request["gone"], wish)
    scripts, names = programs
    if wish:
        say({"scripts": names})
    standard, standard_names = of_standard_library()
    if request["standard"]:
        # It is as much as many a distribution, and none of it waits for another part.
        for start in range(request["jobs"]):
            batches.append(("python", standard[start::request["jobs"]], False))
    here = provided | standard_names
    batches = [Batch(of, items, lacks, here) for of, items, lacks in wanted(batches, request["only"])]
    # Each is a process of its own: what was imported before is nothing to it.
    apart = [Batch(of, items, lacks, here) for of, items, lacks in wanted(scripts, request["only"])]

    def report(batch):
        for index, item in enumerate(batch.items):
            outcome = batch.outcomes[index]
            line = dict(outcome, of=batch.of, what=item[0], name=item[1], kind=item[3])
            missing = outcome.get("module", "").split(".")[0]
            if missing and missing not in here and not batch.lacks:
                line["absent"] = "distribution"
            elif missing and (missing in FOREIGN or (item[3] == "standard" and missing in standard_names)):
                line["absent"] = "standard"
            say(line)

    # An image that others have built is told what each of its distributions does by itself.
    if warm and not request["standard"] and request["only"] is None:
        try_warm(batches, warm, request)
    work(batches + apart, request, report)
    say({"end": True})


main()
# What else the interpreter would do at its end is for nobody.
os._exit(0)
