//! `minke cache`: what lies in the cache, whether it is right, and how to make room.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use minke_build::{Event, Hop, Reporter, Unit};
use minke_cas::{Listener, Meter, Store, StoreError};

use super::tell_waits;
use crate::advice::Exit;
use crate::failure::Failure;
use crate::settings::Surroundings;
use crate::signals;
use crate::task::CacheTask;
use crate::ui::Screen;

/// Does what is meant with the cache.
pub(super) fn obey(
    task: CacheTask,
    (home, also): (&Path, &[PathBuf]),
    screen: &Screen,
    around: &Surroundings,
) -> Result<ExitCode, Failure> {
    if task == CacheTask::Dir {
        screen.path(home)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (reporter, showing) = screen.show();
    let told = tell_waits(&reporter);
    let opened = Store::open_over(home, also, Listener::to(&told)).map_err(Failure::Cache);
    let done = opened.and_then(|store| {
        signals::watch(store.clone(), showing.curtain())?;
        let done = upkeep(task, &store, around.host.jobs, &reporter);
        // Who watches for signals has the store to the end.
        store.abandon();
        done.map_err(Failure::Upkeep)
    });
    drop(told);
    showing.end(reporter);
    signals::give_way();
    match done? {
        Done::Shown(usage) => screen.usage(home, &usage)?,
        Done::Swept(swept) => screen.swept(&swept)?,
        Done::Verified(verified) => {
            screen.verified(&verified)?;
            if !verified.dropped.is_empty() {
                return Ok(Exit::Project.into());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn upkeep(task: CacheTask, store: &Store, jobs: usize, reporter: &Reporter) -> Result<Done, StoreError> {
    Ok(match task {
        CacheTask::Show | CacheTask::Dir => Done::Shown(store.usage()?),
        CacheTask::Gc(keep) => Done::Swept(store.gc(keep)?),
        CacheTask::Clean(clean) => Done::Swept(store.clean(clean)?),
        CacheTask::Verify => {
            let (meter, began) = (Arc::new(Meter::default()), Instant::now());
            let (hop, unit) = (Hop::Verify, Unit::Bytes);
            reporter.say(Event::Started { hop, unit, meter: Arc::clone(&meter) });
            let verified = store.verify(jobs, &meter)?;
            reporter.say(Event::Finished { hop, took: began.elapsed() });
            Done::Verified(verified)
        }
    })
}

/// What was done, to be shown.
enum Done {
    Shown(std::collections::BTreeMap<minke_cas::Kind, minke_cas::Usage>),
    Swept(minke_cas::Swept),
    Verified(minke_cas::Verified),
}
