//! What one ELF file says about itself, as plain values that can be remembered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What minke wants to know of every ELF file, short enough to be remembered of each.
///
/// Its symbols, which may be a hundred thousand, are [`Symbols`](crate::Symbols). Names that are not UTF-8 have U+FFFD where they aren't. What the file doesn't say is empty, zero or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What sort of file it is.
    pub kind: Kind,
    /// The processor it is for.
    pub machine: Machine,
    /// How wide an address is.
    pub class: Class,
    /// Which end comes first.
    pub endian: Endian,
    /// The loader that starts it; libraries have none.
    pub interpreter: Option<String>,
    /// What others call it (`DT_SONAME`).
    pub soname: Option<String>,
    /// Which libraries it needs (`DT_NEEDED`), in its order.
    pub needed: Vec<String>,
    /// Where its needs and those of what it loads are looked for first (`DT_RPATH`), colons and all.
    pub rpath: Option<String>,
    /// Where its own needs are looked for (`DT_RUNPATH`), colons and all; makes `rpath` void.
    pub runpath: Option<String>,
    /// Whether the loader's default directories are not for it (`DF_1_NODEFLIB`).
    pub no_default_directories: bool,
    /// Which versions it cannot do without, by the library that must define them.
    pub version_needs: BTreeMap<String, BTreeSet<String>>,
    /// Which versions it defines, its own name among them.
    pub version_definitions: BTreeSet<String>,
    /// The Python modules that it begins, by the `PyInit_…` that it defines.
    pub python_modules: BTreeSet<String>,
    /// The build ID, in hex digits.
    pub build_id: Option<String>,
    /// How many bytes of the file are debug information.
    pub debug_bytes: u64,
    /// How many bytes of the file are the symbol table that the loader doesn't read, with its names.
    pub symbol_table_bytes: u64,
    /// What is mapped where.
    pub segments: Vec<Segment>,
    /// Whether it asks for a stack that holds code.
    pub stack: Stack,
    /// Whether it has thread-local storage.
    pub has_tls: bool,
    /// Whether its thread-local storage must be there when the process starts (`DF_STATIC_TLS`), so that loading it
    /// later may fail for want of room.
    pub static_tls: bool,
    /// Whether its relative relocations are packed (`DT_RELR`), which loaders before glibc 2.36 and musl 1.2.4 don't read.
    pub packed_relocations: bool,
    /// Whether its code is changed while it is loaded (`DF_TEXTREL`), which hardened systems forbid.
    pub text_relocations: bool,
    /// The oldest kernel it runs on.
    pub abi: Option<AbiTag>,
    /// The level of the x86-64 instruction set that it says it needs.
    pub x86_level: Option<X86Level>,
}

/// What sort of file an ELF file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// A program at a fixed address.
    Executable,
    /// A program that can be anywhere; in all but one flag a shared object.
    PositionIndependentExecutable,
    /// A library, or a module that is loaded at run time.
    SharedObject,
    /// A compiler's output, not linked yet.
    Relocatable,
    /// Something else: a memory dump, or a number that means something elsewhere.
    Other(u16),
}

/// A processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Machine {
    /// `x86_64`; with 32-bit addresses it is x32.
    Amd64,
    /// `aarch64`.
    Arm64,
    /// `i386` and its descendants.
    X86,
    /// 32-bit ARM.
    Arm,
    /// RISC-V.
    RiscV,
    /// PowerPC, 64 bits.
    PowerPc64,
    /// IBM Z.
    S390,
    /// Another, by its number.
    Other(u16),
}

/// How wide an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Class {
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

/// Which end of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Endian {
    /// The small one.
    Little,
    /// The big one.
    Big,
}

/// One program header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// What it is for.
    pub kind: SegmentKind,
    /// Readable 4, writable 2, executable 1.
    pub flags: u32,
    /// Where it starts in the file.
    pub offset: u64,
    /// Where it is mapped.
    pub address: u64,
    /// How much of it the file has, in bytes.
    pub file_bytes: u64,
    /// How much of it there is in memory, in bytes.
    pub memory_bytes: u64,
    /// What `offset` and `address` must agree in, modulo.
    pub alignment: u64,
}

/// What a segment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SegmentKind {
    /// It is mapped.
    Load,
    /// It tells the loader what to do.
    Dynamic,
    /// It names the loader.
    Interpreter,
    /// It has remarks, such as the build ID.
    Note,
    /// It is each thread's own.
    Tls,
    /// It says what the stack must be like.
    Stack,
    /// It is made read-only once it is relocated.
    Relro,
    /// Something else, by its number.
    Other(u32),
}

/// What a file wants its stack to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stack {
    /// It need not hold code.
    Data,
    /// It must hold code, which makes glibc 2.41 refuse to load such a module into a running process.
    Executable,
    /// The file doesn't say; some processors' loaders then make it executable.
    Unsaid,
}

/// What a file's `NT_GNU_ABI_TAG` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AbiTag {
    /// The operating system; 0 is Linux.
    pub system: u32,
    /// The oldest kernel's version.
    pub kernel: (u32, u32, u32),
}

/// A level of the x86-64 instruction set.
///
/// Spec: <https://gitlab.com/x86-psABIs/x86-64-ABI>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum X86Level {
    /// What every x86-64 processor has.
    Baseline,
    /// SSE4.2 and the like.
    V2,
    /// AVX2 and the like.
    V3,
    /// AVX-512.
    V4,
}

impl Facts {
    /// Tells whether the loader would consider `other` for a need of this file: same processor and class.
    pub fn fits(&self, other: &Self) -> bool {
        (self.machine, self.class, self.endian) == (other.machine, other.class, other.endian)
    }

    /// Tells whether the loader has anything to do with this file.
    pub fn is_dynamic(&self) -> bool {
        self.segments.iter().any(|segment| segment.kind == SegmentKind::Dynamic)
    }
}
