//! The text of a `minke.lock`.

use std::fmt::Write as _;

use super::{
    BuildKey, LockedArchive, LockedBuilder, LockedLayer, LockedLift, LockedPlatform, LockedWheel, Recipe,
    RecipeKey, SystemLock, VERSION, WheelPlace,
};
use crate::debian::Pick;
use crate::interpreter::InterpreterPin;
use crate::platform::Platform;

const HEADER: &str = "\
# What of the system goes into the image, and why. Written by minke, and to be committed:
# `minke lock --upgrade` moves it on.
";

pub(super) fn text(lock: &SystemLock) -> String {
    let SystemLock { uv, platforms, builds, recipes, lifts } = lock;
    let mut text = format!("{HEADER}version = {VERSION}\n");
    if let Some(uv) = uv {
        line(&mut text, "uv", &quoted(uv));
    }
    for (platform, locked) in platforms {
        write_platform(&mut text, *platform, locked);
    }
    for (key, wheels) in builds {
        write_build(&mut text, key, wheels);
    }
    for (key, recipe) in recipes {
        write_recipe(&mut text, key, recipe);
    }
    for LockedLift { name, version, broken, why, rule } in lifts {
        text.push_str("\n[[lift]]\n");
        // All have to be there: a table that was cut off has no rule.
        let fields = [("name", name), ("version", version), ("broken", broken), ("why", why), ("rule", rule)];
        fields.into_iter().for_each(|(key, value)| line(&mut text, key, &quoted(value)));
    }
    text
}

fn write_platform(text: &mut String, platform: Platform, locked: &LockedPlatform) {
    let LockedPlatform { suite, interpreter, archives, base, system, debug, lacking, builder } = locked;
    text.push_str("\n[[platform]]\n");
    line(text, "name", &quoted(&platform.to_string()));
    line(text, "suite", &quoted(suite));
    // A file that was cut off, or merged without its end, is still TOML: the count tells.
    line(text, "packages", &locked.packages().count().to_string());
    line(text, "base", &list(&base.roots));
    if let Some(system) = system {
        line(text, "system", &list(&system.roots));
    }
    if let Some(debug) = debug {
        line(text, "debug", &list(&debug.roots));
    }
    if !lacking.is_empty() {
        line(text, "lacking", &list(lacking));
    }
    if let Some(InterpreterPin { version, url, sha256 }) = interpreter {
        text.push_str("\n[platform.interpreter]\n");
        line(text, "version", &quoted(version));
        line(text, "url", &quoted(url));
        line(text, "sha256", &quoted(&sha256.hex()));
    }
    for LockedArchive { suite, date, in_release } in archives {
        text.push_str("\n[[platform.archive]]\n");
        line(text, "suite", &quoted(suite));
        line(text, "date", &quoted(date));
        line(text, "in-release", &quoted(&in_release.to_string()));
    }
    let LockedBuilder { rooms, packages } = builder;
    for (roots, names) in rooms {
        text.push_str("\n[[platform.room]]\n");
        line(text, "roots", &list(roots));
        line(text, "packages", &list(names));
    }
    for (name, layer) in [("base", Some(base)), ("system", system.as_ref()), ("debug", debug.as_ref())] {
        let packages = layer.into_iter().flat_map(|layer: &LockedLayer| &layer.packages);
        packages.for_each(|pick| write_package(text, name, pick));
    }
    packages.iter().for_each(|pick| write_package(text, "builder", pick));
}

fn write_package(text: &mut String, layer: &str, pick: &Pick) {
    let Pick { name, version, architecture, filename, digest, size, why, suite } = pick;
    text.push_str("\n[[platform.package]]\n");
    line(text, "name", &quoted(name));
    line(text, "version", &quoted(version));
    line(text, "architecture", &quoted(architecture));
    line(text, "layer", &quoted(layer));
    line(text, "why", &list(why));
    line(text, "suite", &quoted(suite));
    line(text, "path", &quoted(filename));
    line(text, "size", &size.to_string());
    line(text, "sha256", &quoted(&digest.hex()));
}

fn write_build(text: &mut String, key: &BuildKey, wheels: &[LockedWheel]) {
    text.push_str("\n[[build]]\n");
    line(text, "requires", &list(&key.requires));
    line(text, "for", &quoted(&key.target));
    line(text, "wheels", &wheels.len().to_string());
    for LockedWheel { name, place } in wheels {
        text.push_str("\n[[build.wheel]]\n");
        line(text, "name", &quoted(name));
        match place {
            WheelPlace::Url { url, digest, size } => {
                line(text, "url", &quoted(&url.to_string()));
                if let Some(size) = size {
                    line(text, "size", &size.to_string());
                }
                line(text, "sha256", &quoted(&digest.hex()));
            }
            WheelPlace::Path { path, digest } => {
                line(text, "path", &quoted(path));
                line(text, "sha256", &quoted(&digest.hex()));
            }
            WheelPlace::Commit { repository, commit, subdirectory, version } => {
                line(text, "git", &quoted(repository));
                for (key, said) in [("subdirectory", subdirectory), ("version", version)] {
                    if let Some(said) = said {
                        line(text, key, &quoted(said));
                    }
                }
                line(text, "commit", &quoted(commit));
            }
        }
    }
}

fn write_recipe(text: &mut String, key: &RecipeKey, recipe: &Recipe) {
    let (RecipeKey { name, digest, target }, Recipe { tools, system, requires }) = (key, recipe);
    text.push_str("\n[[sources]]\n");
    line(text, "name", &quoted(name));
    if let Some(digest) = digest {
        line(text, "sha256", &quoted(&digest.hex()));
    }
    line(text, "for", &quoted(target));
    for (key, reasons) in [("system", system), ("requires", requires)] {
        if !reasons.is_empty() {
            let entries: Vec<String> =
                reasons.iter().map(|(what, why)| format!("{} = {}", quoted(what), list(why))).collect();
            line(text, key, &format!("{{ {} }}", entries.join(", ")));
        }
    }
    // The last, and always there: without it the table was cut off.
    line(text, "tools", &quoted(tools.word()));
}

fn line(text: &mut String, key: &str, value: &str) {
    writeln!(text, "{key} = {value}").expect("a text takes all that is written");
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list<'list>(texts: impl IntoIterator<Item = &'list String>) -> String {
    let texts: Vec<_> = texts.into_iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}
