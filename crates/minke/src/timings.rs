//! What took how long, on which thread, as a trace that browsers' profilers and Perfetto show.
//!
//! Spec: <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU> (Trace Event Format)

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::layer::SubscriberExt;

/// A trace that is being taken.
pub(crate) struct Recording {
    place: PathBuf,
    guard: FlushGuard,
    taken: Taken,
}

/// A trace cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the timings to `{}`", place.display())]
pub(crate) struct TimingsError {
    place: PathBuf,
    source: io::Error,
}

/// The trace so far, in memory: a disk that is full is told at the end.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<Vec<u8>>>);

impl Write for Taken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect(UNPOISONED).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const UNPOISONED: &str = "no thread panics with this lock";

impl Recording {
    /// Begins; all threads of the process are recorded from now on.
    pub(crate) fn begin(place: &Path) -> Self {
        let taken = Taken::default();
        let (layer, guard) = ChromeLayerBuilder::new().writer(taken.clone()).include_args(true).build();
        // A process records once: another recorder there is none.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
        Self { place: place.to_owned(), guard, taken }
    }

    /// Ends, and writes the trace.
    ///
    /// # Errors
    /// [`TimingsError`].
    pub(crate) fn end(self) -> Result<(), TimingsError> {
        let Self { place, guard, taken } = self;
        // Its thread ends with it, and has written all by then.
        drop(guard);
        let taken = std::mem::take(&mut *taken.0.lock().expect(UNPOISONED));
        fs::write(&place, taken).map_err(|source| TimingsError { place, source })
    }
}
