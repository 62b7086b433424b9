//! Makes whatever bytes smaller: what comes of it is the same to the loader, or is never written.
#![no_main]

#[path = "../../crates/elf/tests/compact/judge.rs"]
mod judge;
#[path = "../../crates/elf/tests/damaged/laws.rs"]
#[expect(dead_code, reason = "each target asks for one law")]
mod laws;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    laws::compacting(bytes);
});
