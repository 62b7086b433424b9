//! What projects are written down as: requirement files, groups, scripts, what only a backend says, workspaces.

use std::process::Command;

use minke_testkit::{Wheel, program, sha256_hex};

use crate::town::{Ran, Town};

/// A town whose index has three wheels, and `minke` finds uv; none where there is no uv.
struct Shops {
    town: Town,
    path: String,
}

fn wheels() -> [Wheel; 3] {
    let command = |name: &str| {
        Wheel::new(name, "1").file(&format!("{}.py", name.replace('-', "_")), "def main(): pass\n")
    };
    [
        command("toy-one").entry_point("toy-one", "toy_one:main").entry_point("toy-other", "toy_one:main"),
        command("toy-two").requires("toy-one"),
        command("toy-three"),
    ]
}

impl Shops {
    fn open() -> Option<Shops> {
        let uv = program("uv")?;
        let town = Town::with(&wheels())?;
        Some(Shops { town, path: uv.parent().unwrap().to_str().unwrap().to_owned() })
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command: Command = self.town.command(arguments);
        command
            .env("PATH", &self.path)
            .env("UV_DEFAULT_INDEX", self.town.index.url_of("/simple/"))
            .env("NO_PROXY", "*");
        self.town.finish(command.spawn().unwrap())
    }

    /// Builds something, and says which wheels went in and what a container runs.
    fn built(&self, arguments: &[&str]) -> String {
        let ran = self.run(&[&["build"], arguments].concat());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let told = |line: &&str| line.starts_with("note: wheels:") || line.starts_with("runs");
        ran.stderr.lines().filter(told).collect::<Vec<_>>().join("\n")
    }

    /// Builds something that cannot be built, and says why.
    fn refused(&self, arguments: &[&str]) -> String {
        self.run(&[&["build", "--quiet"], arguments].concat()).seen()
    }
}

#[test]
fn only_files_with_an_allowed_hash_are_taken() {
    let Some(shops) = Shops::open() else { return };
    let hash = sha256_hex(&wheels()[0].build());
    let write = |text: &str| shops.town.write("shop/requirements.txt", text);
    write(&format!("toy-one==1 \\\n    --hash=sha256:{hash}\n"));
    insta::assert_snapshot!(shops.built(&["shop"]), @r"
    note: wheels: toy-one 1
    runs      python (no script, Procfile, `__main__` or `main.py` was found; set `entrypoint` in
    ");
    write(&format!("toy-two==1 --hash=sha256:{hash}\ntoy-one==1 --hash=sha256:{hash}\n"));
    insta::assert_snapshot!(shops.refused(&["shop"]).replace(&sha256_hex(&wheels()[1].build()), "SHA256"), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: cannot use what uv resolved
      because: no file of `toy-two` 1 has a hash that the requirements allow; its files have sha256:SHA256
      help: if you trust the index's files, put their hashes into the requirements
    ");
    write(&format!("toy-one==1 --hash=sha256:{hash}\ntoy-three\n"));
    insta::assert_snapshot!(shops.refused(&["shop"]), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: cannot use what uv resolved
      because: the requirements pin some files by hash, and say none for `toy-three`
      help: give every requirement its hashes, as `uv pip compile --generate-hashes` does
    ");
}

#[test]
fn other_groups_and_included_files_outgrow_a_lock() {
    let Some(shops) = Shops::open() else { return };
    shops.town.write(
        "shop/pyproject.toml",
        "[project]\nname = 'shop'\nversion = '1'\ndependencies = ['toy-one']\n\
         [project.optional-dependencies]\nmore = ['toy-two']\n[dependency-groups]\nprod = ['toy-three']\n",
    );
    insta::assert_snapshot!(shops.built(&["shop", "--group", "prod"]), @r"
    note: wheels: toy-one 1, toy-three 1
    runs      python (no script, Procfile, `__main__` or `main.py` was found; set `entrypoint` in
    ");
    insta::assert_snapshot!(shops.refused(&["shop", "--locked"]), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: `pylock.toml` was not made from this `pyproject.toml`, and `--locked` forbids to change it
      help: run `minke lock` once, and commit what it writes with the project
    ");
    insta::assert_snapshot!(shops.built(&["shop", "--extra", "more"]), @r"
    note: wheels: toy-one 1, toy-two 1
    runs      python (no script, Procfile, `__main__` or `main.py` was found; set `entrypoint` in
    ");
    shops.town.write("stall/requirements.txt", "-r sub/more.txt\n");
    shops.town.write("stall/sub/more.txt", "toy-one\n");
    shops.town.write("stall/app.py", "");
    insta::assert_snapshot!(shops.built(&["stall"]), @r"
    note: wheels: toy-one 1
    runs      python app.py (`app.py` lies in the project's root)
    ");
    shops.town.write("stall/sub/more.txt", "toy-three\n");
    insta::assert_snapshot!(shops.built(&["stall"]), @r"
    note: wheels: toy-three 1
    runs      python app.py (`app.py` lies in the project's root)
    ");
}

#[test]
fn a_script_brings_its_requirements_along() {
    let Some(shops) = Shops::open() else { return };
    shops.town.write("größe.v1.py", "# /// script\n# dependencies = ['toy-two']\n# ///\nimport toy_two\n");
    insta::assert_snapshot!(shops.built(&["größe.v1.py"]), @r"
    note: wheels: toy-one 1, toy-two 1
    runs      python größe.v1.py (it is the script that was built)
    ");
    assert!(shops.town.path("pylock.größe-v1.toml").is_file());
    shops
        .town
        .write("größe.v1.py", "# /// script\n# dependencies = ['toy-two']\n# ///\nimport toy_two, sys\n");
    insta::assert_snapshot!(shops.built(&["größe.v1.py", "--locked"]), @r"
    note: wheels: toy-one 1, toy-two 1
    runs      python größe.v1.py (it is the script that was built)
    ");
}

#[test]
fn a_requirement_is_enough() {
    let Some(shops) = Shops::open() else { return };
    insta::assert_snapshot!(shops.built(&["--from", "Toy.One"]), @r"
    note: wheels: toy-one 1
    runs      toy-one (`toy-one` is called as its distribution is)
    ");
    assert_eq!(shops.run(&["inspect", "toy-one"]).status, 0);
    insta::assert_snapshot!(shops.refused(&["--from", "not one!"]), @r"
    status: 2
    stderr: error: cannot read the project
      because: `not one!` is no requirement such as `ipython>=9`
      help: say it as in `--from 'ipython>=9'`, or name a wheel's file
    ");
}

/// A build backend that needs nothing but Python.
const BACKEND: &str = r#"
import base64, hashlib, zipfile

FILES = {
    'shop/__main__.py': '',
    'shop-1.dist-info/METADATA': 'Metadata-Version: 2.1\nName: shop\nVersion: 1\nRequires-Dist: toy-one\n'
        'Provides-Extra: more\nRequires-Dist: toy-three; extra == "more"\n',
    'shop-1.dist-info/WHEEL': 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
}

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name, record = 'shop-1-py3-none-any.whl', 'shop-1.dist-info/RECORD'
    with zipfile.ZipFile(f'{directory}/{name}', 'w') as wheel:
        lines = ''
        for path, text in FILES.items():
            wheel.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')
            lines += f'{path},sha256={digest},{len(text)}\n'
        wheel.writestr(record, lines + f'{record},,\n')
    return name
"#;

#[test]
fn what_only_a_backend_says_is_asked_of_it() {
    let Some(shops) = Shops::open() else { return };
    shops.town.write(
        "shop/pyproject.toml",
        "[project]\nname = 'shop'\ndynamic = ['version', 'dependencies', 'optional-dependencies']\n\
         [build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n",
    );
    shops.town.write("shop/backend.py", BACKEND);
    insta::assert_snapshot!(shops.built(&["shop"]), @r"
    note: wheels: toy-one 1, shop 1
    runs      python -m shop (`shop` has a `__main__`)
    ");
    insta::assert_snapshot!(shops.built(&["shop", "--extra", "more"]), @r"
    note: wheels: toy-one 1, toy-three 1, shop 1
    runs      python -m shop (`shop` has a `__main__`)
    ");
}

#[test]
fn one_member_of_a_workspace_is_built() {
    let Some(shops) = Shops::open() else { return };
    shops.town.write("shops/pyproject.toml", "[tool.uv.workspace]\nmembers = ['members/*']\n");
    for (name, needs) in [("books", "toy-one"), ("toys", "toy-three")] {
        let text = format!("[project]\nname = '{name}'\nversion = '1'\ndependencies = ['{needs}']\n");
        shops.town.write(&format!("shops/members/{name}/pyproject.toml"), text);
        shops.town.write(&format!("shops/members/{name}/main.py"), "");
    }
    insta::assert_snapshot!(shops.refused(&["shops"]), @r"
    status: 1
    stderr: error: cannot read the project
      because: `TOWN/shops` is a workspace of books, toys, and it isn't said which of them to build
      help: choose one with `--package`, or `package` in [tool.minke]
    ");
    insta::assert_snapshot!(shops.refused(&["shops", "--package", "cars"]), @r"
    status: 1
    stderr: error: cannot read the project
      because: `TOWN/shops` has no workspace member `cars`; it has books, toys
      help: choose one with `--package`, or `package` in [tool.minke]
    ");
    insta::assert_snapshot!(shops.built(&["shops", "--package", "toys"]), @r"
    note: wheels: toy-three 1
    runs      python main.py (`main.py` lies in the project's root)
    ");
    insta::assert_snapshot!(shops.built(&["shops/members/books"]), @r"
    note: wheels: toy-one 1
    runs      python main.py (`main.py` lies in the project's root)
    ");
}
