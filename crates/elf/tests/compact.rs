//! Making ELF files smaller: what goes, what stays where it is mapped, and what is left alone.

#[path = "compact/judge.rs"]
mod judge;
#[path = "compact/sample.rs"]
mod sample;

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use judge::judge;
use minke_elf::{Facts, Kept, Strip, Symbols, compact, plan};
use minke_testkit::{ElfObject, Machine, Numbers, program};
use proptest::prelude::*;
use sample::{ALLOC, BITS, LOAD, NOBITS, NOTE, Sample, THREADS, library};

/// Compacts, and asks another judge whether the loader sees the same.
fn compacted(bytes: &[u8], strip: Strip) -> Vec<u8> {
    let new = compact(bytes, strip).unwrap();
    assert_eq!(judge(bytes, &new), Ok(()));
    assert!(new.len() < bytes.len());
    new
}

fn refused(sample: &Sample) -> Kept {
    compact(&sample.build(), Strip::All).unwrap_err()
}

#[test]
fn segments_slide_over_what_goes_and_loaded_sections_keep_their_headers() {
    let bytes = library().build();
    insta::assert_snapshot!(sample::describe(&bytes), @r"
        0x5300 bytes
        Load 0x0..0x600 at 0x0
        Load 0x2600..0x2900 at 0x3600
        Load 0x5000..0x5080 at 0x5000
        section 1 .text 0x400..0x600 at 0x400
        section 2 .data 0x2600..0x2900 at 0x3600
        section 3 .bss 0x2900..0x2f00 at 0x3900
        section 4 .debug_info 0x3000..0x4000 at 0x0
        section 5 .symtab 0x4000..0x4018 at 0x0
        section 6 .strtab 0x4100..0x4108 at 0x0
        section 7 .added 0x5000..0x5080 at 0x5000
        section 8 .shstrtab 0x5080..0x50bf at 0x0
    ");
    insta::assert_snapshot!(sample::describe(&compacted(&bytes, Strip::All)), @r"
        0x12e8 bytes
        Load 0x0..0x600 at 0x0
        Load 0x600..0x900 at 0x3600
        Load 0x1000..0x1080 at 0x5000
        section 1 .text 0x400..0x600 at 0x400
        section 2 .data 0x600..0x900 at 0x3600
        section 3 .bss 0x900..0xf00 at 0x3900
        section 4  0x0..0x0 at 0x0
        section 5  0x0..0x0 at 0x0
        section 6  0x0..0x0 at 0x0
        section 7 .added 0x1000..0x1080 at 0x5000
        section 8 .shstrtab 0x1080..0x10a3 at 0x0
    ");
}

#[test]
fn debug_mode_keeps_symbols_and_the_numbers_they_go_by() {
    let bytes = library().build();
    insta::assert_snapshot!(sample::describe(&compacted(&bytes, Strip::Debug)), @r"
        0x12f8 bytes
        Load 0x0..0x600 at 0x0
        Load 0x600..0x900 at 0x3600
        Load 0x1000..0x1080 at 0x5000
        section 1 .text 0x400..0x600 at 0x400
        section 2 .data 0x600..0x900 at 0x3600
        section 3 .bss 0x900..0xf00 at 0x3900
        section 4  0x0..0x0 at 0x0
        section 5 .symtab 0x900..0x918 at 0x0
        section 6 .strtab 0x918..0x920 at 0x0
        section 7 .added 0x1000..0x1080 at 0x5000
        section 8 .shstrtab 0x1080..0x10b3 at 0x0
    ");
}

#[test]
fn class_byte_order_and_processor_make_no_difference() {
    let story = |sample: &Sample| {
        let new = compacted(&sample.build(), Strip::All);
        let facts = Facts::read(&new).unwrap();
        facts.segments.iter().map(|segment| segment.offset % segment.alignment.max(1)).collect::<Vec<_>>()
    };
    let expected = story(&library());
    for (wide, big, machine) in [(true, true, 22), (false, false, 40), (false, true, 20), (true, false, 183)]
    {
        assert_eq!(story(&Sample { wide, big, machine, ..library() }), expected, "{wide} {big} {machine}");
    }
}

#[test]
fn nothing_is_done_twice_and_nothing_where_nothing_is_asked() {
    let bytes = library().build();
    let new = compacted(&bytes, Strip::All);
    assert_eq!(compact(&new, Strip::All), Err(Kept::Small));
    assert_eq!(compact(&new, Strip::Debug), Err(Kept::Small));
    assert_eq!(compact(&bytes, Strip::None), Err(Kept::Small));
}

#[test]
fn what_a_program_may_read_from_its_own_file_stays() {
    let mut sample = library();
    let at = sample.part(0x6000, b"an archive that unpacks itself");
    sample.section("pydata", BITS, 0, at);
    let new = compacted(&sample.build(), Strip::All);
    assert!(new.windows(30).any(|window| window == b"an archive that unpacks itself"));
    assert!(sample::describe(&new).contains("pydata"));
}

#[test]
fn data_behind_the_end_keeps_a_file_as_it_is_but_zeros_do_not() {
    let mut bytes = library().build();
    bytes.resize(bytes.len() + 9000, 0);
    compacted(&bytes, Strip::All);
    bytes.extend(b"PK\x03\x04");
    assert_eq!(compact(&bytes, Strip::All), Err(Kept::Appended { bytes: 9004 }));
}

#[test]
fn segments_that_meet_in_a_page_of_memory_move_as_one() {
    let mut sample = library();
    // The page at 0x8000 belongs to both; the loader maps it twice, and the second shows what is beside it.
    let first = sample.part(0x7000, &[0x11; 0x800]);
    let second = sample.part(0x7a00, &[0x22; 0x100]);
    sample.segment(LOAD, 0x8000, first.clone(), 0x800);
    sample.segment(LOAD, 0x8a00, second.clone(), 0x100);
    let gap = 0x7a00 - 0x7800;
    let new = compacted(&sample.build(), Strip::All);
    let at = |byte: u8| new.windows(8).position(|window| window == [byte; 8]).unwrap();
    assert_eq!(at(0x22), at(0x11) + 0x800 + gap);
}

#[test]
fn a_segment_of_zeros_finds_a_place_that_fits_its_address() {
    let mut sample = library();
    sample.segment(LOAD, 0x9123, 0x7123..0x7123, 0x4000);
    let new = Facts::read(&compacted(&sample.build(), Strip::All)).unwrap();
    let zeros = new.segments.last().unwrap();
    assert_eq!((zeros.address, zeros.offset % 0x1000, zeros.file_bytes), (0x9123, 0x123, 0));
}

#[test]
fn a_note_outside_of_what_is_mapped_moves_with_its_bytes() {
    let mut sample = library();
    let at = sample.part(0x7004, b"\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0\xab\xcd\xef\x01");
    sample.segment(NOTE, 0, at, 0);
    let new = compacted(&sample.build(), Strip::All);
    assert_eq!(Facts::read(&new).unwrap().build_id.as_deref(), Some("abcdef01"));
}

#[test]
fn what_is_no_library_and_no_program_is_left_alone() {
    assert_eq!(compact(b"!<arch>\n", Strip::All), Err(Kept::NotElf));
    assert_eq!(compact(b"", Strip::All), Err(Kept::NotElf));
    for kind in [1, 4, 0xfe00] {
        assert_eq!(refused(&Sample { kind, ..library() }), Kept::NotLoaded);
    }
    assert_eq!(refused(&Sample { programs: Vec::new(), ..library() }), Kept::NotLoaded);
}

#[test]
fn what_makes_no_sense_is_left_alone() {
    let mut misaligned = library();
    misaligned.programs[1].address += 8;
    assert_eq!(refused(&misaligned), Kept::Misaligned);
    let mut long = library();
    long.programs[1].range.end += 0x10_0000;
    assert_eq!(refused(&long), Kept::Malformed { part: "segments" });
    let mut overlapping = library();
    overlapping.segment(LOAD, 0x200, 0x7200..0x7200, 0x100);
    assert_eq!(refused(&overlapping), Kept::Malformed { part: "segments" });
    let mut far = library();
    far.section("far", BITS, ALLOC, 0x10_0000..0x10_0001);
    assert_eq!(refused(&far), Kept::Malformed { part: "section headers" });
    // Debug information in a file of its own has the headers of the library, but not the bytes.
    let mut separated = library();
    separated.sections[1].kind = NOBITS;
    assert_eq!(refused(&separated), Kept::Separated);
    separated.sections[1].flags |= THREADS;
    compacted(&separated.build(), Strip::All);
}

#[test]
fn a_program_that_kernels_would_find_elsewhere_is_left_alone() {
    // Its headers lie in the second segment, which slides: older kernels count from the first.
    let moved = Sample { kind: 2, programs_at: 0x2800, ..library() };
    assert_eq!(refused(&moved), Kept::Uncertain { what: "segments" });
    compacted(&Sample { kind: 3, ..moved }.build(), Strip::All);
}

#[test]
fn no_page_of_another_segment_shows_the_headers() {
    // glibc would take them from there, where zeros may be written over them; then no exception is ever caught.
    let new = compacted(&Sample { programs_at: 0x2800, ..library() }.build(), Strip::All);
    let segments = Facts::read(&new).unwrap().segments;
    assert_eq!((segments[0].file_bytes, segments[1].offset), (0x600, 0x1600));
    let programs_at = u64::from_le_bytes(new[32..40].try_into().unwrap());
    assert_eq!(programs_at, 0x1600 + 0x200);
}

#[test]
fn a_file_without_sections_has_nothing_that_could_go() {
    let bare = Sample { sections: Vec::new(), ..library() }.build();
    // What lies between the segments is in no table.
    let new = compacted(&bare, Strip::All);
    assert!(!sample::describe(&new).contains("section"), "{}", sample::describe(&new));
}

#[test]
fn what_the_other_toy_maker_makes_is_understood() {
    for machine in [Machine::X86_64, Machine::Aarch64] {
        let object = ElfObject::new().machine(machine).soname("libtoy.so").defines("toy").debug_bytes(9000);
        let (whole, new) = (object.build(), compacted(&object.build(), Strip::All));
        assert!(new.len() + 9000 <= whole.len());
        assert_eq!(Symbols::read(&new), Symbols::read(&whole));
        let (whole, new) = (Facts::read(&whole).unwrap(), Facts::read(&new).unwrap());
        assert_eq!((new.soname, new.debug_bytes), (whole.soname, 0));
    }
}

#[test]
fn a_real_program_runs_without_its_tables() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = fs::read("/proc/self/exe").unwrap();
    for strip in [Strip::Debug, Strip::All] {
        let path = dir.path().join("program");
        fs::write(&path, compacted(&bytes, strip)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let output = Command::new(&path).args(["--list", "--format", "terse"]).output().unwrap();
        let listed = String::from_utf8(output.stdout).unwrap();
        assert!(listed.contains("a_real_program_runs_without_its_tables: test"), "{listed}");
        fs::remove_file(&path).unwrap();
    }
}

/// Comparing byte by byte takes its time.
fn is_short_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() < 500_000)
}

#[test]
fn this_machines_libraries_stay_what_they_are() {
    let directories = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/bin"];
    let files = directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flat_map(|entries| {
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths.into_iter().filter(|path| is_short_file(path)).step_by(7).take(40)
    });
    let mut judged = 0;
    for path in files {
        let Ok(bytes) = fs::read(&path) else { continue };
        if let Ok(new) = compact(&bytes, Strip::All) {
            assert_eq!(judge(&bytes, &new), Ok(()), "{}", path.display());
            judged += 1;
        }
    }
    eprintln!("{judged} files were compacted and compared");
}

#[test]
fn other_tools_still_understand_a_compacted_file() {
    let Some(readelf) = program("readelf") else { return };
    let dir = tempfile::tempdir().unwrap();
    let bytes = fs::read("/proc/self/exe").unwrap();
    for strip in [Strip::Debug, Strip::All] {
        fs::write(dir.path().join("x"), compacted(&bytes, strip)).unwrap();
        let output = Command::new(&readelf)
            .args(["--all", "--wide", "x"])
            .current_dir(dir.path())
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(String::from_utf8(output.stdout).unwrap().contains(".dynsym"));
    }
}

#[test]
fn ten_thousand_broken_files_end_in_a_true_copy_or_none() {
    let mut numbers = Numbers::from_seed(0x9e37_79b9_7f4a_7c15);
    let values = [0, 1, 2, 3, 8, 0x10, 0x40, 0x7f, 0x80, 0xff];
    let (mut made, mut kept) = (0, 0);
    for round in 0..10_000 {
        let (wide, big) = (round % 2 == 0, round % 3 == 0);
        let mut bytes = Sample { wide, big, ..library() }.build();
        let tables = bytes.len() - 40 * 13;
        for _ in 0..=numbers.below(4) {
            // Headers are where the harm is done: the first and the last few hundred bytes.
            let at = match numbers.below(3) {
                0 => numbers.below(0x180),
                1 => tables + numbers.below(40 * 13),
                _ => numbers.below(bytes.len()),
            };
            bytes[at] = values[numbers.below(values.len())];
        }
        if numbers.below(8) == 0 {
            bytes.truncate(numbers.below(bytes.len()));
        }
        let strip = if round % 5 == 0 { Strip::Debug } else { Strip::All };
        match compact(&bytes, strip) {
            Ok(new) => {
                assert_eq!(judge(&bytes, &new), Ok(()), "round {round}");
                made += 1;
            }
            Err(_) => kept += 1,
        }
    }
    assert!(made > 1000 && kept > 1000, "{made} made, {kept} kept");
}

proptest! {
    /// A file that is read in parts becomes what it becomes in memory.
    #[test]
    fn a_plan_and_its_bytes_agree(at in 0_usize..0x300, byte in any::<u8>()) {
        let mut bytes = library().build();
        bytes[at] = byte;
        let planned = plan(Cursor::new(&bytes), Strip::All).unwrap();
        let planned = planned.map(|recipe| recipe.bytes(Cursor::new(&bytes)).unwrap());
        prop_assert_eq!(planned, compact(&bytes, Strip::All));
    }
}
