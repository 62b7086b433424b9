//! Ctrl-C and its relatives: take the bars down, leave no unfinished work, exit.
//!
//! While a container runs, signals are its own and are passed on by the room it is in; nothing here is
//! installed then.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use minke_cas::Store;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::failure::Failure;
use crate::ui::Curtain;

const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Which signal ended the process, once one has.
static ENDED_BY: OnceLock<i32> = OnceLock::new();

/// Watches for signals that ask the process to end; it does, with 128 and the signal's number, as a shell
/// counts: 130 for Ctrl-C. A second one ends it at once, while unfinished work is still being taken away.
///
/// # Errors
/// [`Failure::Signals`] if the system refuses.
pub(crate) fn watch(store: Store, curtain: Curtain) -> Result<(), Failure> {
    let again = Arc::new(AtomicBool::new(false));
    for signal in ENDING {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))
            .and_then(|_| flag::register(signal, Arc::clone(&again)))
            .map_err(Failure::Signals)?;
    }
    let mut signals = Signals::new(ENDING).map_err(Failure::Signals)?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            ENDED_BY.get_or_init(|| signal);
            curtain.fall();
            store.abandon();
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// Waits for the end if a signal has asked for it.
///
/// Work that is under way fails when its unfinished files are taken from it: nobody wants to read of that.
pub(crate) fn give_way() {
    while ENDED_BY.get().is_some() {
        std::thread::park();
    }
}
