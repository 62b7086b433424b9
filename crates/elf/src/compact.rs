//! Makes ELF files smaller without changing what the loader sees: every address keeps its bytes.
//!
//! Tables that nobody reads at run time go, and the holes close: segments slide to the front of the file, as far as
//! their alignment allows. Any class, byte order and processor will do, since no instruction is looked at. What comes
//! out is read again and compared with the original; what isn't certain to be the same is left alone, and so is
//! everything that carries data behind its end. Whether a file should be touched at all is for the caller to say.

mod check;
mod layout;
pub(crate) mod raw;
mod recipe;
mod sections;

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

use crate::ElfError;
use crate::facts::Facts;
use crate::symbols::Symbols;
use layout::Layout;
use raw::{Image, Program};
pub use recipe::{Recipe, View};
use sections::Table;

/// What of a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strip {
    /// Nothing.
    None,
    /// Debug information; symbol tables stay, so that back traces have names.
    Debug,
    /// Everything that only linkers and debuggers read. The headers of loaded sections stay: they are what `nm -D`,
    /// linkers, `patchelf` and scanners go by, for two kilobytes a file.
    All,
}

/// Why a file is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// It is no ELF file.
    #[error("it is not an ELF file")]
    NotElf,
    /// It is neither a library nor a program: a compiler's output, a memory dump.
    #[error("it is neither a library nor a program")]
    NotLoaded,
    /// A part cannot be read, or lies where it cannot be.
    #[error("its {part} make no sense")]
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// Its dynamic linking cannot be understood.
    #[error("it cannot be read")]
    Unreadable(#[source] ElfError),
    /// A segment's offset doesn't fit its address; loaders differ in what they make of that.
    #[error("its segments are not aligned")]
    Misaligned,
    /// Something that is no part of the ELF file follows it: an archive, a file system, a signature.
    #[error("{bytes} bytes of something else follow it")]
    Appended {
        /// How much.
        bytes: u64,
    },
    /// It is the debug information of another file, which has the bytes.
    #[error("it holds another file's debug information")]
    Separated,
    /// It has nothing that could go.
    #[error("nothing in it can go")]
    Small,
    /// The result isn't certainly the same to the loader.
    #[error("its {what} would change")]
    Uncertain {
        /// What was found to differ.
        what: &'static str,
    },
}

/// Makes a file in memory smaller.
///
/// # Errors
/// Why it is left alone.
pub fn compact(bytes: &[u8], strip: Strip) -> Result<Vec<u8>, Kept> {
    // Every read was checked against the length, and a slice fails for no other reason.
    let recipe = plan(Cursor::new(bytes), strip).unwrap_or(Err(Kept::Malformed { part: "headers" }))?;
    recipe.bytes(Cursor::new(bytes)).map_err(|_| Kept::Malformed { part: "headers" })
}

/// Finds out how a file is made smaller, without having it in memory.
///
/// The inner result is the recipe for the smaller file, which was compared with the original, or why it is left alone.
///
/// # Errors
/// Those of reading the file.
pub fn plan<R: Read + Seek>(mut file: R, strip: Strip) -> io::Result<Result<Recipe, Kept>> {
    if strip == Strip::None {
        return Ok(Err(Kept::Small));
    }
    let image = match Image::read(&mut file)? {
        Ok(image) => image,
        Err(kept) => return Ok(Err(kept)),
    };
    if let Err(kept) = image.suits() {
        return Ok(Err(kept));
    }
    if let Some(bytes) = appended(&image, &mut file)? {
        return Ok(Err(Kept::Appended { bytes }));
    }
    if let Err(error) = Symbols::read_from(&mut file).and_then(|_| Facts::read_from(&mut file)) {
        return Ok(Err(Kept::Unreadable(error)));
    }
    let stays = sections::staying(&image, strip);
    let layout = Layout::of(&image, &stays);
    if layout.parts().any(|(_, old)| old.end > image.length) {
        return Ok(Err(Kept::Malformed { part: "segments" }));
    }
    let recipe = recipe(&image, &layout, Table::new(&image, &stays, &layout));
    if recipe.length() >= image.length {
        return Ok(Err(Kept::Small));
    }
    let mut original = Shared { file: &std::cell::RefCell::new(&mut file), position: 0 };
    let same = check::same(&image, &mut original.clone(), &mut recipe.view(&mut original))?;
    Ok(same.map(|()| recipe).map_err(|what| Kept::Uncertain { what }))
}

impl Image {
    /// Tells whether a file is one that we know how to move about.
    pub(crate) fn suits(&self) -> Result<(), Kept> {
        let image = self;
        const EXECUTABLE: u16 = 2;
        const SHARED: u16 = 3;
        if !matches!(image.header.kind, EXECUTABLE | SHARED) || image.loads().next().is_none() {
            return Err(Kept::NotLoaded);
        }
        let within = |end: u64| end <= image.length;
        let inside = |program: &Program| program.file_bytes == 0 || within(program.range().end);
        if !image.programs.iter().all(inside) || !layout::side_by_side(image) {
            return Err(Kept::Malformed { part: "segments" });
        }
        if !image.sections.iter().filter_map(|section| section.range()).all(|range| within(range.end)) {
            return Err(Kept::Malformed { part: "section headers" });
        }
        if image.programs_range().start < image.format.header_size() {
            return Err(Kept::Malformed { part: "program headers" });
        }
        let aligned = |load: &Program| {
            let modulus = load.modulus();
            modulus.is_power_of_two() && load.offset % modulus == load.address % modulus
        };
        if !image.loads().all(aligned) {
            return Err(Kept::Misaligned);
        }
        // A segment's bytes cannot be those of a section that has none, unless these are each thread's own.
        const THREADS: u64 = 0x400;
        let hollow = image.sections.iter().any(|section| {
            let covered = |load: &Program| {
                let end = load.address.saturating_add(load.file_bytes);
                load.address <= section.address && section.address < end
            };
            let without_bytes = section.kind == raw::SHT_NOBITS && section.size > 0;
            without_bytes
                && section.is_allocated()
                && section.flags & THREADS == 0
                && image.loads().any(covered)
        });
        if hollow { Err(Kept::Separated) } else { Ok(()) }
    }
}

/// Returns how many bytes follow the last part of a file; zeros are nobody's data.
fn appended(image: &Image, file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let segments = image.programs.iter().filter(|program| program.file_bytes > 0).map(Program::range);
    let sections = image.sections.iter().filter_map(|section| section.range());
    let tables = [image.programs_range(), image.sections_range()];
    let end = segments.chain(sections).chain(tables).map(|range| range.end).max().unwrap_or(0);
    file.seek(SeekFrom::Start(end))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(None),
            read if buffer[..read].iter().any(|byte| *byte != 0) => return Ok(Some(image.length - end)),
            _ => {}
        }
    }
}

/// Writes down how the new file is made.
fn recipe(image: &Image, layout: &Layout, mut table: Table) -> Recipe {
    let mut recipe = Recipe::new();
    for (at, old) in layout.parts() {
        recipe.push_old(at, old);
    }
    let format = image.format;
    let mut header = image.header;
    header.programs_at = layout.place(image.header.programs_at).expect("the program headers are a part");
    (header.sections_at, header.sections, header.names) = (0, 0, 0);
    if let Some(names) = table.headers.last_mut() {
        names.offset = recipe.length();
        recipe.push_new(names.offset, table.names);
        header.sections_at = recipe.length().next_multiple_of(format.word_size());
        header.sections = table.headers.len() as u16;
        header.names = header.sections - 1;
        let mut bytes = Vec::new();
        table.headers.iter().for_each(|section| format.write_section(section, &mut bytes));
        recipe.push_new(header.sections_at, bytes);
    }
    let mut start = image.start.clone();
    format.write_header(&header, &mut start);
    recipe.patch(0, start);

    let loads: Vec<Program> = image.loads().copied().collect();
    let mut programs = Vec::new();
    for program in &image.programs {
        let offset = layout.place_program(program, &loads);
        format.write_program(&Program { offset, ..*program }, &mut programs);
    }
    recipe.patch(header.programs_at, programs);
    recipe
}

/// A file that two readers use in turn.
struct Shared<'a, 'file, R> {
    file: &'a std::cell::RefCell<&'file mut R>,
    position: u64,
}

impl<R> Clone for Shared<'_, '_, R> {
    fn clone(&self) -> Self {
        Self { file: self.file, position: self.position }
    }
}

impl<R: Read + Seek> Read for Shared<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.borrow_mut();
        file.seek(SeekFrom::Start(self.position))?;
        let read = file.read(buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl<R: Seek> Seek for Shared<'_, '_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(_) => Some(self.file.borrow_mut().seek(to)?),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
