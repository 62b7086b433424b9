//! The image's own Python, started through the image's own loader.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use minke_cas::ImagePath;

use crate::loader::{Loaded, LoaderError};

/// A Python interpreter that lies in a room and runs without a namespace, for any user in any container.
///
/// It runs with an empty environment, without `site`, writes no bytecode, and takes its standard library
/// from the room: Python finds it relative to its own program.
#[derive(Clone, Debug)]
pub struct Interpreter {
    loaded: Loaded,
}

impl Interpreter {
    /// Takes the interpreter `executable`, such as `/usr/bin/python3.13`, of a room that
    /// [`Store::room`](minke_cas::Store::room) has made.
    ///
    /// # Errors
    /// [`LoaderError::Missing`] if it or its loader isn't there; [`LoaderError::NotDynamic`] if it isn't a
    /// dynamically linked program for this machine.
    pub fn in_room(room: &Path, executable: &ImagePath) -> Result<Self, LoaderError> {
        Ok(Self { loaded: Loaded::in_room(room, executable)? })
    }

    /// Writes a shell script into `directory` that starts the interpreter, and returns its path.
    ///
    /// For programs that want the path of a Python, as uv does; it needs the host's `/bin/sh`.
    ///
    /// # Errors
    /// What the system says of writing the file.
    pub fn write_wrapper(&self, directory: &Path) -> io::Result<PathBuf> {
        let (loader, library_path, program) = self.loaded.parts();
        let parts = [&loader.to_string_lossy(), library_path.as_str(), &program.to_string_lossy()];
        let [loader, library_path, program] = parts.map(quoted);
        let script = format!(
            "#!/bin/sh\nexec {loader} --inhibit-cache --library-path {library_path} {program} \"$@\"\n"
        );
        let name = self.loaded.parts().2.file_name().unwrap_or("python".as_ref());
        let path = directory.join(name);
        let mut options = std::fs::File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o755).open(&path)?;
        io::Write::write_all(&mut file, script.as_bytes())?;
        Ok(path)
    }

    /// Returns the command that runs `script` with nothing of the host's in its environment.
    ///
    /// Not `-I`: that ignores these variables too, and there are no others. Without `PYTHONHOME` a room
    /// that has no standard library would borrow the host's. The locale is the one that needs no file.
    pub(crate) fn script(&self, script: &str) -> Command {
        let mut command = self.loaded.command();
        command.args(["-s", "-S", "-B", "-X", "utf8", "-c", script]);
        let program = self.loaded.parts().2;
        if let Some(home) = program.parent().and_then(Path::parent) {
            command.env("PYTHONHOME", home);
        }
        command.env("PYTHONHASHSEED", "0").env("PYTHONSAFEPATH", "1").env("LC_ALL", "C").env("TZ", "UTC");
        command
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
