//! Events and results for programs: one JSON object per line.
//!
//! ```text
//! {"event":"started","hop":"fetch","unit":"bytes"}
//! {"event":"progress","hop":"fetch","unit":"bytes","done":1024,"total":4096}
//! {"event":"finished","hop":"fetch","seconds":1.2}
//! {"event":"note","text":"…"}            also "warning"
//! {"event":"error","message":"…","because":["…"],"help":"…","exit":1}
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use minke_build::{Built, Event, Hop, Unit};
use minke_cas::Meter;
use serde_json::{Value, json};

use super::complain;
use super::errors::chain;
use crate::advice::advise;
use crate::failure::Failure;
use crate::foreman::{Change, Housed, ImageLine, Made, Reason};
use crate::task::Verbosity;

/// How often progress is told.
const BEAT: Duration = Duration::from_secs(1);

/// Writes events to standard error as JSON.
pub(crate) struct JsonLines {
    verbosity: Verbosity,
    under_way: BTreeMap<Hop, (Unit, Arc<Meter>)>,
    told: Instant,
}

impl JsonLines {
    /// Starts with nothing written.
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        Self { verbosity, under_way: BTreeMap::new(), told: Instant::now() }
    }

    /// Writes an event, if it is to be written.
    pub(crate) fn event(&mut self, event: Event) {
        let told = match &event {
            Event::Warning(_) => true,
            Event::Started { .. } | Event::Finished { .. } | Event::Note(_) => {
                self.verbosity != Verbosity::Quiet
            }
        };
        if told {
            complain(&self::event(&event).to_string());
        }
        match event {
            Event::Started { hop, unit, meter } => {
                self.under_way.insert(hop, (unit, meter));
            }
            Event::Finished { hop, .. } => {
                self.under_way.remove(&hop);
            }
            Event::Note(_) | Event::Warning(_) => {}
        }
    }

    /// Tells how far all hops are, once a second.
    pub(crate) fn frame(&mut self) {
        if self.verbosity == Verbosity::Quiet || self.told.elapsed() < BEAT {
            return;
        }
        self.told = Instant::now();
        for (hop, (unit, meter)) in &self.under_way {
            let (done, total) = meter.reading();
            let progress = json!({
                "event": "progress", "hop": hop, "unit": unit, "done": done, "total": total,
            });
            complain(&progress.to_string());
        }
    }
}

fn event(event: &Event) -> Value {
    match event {
        Event::Started { hop, unit, .. } => json!({"event": "started", "hop": hop, "unit": unit}),
        Event::Finished { hop, took } => {
            json!({"event": "finished", "hop": hop, "seconds": took.as_secs_f64()})
        }
        Event::Note(text) => json!({"event": "note", "text": text}),
        Event::Warning(text) => json!({"event": "warning", "text": text}),
    }
}

/// Returns what was built, with the line that a person would have got, and the times.
pub(crate) fn built(built: &Built, took: Duration) -> Value {
    let mut value = serde_json::to_value(built).expect("what was built has text keys and finite numbers");
    let hops = built.timings.iter();
    let hops = hops.map(|(hop, took)| json!({"hop": hop, "seconds": took.as_secs_f64()}));
    value["reference"] = built.reference().into();
    value["timings"] = hops.collect();
    value["seconds"] = took.as_secs_f64().into();
    value
}

/// Returns why layers are other ones.
pub(crate) fn why(reasons: Option<&[Reason]>) -> String {
    json!({ "event": "why", "reasons": reasons }).to_string()
}

/// Returns one difference between locks.
pub(crate) fn change(change: &Change) -> String {
    serde_json::to_string(change).expect("a change has text keys")
}

/// Returns one wheel of the wheelhouse.
pub(crate) fn wheel(wheel: &Housed) -> String {
    serde_json::to_string(wheel).expect("a wheel has text keys")
}

/// Returns what came of one source distribution.
pub(crate) fn made(made: &Made) -> String {
    serde_json::to_string(made).expect("what was made has text keys")
}

/// Returns one image of the list.
pub(crate) fn image(image: &ImageLine) -> String {
    serde_json::to_string(image).expect("an image has text keys and finite numbers")
}

/// Returns an error with all that led to it.
pub(crate) fn failure(failure: &Failure) -> Value {
    let advice = advise(failure);
    let because: Vec<String> = chain(failure).skip(1).collect();
    json!({
        "event": "error",
        "message": failure.to_string(),
        "because": because,
        "help": advice.help,
        "exit": advice.exit.code(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_object() {
        let events = [
            Event::Started { hop: Hop::Fetch, unit: Unit::Bytes, meter: Arc::default() },
            Event::Finished { hop: Hop::Fetch, took: Duration::from_millis(1500) },
            Event::Warning("two\nlines".to_owned()),
        ];
        let lines: Vec<_> = events.iter().map(|said| event(said).to_string()).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"event":"started","hop":"fetch","unit":"bytes"}
        {"event":"finished","hop":"fetch","seconds":1.5}
        {"event":"warning","text":"two\nlines"}
        "#);
    }
}
