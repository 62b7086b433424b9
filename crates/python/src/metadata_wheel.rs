//! A wheel that has metadata and nothing else, for who resolves and doesn't install.

use std::io::{Cursor, Write};

use pep440_rs::Version;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::PackageName;

/// Returns the name and the bytes of a wheel that fits every target and has only metadata.
///
/// What the metadata says is not looked at; `name` and `version` should be what it says.
pub fn metadata_wheel(name: &PackageName, version: &Version, metadata: &str) -> (String, Vec<u8>) {
    let stem = format!("{}-{version}", name.as_str().replace('-', "_"));
    let directory = format!("{stem}.dist-info");
    let wheel = "Wheel-Version: 1.0\nGenerator: minke\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let record = format!("{directory}/METADATA,,\n{directory}/WHEEL,,\n{directory}/RECORD,,\n");
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (file, text) in [("METADATA", metadata), ("WHEEL", wheel), ("RECORD", &record)] {
        zip.start_file(format!("{directory}/{file}"), options)
            .expect("a new archive has room for three files");
        zip.write_all(text.as_bytes()).expect("memory takes all that is written");
    }
    let bytes = zip.finish().expect("memory takes all that is written").into_inner();
    (format!("{stem}-py3-none-any.whl"), bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn it_has_the_metadata_under_a_wheels_name() {
        let (name, bytes) =
            metadata_wheel(&"a-b".parse().unwrap(), &"1.0+x".parse().unwrap(), "Metadata-Version: 2.1\n");
        assert_eq!(name, "a_b-1.0+x-py3-none-any.whl");
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut text = String::new();
        archive.by_name("a_b-1.0+x.dist-info/METADATA").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "Metadata-Version: 2.1\n");
    }
}
