# Things are tried in children, several at once, and told one after the other.

# How many seconds it may take to import for all what many need.
WARMING = 60
# How many bytes all children may hold, for each that runs at once, as long as more are started.
SHARE = 32 << 20
# How many threads linear algebra starts as it is loaded.
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


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
            is_final = outcome.get("how") in ("time", "untried") or self.is_absent(outcome)
            is_final = is_final or self.items[index][0] == "script"
            if not outcome["ok"] and not is_final:
                # Others were imported before it: what it is by itself counts.
                self.alone.append(index)
        else:
            self.alone.remove(index)
        self.outcomes[index] = outcome

    def is_absent(self, outcome):
        """Tells whether something fails for want of a module that nothing here has: whatever was imported before."""
        missing = outcome.get("module", "").split(".")[0]
        return bool(missing) and missing not in self.here

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


def held(process):
    """Returns how many bytes a process holds that no other does."""
    try:
        with open("/proc/%d/smaps_rollup" % process) as lines:
            return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_Dirty:"))
    except OSError:
        return 0


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
    """Tries batches, of which the last take the most.

    Half of the children begin with those and half with the others, which wait as long as much is held: what the
    largest distributions import does not fit into memory twice everywhere.
    """
    waiting, running, last = list(batches), [], set()
    while waiting or running:
        while waiting and len(running) < request["jobs"]:
            is_last = 2 * len(last) <= len(running)
            if not is_last and sum(held(batch.child) for batch in running) > SHARE * request["jobs"]:
                break
            batch = waiting.pop() if is_last else waiting.pop(0)
            if not batch.next():
                report(batch)
                continue
            batch.start(request)
            running.append(batch)
            if is_last:
                last.add(id(batch))
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
                last.discard(id(batch))
                waiting.append(batch)


def try_warm(batches, modules, request):
    """Tries everything in a process that has imported before what many need.

    What works there works: a module that a rule took is nowhere to be imported from. What doesn't is left to be tried
    without, unless it is for want of what nothing here has.
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
                if outcome["ok"] or batch.is_absent(outcome):
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
