//! More odd places: nobody's user, no `/proc`, narrow terminals, daemons that are none, containers in containers.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use minke_testkit::{program, skip};

use crate::plain::wheels;
use crate::town::{Ran, Town};

impl Town {
    /// Runs `minke` through another program, which is given it with its arguments.
    fn through(&self, before: &[&str], arguments: &[&str]) -> Ran {
        let minke = self.command(arguments);
        let mut command = Command::new(before[0]);
        command
            .args(&before[1..])
            .arg(minke.get_program())
            .args(minke.get_args())
            .env_clear()
            .envs(minke.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(minke.get_current_dir().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.finish(command.spawn().unwrap())
    }
}

#[test]
fn a_user_that_no_file_knows_and_that_has_no_home_can_build() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can be somebody else");
    }
    let Some(setpriv) = program("setpriv") else { return skip("there is no setpriv") };
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let built = town.builds(&["shop"]);
    fs::create_dir(town.path("own")).unwrap();
    std::os::unix::fs::chown(town.path("own"), Some(54321), Some(54321)).unwrap();
    let who =
        [setpriv.to_str().unwrap(), "--reuid=54321", "--regid=54321", "--clear-groups", "env", "-u", "HOME"];
    let cache = town.path("own/cache");
    let cache = format!("--cache-dir={}", cache.display());
    let ran = town.through(&who, &["build", "--quiet", "shop", &cache, "-o", "oci-archive:own/shop.tar"]);
    assert_eq!((ran.stderr.as_str(), ran.stdout.trim_end()), ("", built.as_str()));
}

#[test]
fn a_machine_without_proc_can_build() {
    let Some(unshare) = program("unshare") else { return skip("there is no unshare") };
    let hide = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
    let hidden = [unshare.to_str().unwrap(), "--mount", "sh", "-c", hide];
    let mut probe = Command::new(&unshare);
    if !probe.args(["--mount", "mount", "-t", "tmpfs", "none", "/proc"]).output().unwrap().status.success() {
        return skip("only root can hide /proc, and not in every container");
    }
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let built = town.builds(&["shop"]);
    fs::remove_dir_all(town.path("cache")).unwrap();
    let mut hidden = hidden.to_vec();
    let path = ["env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
    hidden.splice(0..0, path);
    let ran = town.through(&hidden, &["build", "--quiet", "shop", "-o", "oci-archive:shop.tar"]);
    assert_eq!((ran.stderr.as_str(), ran.stdout.trim_end()), ("", built.as_str()));
    assert!(town.path("shop.tar").is_file());
}

#[test]
fn where_namespaces_are_refused_building_works_and_running_names_the_setting() {
    let Some(unshare) = program("unshare") else { return skip("there is no unshare") };
    // The setting is one of a user namespace, so that a new one can be without any.
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let within = [unshare.to_str().unwrap(), "--user", "--map-root-user", "sh", "-c"];
    let probe = Command::new(&unshare).args(&within[1..]).args([forbid, "true"]).output().unwrap();
    if !probe.status.success() {
        return skip("this machine lets nobody make user namespaces");
    }
    let wheels = wheels();
    let Some(town) = Town::with(&wheels) else { return };
    town.project("shop", &wheels);
    let within = [&within[..], &[forbid]].concat();
    let ran = town.through(&within, &["build", "--quiet", "shop"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let ran = town.through(&within, &["run", "shop"]);
    assert_snapshot!(ran.seen(), @r"
    status: 1
    stderr: error: cannot run the image
      because: `shop:latest` did not start
      because: cannot make a container
      because: this machine refuses new namespaces: the setting `user.max_user_namespaces` allows no more of them
      because: No space left on device (os error 28)
      help: change that setting, or run minke as root; the image itself is good elsewhere
    ");
}

#[test]
fn a_terminal_of_forty_columns_is_kept_to() {
    let Some(script) = program("script") else { return skip("there is no script(1)") };
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let typed = format!("stty cols 40 && {} build shop", env!("CARGO_BIN_EXE_minke"));
    let on_terminal = |variables: &[(&str, &str)]| {
        let minke = town.command(&[]);
        let mut command = Command::new(&script);
        command
            .args(["--quiet", "--return", "--command", &typed, "/dev/null"])
            .env_clear()
            .envs(minke.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm")
            .envs(variables.iter().copied())
            .current_dir(minke.get_current_dir().unwrap())
            .stdin(Stdio::null());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let plain = on_terminal(&[("NO_COLOR", "1")]);
    let colors = |text: &str| text.contains("\x1b[1m") || text.contains("\x1b[3") || text.contains("\x1b[0m");
    assert!(!colors(&plain), "{plain:?}");
    let long: Vec<_> = plain
        .lines()
        .flat_map(|line| line.split('\r'))
        // The result is one word, which is for programs.
        .filter(|line| line.chars().count() > 40 && !line.contains("@sha256:"))
        .collect();
    assert_eq!(long, Vec::<&str>::new(), "{plain:?}");
    assert!(colors(&on_terminal(&[])));
}

#[test]
fn a_docker_socket_that_refuses_or_is_none_is_told_apart() {
    let Some(mut town) = Town::with(&[]) else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("only root can have a socket that another user may not use");
    }
    town.project("shop", &[]);
    town.hand_over();
    let load = |town: &Town, socket: &str| {
        let mut command = town.command(&["build", "--quiet", "shop", "--load"]);
        command.env("DOCKER_HOST", format!("unix://{}", town.path(socket).display()));
        town.finish(command.spawn().unwrap()).seen()
    };
    let closed = UnixListener::bind(town.path("closed.sock")).unwrap();
    fs::set_permissions(town.path("closed.sock"), fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(town.path("closed.sock"), Some(0), Some(0)).unwrap();
    assert_snapshot!(load(&town, "closed.sock"), @r"
    status: 5
    stderr: error: the image was built and is in minke's store, but cannot be handed over
      because: cannot load `shop:latest` into Docker
      because: this user may not use the Docker socket `TOWN/closed.sock`
      help: see that Docker runs and that you may use its socket; DOCKER_HOST names another
    ");
    drop(closed);
    let other = UnixListener::bind(town.path("other.sock")).unwrap();
    fs::set_permissions(town.path("other.sock"), fs::Permissions::from_mode(0o666)).unwrap();
    let host = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        stream.write_all(b"220 host.test ready\r\n").unwrap();
        // It hangs up on hearing nonsense, and until then is listened to.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    assert_snapshot!(load(&town, "other.sock"), @r"
    status: 5
    stderr: error: the image was built and is in minke's store, but cannot be handed over
      because: cannot load `shop:latest` into Docker
      because: what listens at `TOWN/other.sock` does not answer as a Docker daemon
      help: see that Docker runs and that you may use its socket; DOCKER_HOST names another
    ");
    host.join().unwrap();
}
