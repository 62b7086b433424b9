//! Makes every ELF file below some directories smaller in place: `compact debug|all DIRECTORY…`.
//!
//! For trying the compactor on much; prints what was left alone and why, and what it brought. Libraries with more than
//! one name (hard links) lose them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use minke_elf::{Kept, Strip, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let strip = match arguments.next().as_deref() {
        Some("debug") => Strip::Debug,
        Some("all") => Strip::All,
        _ => return Err("say `debug` or `all`, and directories".into()),
    };
    let mut files = Vec::new();
    for directory in arguments {
        find(Path::new(&directory), &mut files)?;
    }
    let (mut before, mut after) = (0, 0);
    let mut left = BTreeMap::<String, usize>::new();
    for path in &files {
        let length = fs::metadata(path)?.len();
        let outcome = plan(BufReader::new(File::open(path)?), strip)?;
        let outcome = match outcome {
            Ok(recipe) => {
                let new = path.with_extension("compacted");
                io::copy(&mut recipe.view(File::open(path)?), &mut File::create(&new)?)?;
                fs::set_permissions(&new, fs::metadata(path)?.permissions())?;
                fs::rename(new, path)?;
                Ok(recipe.length())
            }
            Err(kept) => Err(kept),
        };
        if outcome == Err(Kept::NotElf) {
            continue;
        }
        before += length;
        after += *outcome.as_ref().unwrap_or(&length);
        if let Err(kept) = outcome {
            *left.entry(kept.to_string()).or_default() += 1;
            if kept != Kept::Small {
                println!("{}: {kept}", path.display());
            }
        }
    }
    println!("{before} -> {after} bytes; left alone: {left:?}");
    Ok(())
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
