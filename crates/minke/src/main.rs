//! **The front desk:** arguments, settings, progress, advice, exit codes.
//!
//! ```text
//! argv → arguments (as typed) → task (as meant) → commands → the foreman
//!            settings (the environment) ↗              ↘ ui, advice, signals
//! ```

mod advice;
mod arguments;
mod commands;
mod failure;
mod foreman;
mod settings;
mod signals;
mod task;
mod timings;
mod ui;

use std::process::ExitCode;

use clap::Parser;

use advice::{Exit, advise};
use arguments::Arguments;
use settings::Surroundings;
use task::Meant;
use ui::Screen;

fn main() -> ExitCode {
    ui::announce_bugs();
    // A panic is a bug, which has been said by the hook; the status must say so too.
    std::panic::catch_unwind(serve).unwrap_or_else(|_| Exit::Bug.into())
}

fn serve() -> ExitCode {
    let around = match Surroundings::read() {
        Ok(around) => around,
        Err(error) => return ui::blurt(&error.into()),
    };
    let arguments = match Arguments::try_parse_from(&around.arguments) {
        Ok(arguments) => arguments,
        Err(error) => return ui::usage(&error, &around),
    };
    let meant = match Meant::of(arguments, &around, ui::terminal()) {
        Ok(meant) => meant,
        Err(error) => return ui::blurt(&error.into()),
    };
    let screen = Screen::open(meant.manner, &around);
    commands::obey(meant, &screen, &around).unwrap_or_else(|failure| {
        signals::give_way();
        screen.failure(&failure);
        advise(&failure).exit.into()
    })
}
