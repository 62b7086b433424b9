//! The ground: all layers below the app's, which an edit of the project's own files leaves as they are.
//!
//! What goes into them is a matter of digests: the base's packages, the wheels, the settings that touch layers, and
//! of the user's own files only which paths they have, the bytes of those that may be ELF files, and which modules they
//! import that rules may take. As long as these are the same, nothing below is unpacked, joined or compiled again, not even
//! looked at.

use std::collections::BTreeSet;

use minke_cas::{Digest, Entry, Epoch, ImagePath, Tree};
use minke_distro::PackageName as DebName;
use minke_oci::Layer;
use minke_python::Provenance;
use serde::{Deserialize, Serialize};

use super::app::{App, Copied};
use super::base::Base;
use super::healing::{self, Means};
use super::ready::{Haste, Ready};
use super::slimming::SlimKey;
use super::{Foreman, compression};
use crate::bytecode::Compiler;
use crate::debian::Roots;
use crate::error::BuildError;
use crate::event::Said;
use crate::fetch::at_once;
use crate::layers::{self, Cut};
use crate::native;
use crate::parts::{Owner, Part};
use crate::project::{Project, Shape};
use crate::proof::{Healed, Scripts};
use crate::settings::LayerPolicy;
use crate::slim::{self, Rules, Tally};
use crate::system_lock::LockedLift;
use crate::wheels::{self, Wheel};

/// The layers below the app's, and what the app's depends on besides its own files.
#[derive(Clone)]
pub(super) struct Laid {
    pub(super) layers: Vec<Layer>,
    pub(super) own: Own,
    pub(super) upon: Upon,
    /// The scripts of the requirement that was asked for, where that is the whole project.
    pub(super) scripts: Option<Vec<String>>,
    pub(super) added: Added,
    /// What slimming took; none where nothing was slimmed.
    pub(super) tally: Option<Tally>,
}

/// Which of the user's own files go into the app's layer.
#[derive(Clone)]
pub(super) enum Own {
    /// All of them, for they lie where nobody else wants one.
    All,
    /// These, for the others are somebody else's, too, or are in a layer already.
    These(Vec<Part>),
}

/// What the app's layer takes from what lies below.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Upon {
    /// The directories that it has, with the whole image's modes.
    pub(super) directories: Tree,
    /// What its bytecode depends on; none where there is no interpreter for it.
    pub(super) compiler: Option<Compiler>,
    /// The tree that the interpreter which works here lies in, and where.
    pub(super) bench: (Digest, ImagePath),
}

/// What `minke.lock` says of what lies above the base: what was asked of the distribution, and what came of it.
#[derive(Default, Clone, Serialize, Deserialize)]
pub(super) struct Added {
    pub(super) roots: Roots,
    pub(super) digests: Vec<Digest>,
    /// The libraries that nobody supplies.
    pub(super) lacking: BTreeSet<String>,
    /// The rules that are lifted, those included that are for others than this image.
    pub(super) lifts: BTreeSet<LockedLift>,
}

/// All of a wheel that an image depends on.
#[derive(Clone, Serialize)]
pub(super) struct WheelKey<'key>(Digest, String, u64, &'key Provenance);

impl<'key> WheelKey<'key> {
    pub(super) fn of(wheel: &'key Wheel) -> Self {
        // Taken apart by name, so that a field that is added is thought of.
        let Wheel { name, digest, size, source: _, provenance, part: _ } = wheel;
        Self(*digest, name.to_string(), *size, provenance)
    }
}

/// All that the ground depends on.
#[derive(Clone, Serialize)]
pub(super) struct GroundKey<'key> {
    minke: &'static str,
    base: Digest,
    venv: String,
    wheels: Vec<WheelKey<'key>>,
    wanted: Option<&'key str>,
    app: Vec<(String, Digest)>,
    wished: Vec<DebName>,
    optional: &'key [String],
    likely: bool,
    strict: bool,
    layers: String,
    packing: String,
    slim: Option<SlimKey>,
    /// What the user's own files import, as far as that may decide what is taken.
    imported: BTreeSet<String>,
    lifts: Vec<[String; 3]>,
    /// What is started when it is proved; as long as that is nothing, the key is as if there were no such wish.
    #[serde(skip_serializing_if = "Scripts::is_none")]
    scripts: &'key Scripts,
}

impl GroundKey<'_> {
    /// Returns the key of the next build, whose lock will lift what this one lifts; none if that is the same key.
    pub(super) fn next(&self, added: &Added) -> Option<Self> {
        let lifts = healing::keys(&added.lifts);
        (self.slim.is_some() && lifts != self.lifts).then(|| Self { lifts, ..self.clone() })
    }
}

/// The ground as it is remembered.
#[derive(Serialize, Deserialize)]
struct Ground {
    layers: Vec<Layer>,
    added: Added,
    upon: Upon,
    scripts: Option<Vec<String>>,
    tally: Option<Tally>,
    said: Vec<Said>,
}

/// The layer of what is the user's own.
pub(super) const APP: &str = "app";

const KIND: &str = "ground-8";

impl Foreman<'_> {
    /// Returns the layers below the app's, from memory where nothing that they depend on has changed.
    pub(super) fn ground(
        &self,
        (project, base): (&Project, &Base),
        others: &[Wheel],
        app: &App<'_>,
    ) -> Result<Laid, BuildError> {
        let wheels = self.own_wheels(base, app)?.parts.iter();
        let shapes = wheels.map(|part| (part.owner.name(), shape(&part.tree)));
        let copied = app.copied.iter().map(|Copied { from, at, listing }| {
            (format!("{} {at}", from.owner(project).name()), listing.shape(at))
        });
        let shapes = shapes.chain(copied).collect();
        let at_risk = self.at_risk(base, app)?;
        let mut imported = self.imported((project, base), app)?;
        imported.extend(at_risk.iter().cloned());
        let key = self.ground_key((project, base), others, (shapes, imported))?;
        if let Some(known) = self.store.recall::<_, Ground>(KIND, &key)
            && self.is_still_so(base, (&known.added, known.tally.as_ref()))?
        {
            let Ground { layers, added, upon, scripts, tally, said } = known;
            self.reporter.repeat(&said);
            return Ok(Laid { layers, own: Own::All, upon, scripts, added, tally });
        }
        let (made, said) = self.reporter.overhear(|| self.lay((project, base), others, (app, &at_risk)));
        let laid = made?;
        if matches!(laid.own, Own::All) {
            let Laid { layers, own: _, upon, scripts, added, tally } = laid.clone();
            let next = key.next(&added);
            let ground = Ground { layers, added, upon, scripts, tally, said };
            for key in [Some(key), next].iter().flatten() {
                self.store.remember(KIND, key, &ground)?;
            }
        }
        Ok(laid)
    }

    pub(super) fn ground_key<'key>(
        &'key self,
        (project, base): (&'key Project, &Base),
        others: &'key [Wheel],
        (app, imported): (Vec<(String, Digest)>, BTreeSet<String>),
    ) -> Result<GroundKey<'key>, BuildError> {
        let settings = &self.request.settings;
        Ok(GroundKey {
            minke: env!("CARGO_PKG_VERSION"),
            base: base.identity,
            venv: format!("{:?}", base.venv),
            wheels: others.iter().map(WheelKey::of).collect(),
            wanted: match &project.shape {
                Shape::Requirement(name) => Some(name),
                Shape::Package | Shape::Files | Shape::Script(_) => None,
            },
            app,
            wished: self.wished_packages()?.into_keys().collect(),
            optional: &settings.optional_libraries,
            likely: self.adds_likely(),
            strict: settings.strict.as_ref().is_some_and(|said| said.value),
            layers: format!("{:?}", self.layer_policy()),
            packing: compression(settings).to_string(),
            slim: self.slim_key(),
            imported,
            lifts: healing::keys(&self.locked_lifts()),
            scripts: &settings.check_scripts,
        })
    }

    fn imported(
        &self,
        (project, base): (&Project, &Base),
        app: &App<'_>,
    ) -> Result<BTreeSet<String>, BuildError> {
        let mut imported = BTreeSet::new();
        if slim::follows_imports(&self.request.settings) {
            for part in self.app_parts((project, base), app)? {
                imported.extend(slim::imported(self.store, Rules::shipped(), &part.tree)?);
            }
        }
        Ok(imported)
    }

    pub(super) fn layer_policy(&self) -> LayerPolicy {
        self.request.settings.layers.as_ref().map_or(LayerPolicy::default(), |said| said.value)
    }

    /// Pins what was remembered, and tells whether it would be the same today: what was asked of the distribution gives
    /// the same packages, and what wasn't proved still cannot be. Only then is it found out whether rooms can be made,
    /// which takes as long as all else of a build in which nothing has changed.
    pub(super) fn is_still_so(
        &self,
        base: &Base,
        (added, tally): (&Added, Option<&Tally>),
    ) -> Result<bool, BuildError> {
        if let Some(tally) = tally {
            if !tally.proved && self.is_provable() {
                return Ok(false);
            }
            self.supply.keep_lifts(&added.lifts)?;
        }
        let Some(distribution) = &base.distribution else { return Ok(true) };
        let picks = self.supply.system(self.platform(), &distribution.roots, &added.roots)?;
        self.supply.keep_lacking(self.platform(), &added.lacking);
        Ok(picks.iter().map(|pick| pick.digest).eq(added.digests.iter().copied()))
    }

    /// Makes the ground.
    fn lay(
        &self,
        (project, base): (&Project, &Base),
        others: &[Wheel],
        (app, at_risk): (&App<'_>, &BTreeSet<String>),
    ) -> Result<Laid, BuildError> {
        let (mut later, scripts) = self.others_parts(project, base, others)?;
        later.extend(self.app_parts((project, base), app)?);
        let (parts, mut added) = self.with_system(base, later)?;
        let settled = self.settle(parts)?;
        let made = self.made(base)?;
        let compiler = made.compiler.clone();
        let bench = (made.bench.tree.digest(), made.bench.program.clone());
        let is_apart = self.layer_policy() != LayerPolicy::Single && settled.is_apart();
        let means = Means { base, bench: &bench, compiler: compiler.as_ref() };
        let lifts = self.known_lifts(&settled);
        // Making a room to see whether it can be made takes a while.
        let (is_proved, ready) = at_once(
            || slim::is_wanted(&self.request.settings) && self.is_provable(),
            || self.ready(means, &settled, &lifts),
        );
        let mut ready = ready?;
        // Most often nothing has to be lifted: so the layers are written while that is proved.
        let haste = if is_proved { Haste::Beside } else { Haste::Alone };
        let (layers, healed) =
            at_once(|| self.layers(&ready, haste), || self.healed(means, &settled, &ready));
        let Healed { lifts: healed, mut put_back, ailing: _ } = healed?;
        let mut layers = layers?;
        let is_healed = healed != lifts;
        if is_healed {
            ready = self.ready(means, &settled, &healed)?;
        }
        let imported = self.spare(means, (&settled, at_risk), &mut ready)?;
        if is_healed || !imported.is_empty() {
            layers = self.layers(&ready, Haste::Alone)?;
        }
        put_back.extend(imported);
        added.lifts = self.supply.lock().lifts;
        self.note_cards(base, &ready.below);
        let Ready { own, sources, below, whole, ledger } = ready;
        let count = |ledger| self.tally(&settled.parts, (ledger, put_back), (&sources, &below));
        let tally = ledger.map(count).transpose()?;
        let own = Cut { name: APP.to_owned(), parts: own };
        let directories = layers::directories(&own, &whole);
        let own = if is_apart { Own::All } else { Own::These(own.parts) };
        Ok(Laid { layers, own, upon: Upon { directories, compiler, bench }, scripts, added, tally })
    }

    /// Returns the venv and others' wheels, and the scripts of the one that was asked for by name.
    pub(super) fn others_parts(
        &self,
        project: &Project,
        base: &Base,
        others: &[Wheel],
    ) -> Result<(Vec<Part>, Option<Vec<String>>), BuildError> {
        let owner = Owner::Minke { name: "the virtual environment".to_owned() };
        let mut later = vec![Part { owner, tree: base.venv.skeleton(self.store)?, epoch: Epoch::FIXED }];
        let mut scripts = None;
        for (wheel, installed) in others.iter().zip(self.installed(base, others)?) {
            wheels::oddities(&installed).for_each(|oddity| self.reporter.note(oddity));
            let (name, version) = (installed.name.to_string(), installed.version.to_string());
            if matches!(&project.shape, Shape::Requirement(wanted) if *wanted == name) {
                scripts = Some(installed.console_scripts.iter().cloned().collect());
            }
            let owner = Owner::Distribution { name, version, wheel_size: wheel.size };
            later.push(Part { owner, tree: installed.tree, epoch: Epoch::FIXED });
        }
        Ok((later, scripts))
    }
}

/// Returns a digest of all that other parts can depend on in the user's own files: their paths, what they are,
/// where links lead, and the bytes of those that may be ELF files.
fn shape(tree: &Tree) -> Digest {
    let line = |(path, entry): (ImagePath, &Entry)| {
        let what = match entry {
            Entry::Directory(directory) => {
                format!("directory {:?} {:?}", directory.mode(), directory.owner())
            }
            Entry::File(file) => {
                let bytes = native::may_be_elf(path.name().unwrap_or_default(), file).then_some(file.content);
                format!("file {:?} {:?} {bytes:?}", file.mode, file.owner)
            }
            Entry::Symlink(symlink) => format!("symlink {:?} {:?}", symlink.target, symlink.owner),
        };
        (path, what)
    };
    let lines: Vec<_> = tree.walk().map(line).collect();
    Digest::of(&serde_json::to_vec(&lines).expect("paths are JSON"))
}
