//! The plan: the decisions of a build, without its downloads.

use super::base::Base;
use std::collections::BTreeSet;

use minke_cas::Epoch;
use minke_python::Installed;

use super::{BuildError, Foreman, Hop, Unit};
use crate::debian::Pick;
use crate::layers;
use crate::lock;
use crate::outside;
use crate::parts::{Owner, Part, Strictness, settle};
use crate::plan::{Item, Likely, Plan};
use crate::project::{Project, Shape};
use crate::uv::{self, FindUvError, Resolver};
use crate::wheels::{self, Needs, Wheel};
use crate::workshop::Sources;

impl Foreman<'_> {
    pub(super) fn plan(&self) -> Result<Plan, BuildError> {
        let base = self.base()?;
        let project = self.project(&base.target)?;
        let name = self.name(&project)?;
        let mut unknown = Vec::new();
        let needs = self.needs(&project, &base)?;
        let mut items = self.packages(&base, &mut unknown)?;
        let likely = self.likely_of(&base, &needs.wheels, &items, &mut unknown)?;
        items.extend(self.wheels_of(&needs.wheels));
        items.extend(self.own_items(&project, &needs));
        let order = |item: &Item| layer_rank(&item.layer);
        items.sort_by_key(order);
        Ok(Plan {
            name: name.tagged(),
            platform: self.platform().to_string(),
            target: base.target.to_string(),
            base: base.title.clone(),
            items,
            likely,
            unknown,
        })
    }

    /// Resolves, with whatever Python there is; where the requirements are the build backend's to say, it is asked.
    fn needs(&self, project: &Project, base: &Base) -> Result<Needs, BuildError> {
        let settings = &self.request.settings;
        let scratch = self.store.scratch()?;
        let find_links: Vec<_> = settings.find_links.iter().map(|path| project.root.join(path)).collect();
        let more = outside::of_project(&self.request.host, &project.root, &find_links);
        let fault = std::cell::RefCell::new(None);
        let resolver = || {
            let uv = uv::find(self.client, self.store, (&self.request.host, &more), self.reporter)?;
            // Any Python will do for what is asked here, so that none is fetched where there is one.
            if let Some(python) = uv::on_path(&self.request.host, "python3") {
                return Ok(Resolver { uv, python, root: minke_cas::Tree::new() });
            }
            let made = self.made(base).and_then(|made| {
                let python = made.bench.interpreter.write_wrapper(scratch.path());
                let python = python.map_err(BuildError::Wrapper)?;
                Ok(Resolver { uv, python, root: made.bench.tree.clone() })
            });
            made.map_err(|error| {
                *fault.borrow_mut() = Some(error);
                FindUvError::NoPython
            })
        };
        let distributions = self.hop(Hop::Lock, Unit::Pieces, |_| {
            let note_uv = |_| {};
            let means = lock::Means {
                resolver,
                own_wheel: None,
                metadata_of: None,
                note_uv: &note_uv,
                store: self.store,
            };
            let policy =
                lock::Policy { locks: crate::request::LockPolicy::Show, upgrade: &self.request.upgrade };
            lock::distributions(project, (settings, policy), &base.target, means, self.reporter)
                .map_err(|error| fault.borrow_mut().take().unwrap_or(BuildError::Lock(error)))
        })?;
        let houses = [find_links, self.wheelhouses(project)].concat();
        let roots = (project.lock_root.as_path(), houses.as_slice());
        wheels::sort(self.store, distributions, &base.target, roots).map_err(BuildError::Wheels)
    }

    fn packages(&self, base: &Base, unknown: &mut Vec<String>) -> Result<Vec<Item>, BuildError> {
        let Some(distribution) = &base.distribution else { return Ok(Vec::new()) };
        let item = |layer: &str, pick: &Pick| Item {
            layer: layer.to_owned(),
            kind: "package",
            name: pick.name.clone(),
            version: pick.version.clone(),
            size: Some(pick.size),
            why: pick.why.join(", "),
        };
        let mut items: Vec<Item> = distribution.picks.iter().map(|pick| item("base", pick)).collect();
        let locked = self.supply.lock().platforms.remove(&self.platform()).and_then(|locked| locked.system);
        let picks = match locked {
            Some(locked) => locked.packages,
            None => {
                unknown.push(
                    "which packages the wheels ask for: `minke lock` fetches the wheels and finds out"
                        .to_owned(),
                );
                self.supply.system(self.platform(), &distribution.roots, &self.wished_packages()?)?
            }
        };
        items.extend(picks.iter().map(|pick| item("system", pick)));
        Ok(items)
    }

    /// Returns what the wheels that were fetched before seem to load by name and none of the packages has.
    fn likely_of(
        &self,
        base: &Base,
        wheels: &[Wheel],
        packages: &[Item],
        unknown: &mut Vec<String>,
    ) -> Result<Vec<Likely>, BuildError> {
        let is_here =
            |wheel: &&Wheel| wheel.source.as_ref().is_none_or(|source| self.store.has_source(source));
        let here: Vec<Wheel> = wheels.iter().filter(is_here).cloned().collect();
        let part = |installed: Installed| Part {
            owner: Owner::Distribution {
                name: installed.name.to_string(),
                version: installed.version.to_string(),
                wheel_size: 0,
            },
            tree: installed.tree,
            epoch: Epoch::FIXED,
        };
        let parts: Vec<Part> = self.installed(base, &here)?.into_iter().map(part).collect();
        let tree = settle(parts.clone(), Strictness::LaterWins).map_err(BuildError::Settle)?.tree;
        let found = match self.likely(base, &tree, &parts) {
            Ok(found) => found,
            // It is a hint: a plan is one without it.
            Err(error) => {
                unknown.push(format!("who has what wheels seem to load by name: {error}"));
                return Ok(Vec::new());
            }
        };
        // Two names of one library are one.
        let likely: BTreeSet<Likely> = found
            .into_iter()
            .filter_map(|likely| {
                let (library, package) = likely.found?;
                let is_there = packages.iter().any(|item| item.name == package.as_str());
                (!is_there).then(|| Likely { library, package: package.to_string(), by: likely.by })
            })
            .collect();
        Ok(likely.into_iter().collect())
    }

    fn wheels_of(&self, wheels: &[Wheel]) -> Vec<Item> {
        let owner = |wheel: &Wheel| Owner::Distribution {
            name: wheel.name.name().to_string(),
            version: wheel.name.version().to_string(),
            wheel_size: wheel.size,
        };
        let owners: Vec<Owner> = wheels.iter().map(owner).collect();
        let places = layers::places(&owners, self.layer_policy());
        let item = |(wheel, layer): (&Wheel, String)| Item {
            layer,
            kind: "wheel",
            name: wheel.name.name().to_string(),
            version: wheel.name.version().to_string(),
            size: Some(wheel.size).filter(|size| *size > 0),
            why: wheel.name.to_string(),
        };
        wheels.iter().zip(places).map(item).collect()
    }

    /// Returns what of the user's own goes in: directories that are built, or files that are copied.
    fn own_items(&self, project: &Project, needs: &Needs) -> Vec<Item> {
        let owner = Owner::Project { name: project.name() };
        let layer = layers::places(&[owner], self.layer_policy()).remove(0);
        let item = |kind: &'static str, name: String, why: &str| Item {
            layer: layer.clone(),
            kind,
            name,
            version: String::new(),
            size: None,
            why: why.to_owned(),
        };
        let mut items: Vec<Item> = needs
            .directories
            .iter()
            .map(|directory| {
                item("build", directory.display().to_string(), "a directory that the lock names")
            })
            .collect();
        let from_sources = |sources: &Sources| Item {
            layer: layers::places(&[owner_of_sources(sources)], self.layer_policy()).remove(0),
            kind: "sdist",
            name: sources.name.to_string(),
            version: sources.version.as_ref().map(ToString::to_string).unwrap_or_default(),
            size: None,
            why: format!("{}, which is built", sources.file),
        };
        items.extend(needs.sources.iter().map(from_sources));
        let is_there = needs.directories.iter().any(|directory| project.is_here(directory));
        match &project.shape {
            Shape::Package if !is_there => {
                items.push(item("build", project.name(), "the project has a build system"));
            }
            Shape::Package | Shape::Requirement(_) => {}
            Shape::Files => items.push(item("files", project.name(), "the project has no build system")),
            Shape::Script(name) => items.push(item("files", name.clone(), "it is the script to build")),
        }
        items
    }
}

fn owner_of_sources(sources: &Sources) -> Owner {
    let version = sources.version.as_ref().map(ToString::to_string).unwrap_or_default();
    Owner::Distribution { name: sources.name.to_string(), version, wheel_size: 0 }
}

fn layer_rank(layer: &str) -> usize {
    ["base", "system"].iter().position(|known| *known == layer).unwrap_or(match layer {
        "rest" => 3,
        "app" => 4,
        _ => 2,
    })
}
