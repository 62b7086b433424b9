//! Runs a container that nobody sees, and returns what it says: for asking an image whether it works.
//!
//! It runs as the image will, with its own user, environment and modes, but sealed as a build is: without
//! capabilities, behind the filter of system calls, and within limits. What it writes goes with it.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use minke_cas::{ImagePath, Mode, Owner, Store};
use rustix::fs::{Gid, Uid};
use rustix::process::Resource;
use rustix::thread::CapabilitySet;

use crate::action::{Limits, Status};
use crate::caller::Caller;
use crate::container::{Container, RunError};
use crate::furnish::{self, Ids};
use crate::process::tail_of;
use crate::sandbox::{self, Filter, Launch, Signals};
use crate::sealed::{DESCRIPTORS, counted};
use crate::watch;

/// What a container did that nobody saw.
#[derive(Clone, Debug)]
pub struct Observed {
    /// How it ended.
    pub status: Status,
    /// What it wrote to its standard output, as much of it as its limits allow for outputs.
    pub output: Vec<u8>,
    /// The end of what it wrote to its standard error, at most 64 KiB.
    pub log: String,
}

impl Container {
    /// Runs the container sealed and within limits, hands it `input`, and returns what came of it.
    ///
    /// Its terminal isn't looked at. `/tmp` is made where the image has none. It is killed when the calling thread
    /// ends.
    ///
    /// # Errors
    /// [`RunError`]; a program that fails or takes too much is no error.
    pub fn observe(&self, store: &Store, input: Vec<u8>, limits: &Limits) -> Result<Observed, RunError> {
        let mut container = self.clone();
        let temporary: ImagePath = "/tmp".parse().expect("a literal path is one");
        if container.root.resolve(&temporary).is_none() {
            let made = container.root.set_directory(&temporary, Mode::from_bits(0o1777), Owner::default());
            made.expect("what isn't there is no file");
        }
        container.observed(store, input, limits)
    }

    fn observed(&self, store: &Store, input: Vec<u8>, limits: &Limits) -> Result<Observed, RunError> {
        if self.argv.is_empty() {
            return Err(RunError::NoProgram);
        }
        let caller = Caller::of_process(self.network.into());
        let room = store.room(&self.root, caller.ownership())?;
        let scratch = store.scratch()?;
        let mut steps = self.steps(&caller, (&room, &scratch), None)?;
        steps.insert(0, furnish::first_to_be_killed());

        let (stdin, mut ours) = io::pipe().map_err(pipe)?;
        let (reader, stdout) = io::pipe().map_err(pipe)?;
        let (errors, stderr) = io::pipe().map_err(pipe)?;
        let user = (self.user.uid, self.user.gid);
        let theirs: [OwnedFd; 3] = [stdin.into(), stdout.into(), stderr.into()];
        if caller.is_superuser() {
            // Else the program could not open `/dev/stdout`, which is this.
            for end in &theirs {
                let (uid, gid) = (Uid::from_raw(user.0), Gid::from_raw(user.1));
                rustix::fs::fchown(end.as_fd(), Some(uid), Some(gid)).map_err(|errno| pipe(errno.into()))?;
            }
        }
        let (_, mut program) = self.program(&caller, None)?;
        program.stdio = theirs.map(Some);
        program.capabilities = CapabilitySet::empty();
        program.limits = vec![
            (Resource::Core, 0),
            (Resource::Fsize, limits.output_bytes),
            (Resource::Nproc, limits.processes),
            (Resource::Nofile, DESCRIPTORS),
        ];
        if caller.is_superuser() {
            program.own_users = furnish::maps(Ids { inside: user, outside: user });
        }
        program.filter = Some(Filter::for_strangers());
        let launch = Launch { namespaces: caller.namespaces, steps, program };
        let running = sandbox::launch(launch, Signals::Kept).map_err(|error| self.explained(error))?;
        // What doesn't read its input says why by how it ends.
        std::thread::spawn(move || ours.write_all(&input));
        let log = tail_of(errors);
        let most = limits.output_bytes;
        let output = std::thread::spawn(move || beginning_of(reader, most));
        let status = watch::until_end(running, &counted(limits, &caller), scratch.path());
        let output = output.join().expect("reading does not panic");
        let log = String::from_utf8_lossy(&log.recv().unwrap_or_default()).into_owned();
        Ok(Observed { status, output, log })
    }
}

/// Reads until the end, and keeps as much as is allowed.
fn beginning_of(mut reader: impl Read, most: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    // A pipe that breaks is one that ends.
    let _ = reader.by_ref().take(most).read_to_end(&mut kept);
    let _ = io::copy(&mut reader, &mut io::sink());
    kept
}

fn pipe(source: io::Error) -> RunError {
    RunError::Setup { what: "make a pipe".to_owned(), source }
}
