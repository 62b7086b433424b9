//! What the foreman says is happening, as data; who shows it, and how, is not decided here.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use minke_cas::Meter;
use serde::{Deserialize, Serialize};

/// A hop of the pipeline (DESIGN.md, "From `minke build` to an image").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// Reading the project and its files.
    Project,
    /// Resolving or reading the lock.
    Lock,
    /// Reading the distribution's indexes and choosing packages.
    Plan,
    /// Fetching wheels and packages.
    Fetch,
    /// Building the project's own wheels.
    Wheels,
    /// Unpacking packages and wheels.
    Unpack,
    /// Taking away what isn't missed.
    Slim,
    /// Compiling bytecode.
    Bytecode,
    /// Writing layers.
    Layers,
    /// Trying whether the image works.
    Proof,
    /// Writing the image and handing it over.
    Deliver,
    /// Reading the cache again; no build does.
    Verify,
}

/// What a meter counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Pieces of work: files, packages.
    Pieces,
}

/// Something that happened, in the order in which it did.
#[derive(Clone, Debug)]
pub enum Event {
    /// A hop begins; the meter is read while it lasts.
    Started {
        /// Which hop.
        hop: Hop,
        /// What its meter counts.
        unit: Unit,
        /// How far it is.
        meter: Arc<Meter>,
    },
    /// A hop has ended.
    Finished {
        /// Which hop.
        hop: Hop,
        /// How long it took.
        took: Duration,
    },
    /// A decision the user may want to know of, such as which entry point was found.
    Note(String),
    /// Something that was built but may not be what the user wants.
    Warning(String),
}

const UNPOISONED: &str = "no thread panics with this lock";

/// Where events go; cloning gives another handle.
#[derive(Clone)]
pub struct Reporter {
    sender: Option<Sender<Event>>,
    heard: Arc<Mutex<Option<Vec<Said>>>>,
}

/// What was said to the user: a part of a result that is remembered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// As [`Event::Note`].
    Note(String),
    /// As [`Event::Warning`].
    Warning(String),
}

impl Reporter {
    /// Sends every event to a channel; a receiver that is gone is no error.
    pub fn to(sender: Sender<Event>) -> Self {
        Self { sender: Some(sender), heard: Arc::default() }
    }

    /// Tells nobody.
    pub fn silent() -> Self {
        Self { sender: None, heard: Arc::default() }
    }

    /// Runs some work and returns what it said to the user beside its result.
    pub fn overhear<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<Said>) {
        let outer = self.heard.lock().expect(UNPOISONED).replace(Vec::new());
        let result = work();
        let mut heard = self.heard.lock().expect(UNPOISONED);
        let said = heard.take().unwrap_or_default();
        // Who listens to more than this work hears it, too.
        *heard = outer.map(|outer| [outer, said.clone()].concat());
        (result, said)
    }

    /// Says again what was said when a remembered result was made.
    pub fn repeat(&self, said: &[Said]) {
        for said in said {
            match said {
                Said::Note(text) => self.note(text),
                Said::Warning(text) => self.warn(text),
            }
        }
    }

    /// Says what is happening.
    pub fn say(&self, event: Event) {
        let said = match &event {
            Event::Note(text) => Some(Said::Note(text.clone())),
            Event::Warning(text) => Some(Said::Warning(text.clone())),
            Event::Started { .. } | Event::Finished { .. } => None,
        };
        if let (Some(said), Some(heard)) = (said, self.heard.lock().expect(UNPOISONED).as_mut()) {
            heard.push(said);
        }
        self.send(event);
    }

    fn send(&self, event: Event) {
        if let Some(sender) = &self.sender {
            // The one who showed events may have gone first; the work goes on.
            let _ = sender.send(event);
        }
    }

    /// Says something the user may want to know.
    pub fn note(&self, text: impl Into<String>) {
        self.say(Event::Note(text.into()));
    }

    /// Says something about this run alone, which is no part of any result.
    pub fn aside(&self, text: impl Into<String>) {
        self.send(Event::Note(text.into()));
    }

    /// Says that something may not be what the user wants.
    pub fn warn(&self, text: impl Into<String>) {
        self.say(Event::Warning(text.into()));
    }
}
