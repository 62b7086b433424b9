//! Reads whatever bytes as an ELF file: what it says, and its symbols.
#![no_main]

#[path = "../../crates/elf/tests/compact/judge.rs"]
mod judge;
#[path = "../../crates/elf/tests/damaged/laws.rs"]
#[expect(dead_code, reason = "each target asks for one law")]
mod laws;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    laws::reading(bytes);
});
