//! Builds crates and a registry that has them.
//!
//! Spec: <https://doc.rust-lang.org/cargo/reference/registry-index.html>

use crate::{Compression, Response, Server, TarEntry, compress, sha256_hex, tar};

/// A crate in the making: a gzipped tar file below `NAME-VERSION/`.
#[derive(Debug, Clone)]
pub struct Crate {
    name: String,
    version: String,
    entries: Vec<TarEntry>,
}

impl Crate {
    /// Starts a crate that has a `Cargo.toml` and nothing else.
    pub fn new(name: &str, version: &str) -> Crate {
        let manifest = format!("[package]\nname = {name:?}\nversion = {version:?}\nedition = \"2021\"\n");
        let entries = vec![TarEntry::file(format!("{name}-{version}/Cargo.toml"), manifest)];
        Crate { name: name.to_owned(), version: version.to_owned(), entries }
    }

    /// Adds a file below its directory.
    pub fn file(self, path: &str, content: impl Into<Vec<u8>>) -> Crate {
        let name = format!("{}-{}/{path}", self.name, self.version);
        self.raw_tar_entry(TarEntry::file(name, content))
    }

    /// Adds a tar entry as it is.
    pub fn raw_tar_entry(mut self, entry: TarEntry) -> Crate {
        self.entries.push(entry);
        self
    }

    /// The path on a registry's server that it is fetched from.
    pub fn path(&self) -> String {
        format!("/files/{}/{}/download", self.name, self.version)
    }

    /// What a `Cargo.lock` says of it, if it comes from this registry.
    pub fn locked(&self, registry: &str) -> String {
        let (name, version, checksum) = (&self.name, &self.version, sha256_hex(&self.build()));
        format!(
            "[[package]]\nname = {name:?}\nversion = {version:?}\nsource = {registry:?}\n\
             checksum = \"{checksum}\"\n\n"
        )
    }

    /// Builds the file.
    pub fn build(&self) -> Vec<u8> {
        compress(&tar(&self.entries), Compression::Gz)
    }
}

/// Serves a registry whose sparse index is at `/index/`, as far as that says where crates are.
pub fn crate_registry(crates: &[Crate]) -> Server {
    let files: Vec<(String, Vec<u8>)> = crates.iter().map(|krate| (krate.path(), krate.build())).collect();
    Server::new(move |request| {
        if request.path == "/index/config.json" {
            let host = request.header("host").unwrap_or_default();
            return Response::ok(format!("{{\"dl\": \"http://{host}/files\"}}"));
        }
        let file = files.iter().find(|(path, _)| *path == request.path);
        file.map_or_else(|| Response::status(404), |(_, bytes)| Response::ok(bytes.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gunzip, list_tar};

    #[test]
    fn a_crate_is_a_tar_file_below_one_directory() {
        let toy = Crate::new("toy", "1.0.0").file("src/lib.rs", "");
        insta::assert_snapshot!(list_tar(&gunzip(&toy.build())), @r"
            toy-1.0.0/Cargo.toml file 0644 0:0 1577836800 58
            toy-1.0.0/src/lib.rs file 0644 0:0 1577836800 0
        ");
        let locked = toy.locked("sparse+http://host.test/");
        let head: Vec<&str> = locked.lines().take(4).collect();
        insta::assert_snapshot!(head.join("\n"), @r#"
            [[package]]
            name = "toy"
            version = "1.0.0"
            source = "sparse+http://host.test/"
        "#);
    }
}
