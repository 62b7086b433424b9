//! Writes what fuzzing begins with into some directories: made-up libraries of each kind, and the smallest ones of this
//! machine.

#[path = "../tests/compact/sample.rs"]
#[expect(dead_code, reason = "the tests change more of a sample")]
mod sample;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use minke_testkit::{ElfObject, Machine};

const REAL: [&str; 2] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];

/// A fuzzer gets further with files that are short.
const LARGEST_BYTES: u64 = 16_384;
const MOST: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut seeds = made();
    for entry in REAL.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten() {
        let path = entry?.path();
        let facts = fs::symlink_metadata(&path)?;
        if seeds.len() < MOST && facts.is_file() && facts.len() <= LARGEST_BYTES {
            seeds.extend(Some(fs::read(&path)?).filter(|bytes| minke_elf::is_elf(bytes)));
        }
    }
    for directory in std::env::args_os().skip(1).map(PathBuf::from) {
        fs::create_dir_all(&directory)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}

fn made() -> Vec<Vec<u8>> {
    let object = |machine| {
        ElfObject::new()
            .machine(machine)
            .soname("libuser.so")
            .needed("libtoy.so.1")
            .runpath("$ORIGIN/../libs")
            .defines_versioned("user", "USER_1.0")
            .imports_versioned("toy", "TOY_1.0", "libtoy.so.1")
            .debug_bytes(300)
            .build()
    };
    let sample = |wide, big| sample::Sample { wide, big, ..sample::library() }.build();
    let mut all = [Machine::X86_64, Machine::Aarch64].map(object).to_vec();
    all.extend(
        [(true, false), (true, true), (false, false), (false, true)].map(|(wide, big)| sample(wide, big)),
    );
    all
}
