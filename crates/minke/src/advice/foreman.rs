//! What to do about the foreman's errors.

use minke_build::bytecode::BytecodeError;
use minke_build::check::CheckError;
use minke_build::debian::DebianError;
use minke_build::deliver::DeliverError;
use minke_build::images::ImagesError;
use minke_build::interpreter::InterpreterError;
use minke_build::libs::LibsError;
use minke_build::lock::LockStepError;
use minke_build::native::NativeError;
use minke_build::parts::SettleError;
use minke_build::project::ProjectError;
use minke_build::project::sources::{SourcesError, SourcesTreeError};
use minke_build::proof::ImportError;
use minke_build::pylock::PylockError;
use minke_build::run::RunStepError;
use minke_build::settings::SettingsError;
use minke_build::standalone::StandaloneError;
use minke_build::system::SystemError;
use minke_build::system_lock::SystemLockError;
use minke_build::uv::FindUvError;
use minke_build::wheels::WheelsError;
use minke_build::workshop::{
    BackendError, CargoLockError, CratesError, RepositoryError, RoomError, SourcesError as ArchiveError,
};
use minke_build::{BuildError, FetchError, GitError, ImageBaseError, LayerError, ProofError, SupplyError};

use super::causes::{self, AGAIN, HALF_UPDATED};
use super::{Advice, BUG, Exit, store};
use minke_cas::StoreError;

/// Advises on a build or a run.
pub(super) fn build(error: &BuildError) -> Advice {
    match error {
        BuildError::Tag { .. } => Exit::Usage.help("choose another name with `--tag`"),
        BuildError::Destination(_) => Exit::Usage.help("`minke build --help` lists all destinations"),
        BuildError::Compression { .. } => Exit::Usage.help("choose `--compression gzip` for it"),
        BuildError::Client(_) => {
            Exit::Usage.help("see the variables HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE")
        }
        BuildError::Project(error) => project(error),
        BuildError::FileName(_) => Exit::Project.help("give it another name"),
        BuildError::Sources(error) => sources_tree(error),
        BuildError::PythonVersion { .. } => Exit::Project.help("say it as in `python = \"3.13\"`"),
        BuildError::WrongPython { has, source, .. } => interpreter(source, has),
        BuildError::Proof(error) => proof(error),
        BuildError::RequiresPython { .. } => Exit::Project
            .help("choose another Python with `python`, or a suite that has it with `base`, or widen `requires-python`"),
        BuildError::NoPython => Exit::Project.help(
            "name an archive of a Python that needs nothing of the system, as in \
             `python = { standalone = \"python.tar.gz\" }`",
        ),
        BuildError::ImageBase { source, .. } => image_base(source),
        BuildError::TwoPythons { .. } => {
            Exit::Project.help("leave `python` away, or name a suite or `scratch` with `base`")
        }
        BuildError::Standalone(error) => standalone(error),
        BuildError::NoPackages { .. } => {
            Exit::Project.help("choose a suite with `base`, or leave the package away")
        }
        BuildError::Debian(error) => debian(error),
        BuildError::Supply(error) => supply(error),
        BuildError::SystemLock { file, source } => system_lock(file, source),
        BuildError::Flatten(_) => Exit::Project.help("a layer of the cache is damaged: `minke cache verify` drops it; build again"),
        BuildError::Vanished { name, offered, .. } => vanished(name, offered.as_deref()),
        BuildError::System(error) => system(error),
        BuildError::Interpreter(_) | BuildError::Image(_) => Exit::Bug.help(BUG),
        BuildError::Machine { .. } => Exit::Project.help("build on a machine that is x86-64 or 64-bit ARM"),
        BuildError::Wrapper(_) => Exit::Project.help("see that the disk isn't full"),
        BuildError::Uv(error) => uv(error),
        BuildError::Lock(error) => lock(error),
        BuildError::Wheels(error) => wheels(error),
        BuildError::Backend(error) | BuildError::Strangers(error) => backend(error),
        BuildError::Settle(error) => settle(error),
        BuildError::Native(NativeError::Store(error)) => store(error),
        BuildError::Unmet(_) => Exit::Project.help(
            "if the project does without it, name it in `optional-libraries` of [tool.minke]; else choose a version of \
             the wheel, or a suite with `base`, that go together",
        ),
        BuildError::Libs(error) => libs(error),
        BuildError::Bytecode(error) => bytecode(error),
        BuildError::Layer { source, .. } => layer(source),
        BuildError::Setting(_) => Exit::Project.help("correct the setting; `minke build --help` says what each takes"),
        BuildError::Port(_) => Exit::Project.help("say it as in `ports = [8000, \"53/udp\"]`"),
        BuildError::Deliver(error) => deliver(error),
        BuildError::Images(error) => images(error),
        BuildError::Run(error) => run(error),
        BuildError::Store(error) => store(error),
    }
}

fn proof_import(error: &ImportError) -> Advice {
    match error {
        ImportError::Run { source, .. } => causes::container(source),
        ImportError::Ended { .. } => Exit::Proof
            .help("its Python must be 3.8 or newer, and have its standard library; `minke run` starts it"),
        ImportError::Store(error) => store(error),
    }
}

fn proof(error: &ProofError) -> Advice {
    match error {
        ProofError::NoRoom(_) | ProofError::Foreign { .. } => Exit::Proof
            .help("build where a room can be made, or name the image all the same with `--proof auto`"),
        ProofError::Stage(error) => check(error),
        ProofError::Incurable(_) => Exit::Proof
            .help("choose another `--profile`, or switch rules off for it in [tool.minke.slim]; `--proof off` leaves it as it is"),
        ProofError::Script(_) => Exit::Project.help(
            "correct it in `check-scripts` of [tool.minke]; a command of the project's own belongs in `check`",
        ),
        ProofError::Import(error) => proof_import(error),
        ProofError::Closure(_) => Exit::Project.help("`minke cache verify` drops what is damaged"),
        ProofError::Smoke(_) => Exit::Proof.help(
            "correct the command in `check` of [tool.minke], or what it finds; it runs without a network and a home, \
             and only `/tmp` can be written",
        ),
    }
}

/// Advises on an image that cannot be checked.
pub(super) fn check(error: &CheckError) -> Advice {
    match error {
        CheckError::Images(error) => images(error),
        CheckError::Place { .. } | CheckError::Origin { .. } => Exit::Usage
            .help("name an image of `minke images`, or say it as in `oci:DIR:TAG`, `oci-archive:FILE` or `docker-archive:FILE`"),
        CheckError::Take(_) | CheckError::Flatten(_) => {
            Exit::Project.help("write the image again, with `skopeo copy` or `docker save`")
        }
        CheckError::Foreign { .. } => Exit::Project.help("check it on a machine of its own kind"),
        CheckError::NoPython { .. } => {
            Exit::Project.help("only what is installed for a Python of the image can be checked")
        }
        CheckError::Config(error) => run(error),
        CheckError::Import(error) => proof_import(error),
        CheckError::Closure(_) => Exit::Project.help("`minke cache verify` drops what is damaged"),
        CheckError::Script(_) => Exit::Usage.help("`minke check --scripts --json` starts all that are there"),
    }
}

/// Advises on a project that cannot be read.
pub(super) fn project(error: &ProjectError) -> Advice {
    match error {
        ProjectError::NotADirectory { .. } => Exit::Project.help("name the project's directory"),
        ProjectError::NoProject { .. } => {
            Exit::Project.help("name the directory of a Python project: `minke build PROJECT`")
        }
        ProjectError::NoMember { .. } | ProjectError::Workspace { .. } => {
            Exit::Project.help("choose one with `--package`, or `package` in [tool.minke]")
        }
        ProjectError::Foreign { export, .. } => {
            Exit::Project.help(format!("write what minke reads with `{export}`"))
        }
        ProjectError::Requirement { .. } => {
            Exit::Usage.help("say it as in `--from 'ipython>=9'`, or name a wheel's file")
        }
        ProjectError::Io { .. } | ProjectError::Pyproject { .. } | ProjectError::Block { .. } => {
            Exit::Project.help("correct the file, or see that it may be read")
        }
        ProjectError::Settings(SettingsError::Syntax { .. } | SettingsError::Unknown { .. }) => {
            Exit::Project.help("correct it there; the README lists what can be set")
        }
    }
}

fn image_base(error: &ImageBaseError) -> Advice {
    match error {
        ImageBaseError::Place(_) | ImageBaseError::Origin(_) => Exit::Project
            .help("say it as in `base = \"oci:DIR:TAG\"`, `oci-archive:FILE` or `docker-archive:FILE`"),
        ImageBaseError::Import(_) | ImageBaseError::Flatten(_) => {
            Exit::Project.help("write the image again, with `skopeo copy` or `docker save`")
        }
        ImageBaseError::Platform { .. } | ImageBaseError::Foreign { .. } => {
            Exit::Project.help("choose an image for this machine, or a suite with `base`")
        }
        ImageBaseError::NoPython { .. }
        | ImageBaseError::Start { .. }
        | ImageBaseError::Ask { .. }
        | ImageBaseError::WrongPython { .. } => {
            Exit::Project.help("choose an image that has the Python you want, or a suite with `base`")
        }
    }
}

/// What to do about an archive of a Python that no list pins.
const WITH_DIGEST: &str =
    "name the archive with its digest: `python = { standalone = \"URL\", sha256 = \"…\" }`";

fn interpreter(error: &InterpreterError, has: &str) -> Advice {
    match error {
        InterpreterError::FindUv(error) => uv(error),
        InterpreterError::Uv(error) => causes::uv(error),
        InterpreterError::Address { .. } => {
            Exit::Project.help("correct UV_PYTHON_DOWNLOADS_JSON_URL, or the list that it names")
        }
        InterpreterError::List(error) => {
            causes::fetch(error, "it is there no more: correct UV_PYTHON_DOWNLOADS_JSON_URL")
        }
        InterpreterError::Syntax(_) => {
            Exit::Project.help("name a list such as uv's with UV_PYTHON_DOWNLOADS_JSON_URL")
        }
        InterpreterError::NotListed { .. } => Exit::Project
            .help(format!("build for Python {has}, or choose a suite that has yours with `base`")),
        InterpreterError::Unpinned { source: Some(error), .. } => causes::fetch(error, WITH_DIGEST),
        InterpreterError::Unpinned { source: None, .. } => Exit::Project.help(WITH_DIGEST),
    }
}

fn standalone(error: &StandaloneError) -> Advice {
    match error {
        StandaloneError::Unpinned { .. } => Exit::Project.help(
            "say it as in `python = { standalone = \"https://host.test/python.tar.gz\", sha256 = \"…\" }`",
        ),
        StandaloneError::Address(_) => Exit::Project.help("correct the address"),
        StandaloneError::Fetch { source, .. } => causes::fetch(
            source,
            "it is there no more: choose another archive, or a mirror with UV_PYTHON_INSTALL_MIRROR",
        ),
        StandaloneError::Read { .. } => Exit::Project.help("name an archive that is there"),
        StandaloneError::Changed { .. } => Exit::Project.help("if you trust the file, correct `sha256`"),
        StandaloneError::Unpack { .. }
        | StandaloneError::NoPython { .. }
        | StandaloneError::NoVersion { .. } => Exit::Project.help(
            "name a .tar.gz or .tar.zst of an install tree, such as python-build-standalone's `install_only`",
        ),
        StandaloneError::Version { .. } => {
            Exit::Project.help("correct the list that UV_PYTHON_DOWNLOADS_JSON_URL names")
        }
        StandaloneError::Abi { .. } => Exit::Project.help("choose a build with neither flag"),
        StandaloneError::Machine { .. } => {
            Exit::Project.help("choose an archive for the image's platform, or say `platform`")
        }
        StandaloneError::Loader { .. } | StandaloneError::Unmet { .. } => {
            Exit::Project.help("choose a suite with `base`, or a build that brings what it needs")
        }
        StandaloneError::Glibc { .. } => Exit::Project.help("choose a newer suite with `base`"),
        StandaloneError::Foreign { .. } => {
            Exit::Project.help("build on a machine of that kind, or choose a suite with `base`")
        }
        StandaloneError::Store(error) => store(error),
    }
}

/// Advises on images of the store.
pub(super) fn images(error: &ImagesError) -> Advice {
    match error {
        ImagesError::Name { .. } => {
            Exit::Usage.help("name it as `minke build` printed it, such as `shop:1.2`")
        }
        ImagesError::Unknown { known, .. } if known.is_empty() => {
            Exit::Project.help("build it with `minke build`")
        }
        ImagesError::Unknown { .. } => Exit::Project.help("`minke images` lists all images"),
        ImagesError::Image { .. } => Exit::Project.help("build it again with `minke build`"),
        ImagesError::Store(error) => store(error),
    }
}

fn layer(error: &LayerError) -> Advice {
    match error {
        LayerError::Store(error) => store(error),
        LayerError::Content { .. } | LayerError::Size { .. } => {
            Exit::Project.help("see that the disk isn't broken")
        }
        LayerError::Target { .. } | LayerError::Whiteout { .. } => {
            Exit::Project.help("no image can hold it: leave it out, with `ignore` where it is the project's")
        }
        LayerError::Duplicate { .. } | LayerError::Directory { .. } => {
            Exit::Project.help("leave one of them out")
        }
    }
}

fn sources_tree(error: &SourcesTreeError) -> Advice {
    match error {
        SourcesTreeError::Read(error) => sources(error),
        SourcesTreeError::Store(error) => store(error),
    }
}

fn sources(error: &SourcesError) -> Advice {
    match error {
        SourcesError::Io { .. } => {
            Exit::Project.help("see that it may be read, or leave it out with `ignore` in [tool.minke]")
        }
        SourcesError::Changed { .. } => Exit::Project.help("build again when nothing writes to it"),
        SourcesError::Pattern(_) => Exit::Project.help("correct the pattern"),
        SourcesError::FileAsRoot { .. } => {
            Exit::Project.help("say in `files` what it is called in the image")
        }
        SourcesError::Outside { .. } | SourcesError::Name { .. } | SourcesError::Special { .. } => {
            Exit::Project.help("remove it, or name it in .dockerignore or with `--ignore`")
        }
    }
}

fn debian(error: &DebianError) -> Advice {
    match error {
        DebianError::NoMirror => Exit::Project.help(
            "set MINKE_DEBIAN_MIRROR, or `mirror` in [tool.minke.debian], to the address in your \
             /etc/apt/sources.list",
        ),
        DebianError::Mirror { .. } => Exit::Project.help("say it as in `http://host.test/debian`"),
        DebianError::Name { .. } => Exit::Project.help("correct it where it was named"),
        DebianError::Keyring { .. } => Exit::Project.help("name a keyring as in apt's `Signed-By`"),
        DebianError::FetchRelease { source, .. } => causes::fetch(
            source,
            "the mirror has no such suite: choose another with `base`, or correct the mirror's address",
        ),
        DebianError::FetchIndex { source, .. }
        | DebianError::FetchList { source, .. }
        | DebianError::FetchPackage { source, .. } => match source.cause() {
            FetchError::WrongDigest { .. } | FetchError::WrongSize { .. } => Exit::Network.help(HALF_UPDATED),
            _ => causes::fetch(source, HALF_UPDATED),
        },
        DebianError::Release { source, .. } => causes::release(source),
        DebianError::NoSuite { .. } => Exit::Project.help(
            "set `security-mirror` in [tool.minke.debian] to the archive of security updates, or run `minke lock`",
        ),
        DebianError::NoIndex { .. } | DebianError::NotABase { .. } => {
            Exit::Project.help("choose another suite with `base`, or another mirror")
        }
        DebianError::Index { .. } | DebianError::List { .. } => Exit::Network.help("choose another mirror"),
        DebianError::Unknown { .. } => {
            Exit::Project.help("correct it in `tools` or `system-packages`; names are those of the suite's packages")
        }
        DebianError::Closure(_) => {
            Exit::Project.help("see `tools` and `system-packages`; the mirror may also be half updated")
        }
        DebianError::Store(error) => store(error),
    }
}

fn supply(error: &SupplyError) -> Advice {
    match error {
        SupplyError::Debian(error) => debian(error),
        SupplyError::Missing { .. } => {
            Exit::Project.help("run `minke lock` once, and commit `minke.lock` with the project")
        }
        SupplyError::Outgrown { .. } => Exit::Project.help("run `minke lock`, and commit what it changes"),
        SupplyError::Moved => Exit::Bug.help(BUG),
    }
}

fn system_lock(file: &str, error: &SystemLockError) -> Advice {
    match error {
        SystemLockError::Newer { .. } => Exit::Project.help("use the minke that wrote it, or a later one"),
        SystemLockError::Merge { .. } => {
            Exit::Project.help(format!("choose either version of `{file}`, then run `minke lock`"))
        }
        SystemLockError::Syntax(_) | SystemLockError::Count { .. } | SystemLockError::Twice { .. } => {
            Exit::Project.help(format!(
                "take `{file}` from version control again, or remove it and run `minke lock` for a new one"
            ))
        }
    }
}

fn vanished(name: &str, offered: Option<&str>) -> Advice {
    let newer = match offered {
        Some(version) => format!("`minke lock --upgrade {name}` takes {version}"),
        None => format!("`minke lock --upgrade {name}` looks for a newer one"),
    };
    Exit::Project.help(format!(
        "{newer}; to build from the old one, set `mirror` in [tool.minke.debian] to a snapshot archive that \
         still has it"
    ))
}

fn system(error: &SystemError) -> Advice {
    match error {
        SystemError::Address(error) => debian(error),
        SystemError::Fetch { source, .. } => causes::fetch(source, HALF_UPDATED),
        SystemError::Unpack { .. } => {
            Exit::Project.help("minke refuses packages that are not as Debian makes them")
        }
        SystemError::Setup(_) => Exit::Project.help("choose another version of the package, or leave it out"),
        SystemError::Store(error) => store(error),
    }
}

fn uv(error: &FindUvError) -> Advice {
    match error {
        FindUvError::NoPython => Exit::Bug.help(BUG),
        FindUvError::Machine { .. } => Exit::Project.help("install uv and put it on PATH"),
        FindUvError::NoIndex | FindUvError::NotListed { .. } => {
            Exit::Project.help("install uv and put it on PATH, or set UV_DEFAULT_INDEX")
        }
        FindUvError::Address(_) => Exit::Project.help("correct UV_DEFAULT_INDEX or pip's `index-url`"),
        FindUvError::List(error) | FindUvError::Fetch(error) => {
            causes::fetch(error, "the package index has no uv: install uv and put it on PATH")
        }
        FindUvError::Pip(_) => Exit::Network.help(AGAIN),
        FindUvError::Unpack(_) => Exit::Network.help("install uv and put it on PATH"),
        FindUvError::Read(_) => Exit::Project.help("see that uv on PATH is whole and may be run"),
        FindUvError::Store(error) => store(error),
    }
}

fn lock(error: &LockStepError) -> Advice {
    match error {
        LockStepError::Missing { .. } | LockStepError::Outgrown { .. } => {
            Exit::Project.help("run `minke lock` once, and commit what it writes with the project")
        }
        LockStepError::Uv(error) => uv(error),
        LockStepError::Unbuilt { .. } => {
            Exit::Project.help("`minke lock` builds it and writes down what it needs")
        }
        LockStepError::Metadata { source, .. } => backend(source),
        LockStepError::Scratch(_) => Exit::Project.help("see that the disk isn't full"),
        LockStepError::Export(error) | LockStepError::Resolve { source: error, .. } => causes::uv(error),
        LockStepError::Lock { .. } => {
            Exit::Project.help("make it anew: remove it, and build without `--locked`")
        }
        LockStepError::Remember(error) => store(error),
        LockStepError::Select(_) | LockStepError::Name(_) | LockStepError::NoBinary(_) => {
            Exit::Project.help("correct the lock, or what is asked of it: `extras`, `groups`, the platform")
        }
        LockStepError::Pylock(error) => pylock(error),
        LockStepError::Read(error) | LockStepError::Keep(error) => project(error),
    }
}

fn pylock(error: &PylockError) -> Advice {
    match error {
        PylockError::Syntax(_) => Exit::Project.help("use another version of uv"),
        PylockError::Hash { .. } => {
            Exit::Project.help("if you trust the index's files, put their hashes into the requirements")
        }
        PylockError::Unhashed { .. } => Exit::Project
            .help("give every requirement its hashes, as `uv pip compile --generate-hashes` does"),
    }
}

fn wheels(error: &WheelsError) -> Advice {
    match error {
        WheelsError::Fetch { source, .. } => causes::fetch(source, "the index has it no more: lock again"),
        WheelsError::Read { .. } => {
            Exit::Project.help("see that it is there and may be read; else lock again")
        }
        WheelsError::Changed { .. } => Exit::Project.help("if you trust the new file, lock again"),
        WheelsError::Name { .. } => Exit::Project.help("call it as the wheel's builder did"),
        WheelsError::Install(_) => {
            Exit::Project.help("minke refuses wheels that installers may not trust; choose another version")
        }
        WheelsError::Distribution(_) => Exit::Project.help("call the file as the wheel's builder did"),
        WheelsError::Store(error) => store(error),
    }
}

fn backend(error: &BackendError) -> Advice {
    match error {
        BackendError::Sources { source, .. } => sources_tree(source),
        BackendError::Read { source, .. } => project(source),
        BackendError::Pyproject { .. } => Exit::Project.help("correct the file"),
        BackendError::Uv(error) => uv(error),
        BackendError::Resolve { source, .. } => lock(source),
        BackendError::Supply(error) => supply(error),
        BackendError::Requirements { source, .. } => wheels(source),
        BackendError::Together { source, .. } => settle(source),
        BackendError::Scripts { .. } => Exit::SourceBuild.help("pin another version of that requirement in `build-system.requires`"),
        BackendError::Write { .. } => Exit::Project.help("see that the disk isn't full"),
        BackendError::Build { directory, .. } if directory.extension().is_some() => {
            let name = directory.to_string_lossy();
            let name = name.rsplit_once('-').map_or(&*name, |(name, _)| name);
            Exit::SourceBuild.help(format!(
                "say what it needs, as in `[tool.minke.build.{name}] system = [\"libfoo-dev\"]`, or `requires`, `env`"
            ))
        }
        BackendError::Build { .. } => Exit::SourceBuild.help("the lines above are the backend's own; what it needs goes into `build-system.requires`"),
        BackendError::TooOld { .. } => Exit::SourceBuild.help(format!(
            "choose a newer suite with `base`, as in `base = \"forky\"`, or an older version of it; or {BY_HAND}"
        )),
        BackendError::Name { .. } => Exit::SourceBuild.help("that is the backend's fault: try another version of it"),
        BackendError::Foreign { .. } => Exit::SourceBuild.help(
            "build its wheel on a machine like the image's, and name the wheel's directory with `--find-links`",
        ),
        BackendError::Fetch { source, .. } => causes::fetch(source, "the index has it no more: lock again"),
        BackendError::Take { source: StoreError::Mismatch { .. }, .. } => {
            Exit::Project.help("if you trust the new file, lock again")
        }
        BackendError::Take { .. } => Exit::Project.help("see that the file may be read; else lock again"),
        BackendError::Unpack { source: ArchiveError::Store(error), .. } => store(error),
        BackendError::Unpack { .. } => Exit::SourceBuild.help(format!(
            "minke refuses archives that are not as packers make them; {BY_HAND}"
        )),
        BackendError::Commit { source, .. } => repository(source),
        BackendError::NoPatch { .. } => {
            Exit::Project.help("name a diff that can be read, relative to the project, in `[tool.minke.build.NAME] patch`")
        }
        BackendError::Patch { .. } => Exit::SourceBuild.help(
            "make the diff anew from the files of this version: `diff -Naur old new`, with one directory before each path",
        ),
        BackendError::Vcs { .. } => Exit::SourceBuild.help(BY_HAND),
        BackendError::Cycle { .. } => Exit::SourceBuild.help(BY_HAND),
        BackendError::Unsealed { .. } => Exit::SourceBuild
            .help(format!(
                "change that setting, or run minke where it isn't refused; to let it run with your rights, set \
                 `build.isolation = \"none\"`; or {BY_HAND}"
            )),
        BackendError::Room { source, .. } => match source.as_ref() {
            RoomError::NoDistribution => Exit::SourceBuild.help(format!("choose a suite with `base`, or {BY_HAND}")),
            RoomError::Supply(error) => supply(error),
            RoomError::System(error) => system(error),
            RoomError::Settle(error) => settle(error),
            RoomError::Setup(_) => Exit::SourceBuild.help("choose another suite with `base`"),
            RoomError::Store(error) => store(error),
        },
        BackendError::Crates { source, .. } => crates(source),
        BackendError::Wheel { source, .. } => wheels(source),
        BackendError::Store(error) => store(error),
    }
}

fn repository(error: &RepositoryError) -> Advice {
    match error {
        RepositoryError::Git { source: GitError::NoGit, .. } => {
            Exit::SourceBuild.help(format!("install git, or {BY_HAND}"))
        }
        RepositoryError::Git { source: GitError::Unpinned { .. }, .. } => {
            Exit::Project.help("pin it in the lock by its commit, in full: lock again")
        }
        RepositoryError::Git { source: GitError::Missing { .. }, .. } => {
            Exit::Project.help("the repository has it no more: lock again")
        }
        RepositoryError::Git { source: GitError::Failed { .. } | GitError::TooLong, .. } => Exit::Network
            .help("see that `git fetch` of that address works here, without asking for a password"),
        RepositoryError::Git { source: GitError::Io(_), .. } => {
            Exit::Project.help("see that the disk isn't full")
        }
        RepositoryError::TooDeep { .. } | RepositoryError::Place(_) => {
            Exit::SourceBuild.help(format!("that is the repository's fault: {BY_HAND}"))
        }
        RepositoryError::Unpack(_) => Exit::SourceBuild
            .help(format!("minke refuses archives that are not as packers make them; {BY_HAND}")),
        RepositoryError::Store(error) => store(error),
    }
}

fn crates(error: &CratesError) -> Advice {
    match error {
        CratesError::Lock { source: CargoLockError::Repository { .. }, .. } => Exit::SourceBuild
            .help(format!("minke fetches crates from registries alone: choose a version that was published with such; or {BY_HAND}")),
        CratesError::Unlocked { .. } => Exit::SourceBuild.help(format!(
            "minke doesn't choose crates: choose a version whose sources have a `Cargo.lock`, or {BY_HAND}"
        )),
        CratesError::Lock { .. } | CratesError::Place(_) => {
            Exit::SourceBuild.help(format!("that is the sources' fault: choose another version, or {BY_HAND}"))
        }
        CratesError::Registry { .. } | CratesError::Config { .. } => Exit::Project.help(
            "name a sparse index in its place, in `$CARGO_HOME/config.toml`: `[source.NAME]`, `replace-with`",
        ),
        CratesError::Index { source, .. } => causes::fetch(source, "no index is there: see `$CARGO_HOME/config.toml`"),
        CratesError::Fetch { source, .. } => causes::fetch(source, "the registry hasn't got it: choose another in `$CARGO_HOME/config.toml`"),
        CratesError::Unpack { .. } => Exit::SourceBuild.help(format!(
            "minke refuses archives that are not as packers make them; {BY_HAND}"
        )),
        CratesError::Store(error) => store(error),
    }
}

/// What always works for what minke doesn't build.
const BY_HAND: &str = "make its wheel with `pip wheel --no-deps NAME` on a system like the image's, and name the \
                       wheel's directory with `--find-links`";

fn settle(error: &SettleError) -> Advice {
    match error {
        SettleError::Conflict { .. } => {
            Exit::Project.help("leave one of them out; between two wheels, the later wins without `--strict`")
        }
        SettleError::Extra(_) => Exit::Project.help("give each its own place"),
        SettleError::Place { .. } => {
            Exit::Project.help("give it another place, or leave out what lies there")
        }
    }
}

fn libs(error: &LibsError) -> Advice {
    match error {
        LibsError::Read { .. } => Exit::Project.help("see that it is there and may be read"),
        LibsError::Wheel { .. } => Exit::Project.help("get the wheel again: it isn't as wheels are made"),
        LibsError::NotElf { .. } => Exit::Project.help("name a directory, a wheel, a library or a program"),
        LibsError::Machine => Exit::Usage.help("say which with `--platform`"),
        LibsError::Client(_) => Exit::Usage.help("see the variables HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE"),
        LibsError::Debian(error) => debian(error),
    }
}

fn bytecode(error: &BytecodeError) -> Advice {
    match error {
        BytecodeError::Compile { .. } => Exit::Bug.help(BUG),
        BytecodeError::Store(error) => store(error),
    }
}

fn deliver(error: &DeliverError) -> Advice {
    match error {
        DeliverError::Write { source, .. } => causes::output(source),
        DeliverError::Docker { .. } => Exit::Network
            .help("see that Docker runs and that you may use its socket; DOCKER_HOST names another"),
        DeliverError::DockerHost { .. } => Exit::Usage.help("set it to `unix:///path/to/docker.sock`"),
    }
}

fn run(error: &RunStepError) -> Advice {
    match error {
        RunStepError::Flatten { .. } | RunStepError::Path(_) => {
            Exit::Project.help("build the image again with `minke build`")
        }
        RunStepError::Bind { .. } => Exit::Usage.help("say it as HOST:CONTAINER, two absolute paths"),
        RunStepError::UnknownUser { .. } | RunStepError::UnknownGroup { .. } => {
            Exit::Usage.help("say it in numbers, UID:GID, with `--user`")
        }
        RunStepError::Store(error) => store(error),
        RunStepError::Foreign { .. } => Exit::Project.help(
            "build it for this machine, or let the kernel start an emulator for such programs (binfmt_misc)",
        ),
        RunStepError::Run { source, .. } => causes::container(source),
    }
}
