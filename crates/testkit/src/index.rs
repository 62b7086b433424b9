//! A package index on the loopback, as installers read it.
//!
//! HTML or JSON as the client asks for, with hashes, `Requires-Python`, yanking and the wheels' metadata beside them.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/simple-repository-api/>

use std::collections::BTreeMap;

use crate::{Request, Response, Sdist, Server, Wheel, sha256_hex};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// How much an index knows and says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexStyle {
    /// HTML and JSON with everything in it.
    Modern,
    /// HTML only, with hashes but without metadata files.
    Plain,
    /// HTML only, without even hashes.
    Bare,
}

/// An index in the making.
#[derive(Debug, Clone)]
pub struct Index {
    files: Vec<IndexFile>,
    style: IndexStyle,
}

#[derive(Debug, Clone)]
struct IndexFile {
    project: String,
    name: String,
    bytes: Vec<u8>,
    sha256: String,
    metadata: Option<String>,
    requires_python: Option<String>,
    yanked: Option<String>,
    upload_time: Option<String>,
}

impl Default for Index {
    /// An empty one in the modern style.
    fn default() -> Index {
        Index::new()
    }
}

impl Index {
    /// Starts an empty index in the modern style.
    pub fn new() -> Index {
        Index { files: Vec::new(), style: IndexStyle::Modern }
    }

    /// Chooses how much it says.
    pub fn style(mut self, style: IndexStyle) -> Index {
        self.style = style;
        self
    }

    /// Adds a wheel.
    pub fn wheel(mut self, wheel: &Wheel) -> Index {
        let bytes = wheel.build();
        self.files.push(IndexFile {
            project: normalized(wheel.name()),
            name: wheel.file_name(),
            sha256: sha256_hex(&bytes),
            bytes,
            metadata: Some(wheel.metadata_text()),
            requires_python: wheel.metadata_value("Requires-Python").map(str::to_owned),
            yanked: None,
            upload_time: None,
        });
        self
    }

    /// Adds a source distribution.
    pub fn sdist(mut self, sdist: &Sdist) -> Index {
        let bytes = sdist.build();
        self.files.push(IndexFile {
            project: normalized(sdist.name()),
            name: sdist.file_name(),
            sha256: sha256_hex(&bytes),
            bytes,
            metadata: None,
            requires_python: sdist.metadata_value("Requires-Python").map(str::to_owned),
            yanked: None,
            upload_time: None,
        });
        self
    }

    /// Yanks the file that was added last, for a reason.
    ///
    /// # Panics
    /// If nothing was added yet.
    pub fn yanked(mut self, reason: &str) -> Index {
        self.last().yanked = Some(reason.to_owned());
        self
    }

    /// Says when the file that was added last was uploaded: `2020-01-01T00:00:00Z`. JSON only.
    ///
    /// # Panics
    /// If nothing was added yet.
    pub fn uploaded(mut self, time: &str) -> Index {
        self.last().upload_time = Some(time.to_owned());
        self
    }

    /// Announces another hash for the file that was added last than it has.
    ///
    /// # Panics
    /// If nothing was added yet.
    pub fn wrong_hash(mut self) -> Index {
        self.last().sha256 = sha256_hex(b"something else");
        self
    }

    /// Starts serving below `/simple/`, files below `/files/`.
    pub fn serve(self) -> Server {
        Server::new(move |request| self.answer(request))
    }

    fn last(&mut self) -> &mut IndexFile {
        self.files.last_mut().expect("a file was added before something is said about it")
    }

    fn answer(&self, request: &Request) -> Response {
        let parts: Vec<&str> = request.path.split('/').collect();
        match parts.as_slice() {
            ["", "simple", ""] => self.projects(request),
            ["", "simple", project, ""] => self.project(request, project),
            ["", "simple", project] => Response::redirect(&format!("/simple/{project}/")),
            ["", "files", name] => self.file(&name.replace("%2B", "+").replace("%2b", "+")),
            _ => Response::status(404),
        }
    }

    fn file(&self, name: &str) -> Response {
        let whole =
            self.files.iter().find(|file| file.name == name).map(|file| Response::ok(file.bytes.clone()));
        let metadata = || {
            let file = self.files.iter().find(|file| name.strip_suffix(".metadata") == Some(&file.name))?;
            file.metadata.clone().filter(|_| self.style == IndexStyle::Modern).map(Response::ok)
        };
        whole.or_else(metadata).unwrap_or_else(|| Response::status(404))
    }

    fn by_project(&self) -> BTreeMap<&str, Vec<&IndexFile>> {
        let mut projects: BTreeMap<&str, Vec<&IndexFile>> = BTreeMap::new();
        for file in &self.files {
            projects.entry(&file.project).or_default().push(file);
        }
        projects
    }

    fn says_json(&self, request: &Request) -> bool {
        self.style == IndexStyle::Modern
            && request.header("accept").is_some_and(|accept| accept.contains(JSON))
    }

    fn projects(&self, request: &Request) -> Response {
        let names = self.by_project();
        if self.says_json(request) {
            let items: Vec<String> =
                names.keys().map(|name| format!("{{\"name\": {}}}", quoted(name))).collect();
            return json(&format!(
                "{{\"meta\": {{\"api-version\": \"1.1\"}}, \"projects\": [{}]}}",
                items.join(", ")
            ));
        }
        html(names.keys().map(|name| format!("<a href=\"/simple/{name}/\">{name}</a>")))
    }

    fn project(&self, request: &Request, project: &str) -> Response {
        let projects = self.by_project();
        let Some(files) = projects.get(project) else { return Response::status(404) };
        if self.says_json(request) {
            let items: Vec<String> = files.iter().map(|file| file.json()).collect();
            return json(&format!(
                "{{\"meta\": {{\"api-version\": \"1.1\"}}, \"name\": {}, \"versions\": [], \"files\": [{}]}}",
                quoted(project),
                items.join(", ")
            ));
        }
        html(files.iter().map(|file| file.html(self.style)))
    }
}

impl IndexFile {
    fn json(&self) -> String {
        let mut fields = vec![
            format!("\"filename\": {}", quoted(&self.name)),
            format!("\"url\": {}", quoted(&format!("/files/{}", self.name))),
            format!("\"size\": {}", self.bytes.len()),
            format!("\"hashes\": {{\"sha256\": {}}}", quoted(&self.sha256)),
        ];
        if let Some(specifiers) = &self.requires_python {
            fields.push(format!("\"requires-python\": {}", quoted(specifiers)));
        }
        if let Some(reason) = &self.yanked {
            fields.push(format!("\"yanked\": {}", quoted(reason)));
        }
        if let Some(time) = &self.upload_time {
            fields.push(format!("\"upload-time\": {}", quoted(time)));
        }
        if let Some(metadata) = &self.metadata {
            let sha256 = sha256_hex(metadata.as_bytes());
            fields.push(format!("\"core-metadata\": {{\"sha256\": {}}}", quoted(&sha256)));
        }
        format!("{{{}}}", fields.join(", "))
    }

    fn html(&self, style: IndexStyle) -> String {
        let hash = if style == IndexStyle::Bare { String::new() } else { format!("#sha256={}", self.sha256) };
        let mut attributes = format!("href=\"/files/{}{hash}\"", self.name);
        if let Some(specifiers) = &self.requires_python {
            attributes.push_str(&format!(" data-requires-python=\"{}\"", escaped(specifiers)));
        }
        if let Some(reason) = &self.yanked {
            attributes.push_str(&format!(" data-yanked=\"{}\"", escaped(reason)));
        }
        if let (IndexStyle::Modern, Some(metadata)) = (style, &self.metadata) {
            let sha256 = sha256_hex(metadata.as_bytes());
            attributes.push_str(&format!(" data-core-metadata=\"sha256={sha256}\""));
            attributes.push_str(&format!(" data-dist-info-metadata=\"sha256={sha256}\""));
        }
        format!("<a {attributes}>{}</a>", self.name)
    }
}

/// A project's name as it stands in addresses: lower case, runs of `-`, `_` and `.` as one `-`.
fn normalized(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    lower.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn json(text: &str) -> Response {
    Response::ok(text).header("Content-Type", JSON)
}

fn html(links: impl Iterator<Item = String>) -> Response {
    let body: String = links.map(|link| format!("{link}<br>\n")).collect();
    let text = format!(
        "<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"1.0\"></head><body>\n{body}</body></html>\n"
    );
    Response::ok(text).header("Content-Type", "text/html; charset=utf-8")
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out + "\""
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::judge::python_with_pip;
    use crate::{program, tree_dump};

    fn sample(style: IndexStyle) -> Index {
        let old = Wheel::new("Toy.Base", "1.0").file("toy_base.py", "");
        let new = Wheel::new("Toy.Base", "2.0").file("toy_base.py", "").requires_python(">=4");
        let bad = Wheel::new("Toy.Base", "1.5").file("toy_base.py", "");
        let app = Wheel::new("toy-app", "1").file("toy_app.py", "").requires("toy-base");
        Index::new().style(style).wheel(&old).wheel(&new).wheel(&bad).yanked("it <breaks>").wheel(&app)
    }

    /// The names of the files that pip downloads for a requirement, or nothing if it fails.
    fn download(index: &str, requirement: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new(python_with_pip()?)
            .args(["-m", "pip", "--isolated", "--disable-pip-version-check", "download", "--no-cache-dir"])
            .args(["--retries", "0", "--no-input", "--index-url", index, "--dest"])
            .arg(dir.path())
            .arg(requirement)
            .env("NO_PROXY", "*")
            .output()
            .unwrap();
        let names = tree_dump(dir.path());
        let names: Vec<&str> = names.lines().map(|line| line.split(' ').next().unwrap()).collect();
        Some(if output.status.success() { names.join(" ") } else { "refused".to_owned() })
    }

    /// Tells whether this machine's pip knows metadata files by the name that they have today; pip 23.2 is the first.
    fn asks_for_metadata() -> bool {
        let asked =
            Command::new(python_with_pip().unwrap()).args(["-m", "pip", "--version"]).output().unwrap();
        let said = String::from_utf8(asked.stdout).unwrap();
        let version = said.split(' ').nth(1).unwrap();
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap());
        (numbers.next(), numbers.next()) >= (Some(23), Some(2))
    }

    #[test]
    fn pip_downloads_a_project_and_its_requirement_whatever_the_style() {
        for style in [IndexStyle::Modern, IndexStyle::Plain, IndexStyle::Bare] {
            let server = sample(style).serve();
            let Some(names) = download(&server.url_of("/simple/"), "toy-app") else { return };
            assert_eq!(names, "/Toy_Base-1.0-py3-none-any.whl /toy_app-1-py3-none-any.whl", "{style:?}");
            let metadata = server.counts().keys().filter(|path| path.ends_with(".metadata")).count();
            let expected = if style == IndexStyle::Modern && asks_for_metadata() { 2 } else { 0 };
            assert_eq!(metadata, expected, "{style:?}");
            assert!(server.counts().values().all(|count| *count == 1), "{:?}", server.counts());
        }
    }

    #[test]
    fn uv_resolves_from_the_metadata_files_and_downloads_no_wheel() {
        let Some(uv) = program("uv") else { return };
        let server = sample(IndexStyle::Modern).serve();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("requirements.in"), "toy-app\n").unwrap();
        let output = Command::new(uv)
            .current_dir(dir.path())
            .args([
                "pip",
                "compile",
                "--no-config",
                "--no-cache",
                "--generate-hashes",
                "--no-header",
                "--no-annotate",
            ])
            .args(["--python-version", "3.13", "--index-url", &server.url_of("/simple/"), "requirements.in"])
            .env("NO_PROXY", "*")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let locked = String::from_utf8(output.stdout).unwrap();
        let names: Vec<&str> = locked.lines().filter(|line| line.contains("==")).collect();
        assert_eq!(names, ["toy-app==1 \\", "toy-base==1.0 \\"]);
        assert_eq!(locked.matches("--hash=sha256:").count(), 2);
        assert!(server.counts().keys().all(|path| !path.ends_with(".whl")), "{:?}", server.counts());
    }

    #[test]
    fn pip_refuses_a_wrong_hash_and_missing_credentials() {
        let wheel = Wheel::new("toy", "1");
        let server = Index::new().wheel(&wheel).wrong_hash().serve();
        let Some(said) = download(&server.url_of("/simple/"), "toy") else { return };
        assert_eq!(said, "refused");
        let server = Index::new().wheel(&wheel).serve();
        server.require_basic_auth("ann", "s3cret");
        assert_eq!(download(&server.url_of("/simple/"), "toy").unwrap(), "refused");
        let address = server.url_with_credentials("ann", "s3cret") + "/simple/";
        assert_eq!(download(&address, "toy").unwrap(), "/toy-1-py3-none-any.whl");
    }
}
