# One thing is tried, and why it fails is found out.

# How long a reason may be.
LONGEST = 2000
# How many of a program's last lines are its reason, where it says nothing better.
LAST = 3


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
