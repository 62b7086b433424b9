//! The layer of what is the user's own.
//!
//! The project's files go into it in runs, each of which is compiled, compressed and remembered for itself: an edit
//! makes the run that it lies in, and of the others not even a tree.

use minke_cas::{Digest, Epoch, ImagePath, Tree};
use minke_oci::{Compression, Layer, LayerError, Packed};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use super::app::{App, Copied, Whose};
use super::base::Base;
use super::ground::{APP, Laid, Own};
use super::healing::Means;
use super::{Foreman, compression, segment};
use crate::bytecode::Compiler;
use crate::error::BuildError;
use crate::event::{Hop, Unit};
use crate::parts::{Part, begins_piece};
use crate::project::Project;
use crate::project::runs::Run;
use crate::slim::Lifts;

/// All that a run's bytes in a layer depend on.
#[derive(Serialize)]
struct RunKey<'key> {
    owner: String,
    at: &'key ImagePath,
    files: Digest,
    /// Of a run with symlinks: all files, among which they may lead.
    around: Option<Digest>,
    epoch: Epoch,
    compiler: Option<&'key Compiler>,
    compression: Compression,
}

const KIND: &str = "app-run-1";

impl Foreman<'_> {
    /// Compiles and writes the app's layer, if it has anything.
    pub(super) fn own_layer(
        &self,
        (project, base): (&Project, &Base),
        app: &App<'_>,
        laid: &Laid,
    ) -> Result<Option<Layer>, BuildError> {
        let packed = match &laid.own {
            Own::These(parts) => self.packed((base, laid), parts, &together(parts))?,
            Own::All => self.all_packed((project, base), app, laid)?,
        };
        if packed.is_empty() {
            return Ok(None);
        }
        self.hop(Hop::Layers, Unit::Bytes, |meter| {
            let compression = compression(&self.request.settings);
            let parts = (APP, packed.as_slice());
            let written =
                minke_oci::write_packed(self.store, parts, &laid.upon.directories, compression, meter);
            written.map(Some).map_err(|source| failed(APP, source))
        })
    }

    fn all_packed(
        &self,
        (project, base): (&Project, &Base),
        app: &App<'_>,
        laid: &Laid,
    ) -> Result<Vec<Packed>, BuildError> {
        let wheels = &self.own_wheels(base, app)?.parts;
        let more = self.copied_part(project, app, Whose::Settings)?.pieces();
        let whole = if wheels.is_empty() && more.is_empty() {
            Tree::new()
        } else {
            together(&self.app_parts((project, base), app)?)
        };
        let mut packed = self.packed((base, laid), wheels, &whole)?;
        for copied in app.copied.iter().filter(|copied| copied.from == Whose::Project) {
            packed.extend(self.packed_runs((project, base), (app, copied), laid)?);
        }
        packed.extend(self.packed((base, laid), &more, &whole)?);
        Ok(packed)
    }

    /// Compiles and compresses parts; links in them lead to where they lead in `whole`.
    fn packed(
        &self,
        (base, laid): (&Base, &Laid),
        parts: &[Part],
        whole: &Tree,
    ) -> Result<Vec<Packed>, BuildError> {
        let means = Means { base, bench: &laid.upon.bench, compiler: laid.upon.compiler.as_ref() };
        let compiled = self.compile(means, parts, whole, &Lifts::new())?;
        let compression = compression(&self.request.settings);
        let pack = |part: &Part| {
            let packed = Packed::new(self.store, &segment(part), compression);
            packed.map_err(|source| failed(&part.owner.name(), source))
        };
        compiled.par_iter().filter(|part| !part.tree.is_empty()).map(pack).collect()
    }

    /// Returns the runs of a listing compiled and compressed, from memory where they are as they were.
    fn packed_runs(
        &self,
        (project, base): (&Project, &Base),
        (app, copied): (&App<'_>, &Copied),
        laid: &Laid,
    ) -> Result<Vec<Packed>, BuildError> {
        let Copied { from, at, listing } = copied;
        let (store, epoch) = (self.store, app.epoch);
        let owner = from.owner(project);
        let runs = listing.runs(at, begins_piece);
        let key = |run: &Run<'_>| RunKey {
            owner: owner.name(),
            at,
            files: run.digest(),
            around: run.has_links().then(|| listing.digest()),
            epoch,
            compiler: laid.upon.compiler.as_ref(),
            compression: compression(&self.request.settings),
        };
        let recall = |run: &Run<'_>| store.recall(KIND, &key(run));
        let known: Vec<Option<Packed>> = runs.par_iter().map(recall).collect();
        let missing: Vec<&Run<'_>> =
            runs.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(run, _)| run).collect();
        let part = |run: &&Run<'_>| -> Result<Part, BuildError> {
            let tree = run.tree(store, at).map_err(BuildError::Sources)?;
            Ok(Part { owner: owner.clone(), tree, epoch })
        };
        let parts: Vec<Part> = missing.iter().map(part).collect::<Result<_, _>>()?;
        let whole = if missing.iter().any(|run| run.has_links()) {
            listing.tree(store, at).map_err(BuildError::Sources)?
        } else {
            Tree::new()
        };
        let made = self.packed((base, laid), &parts, &whole)?;
        for (run, packed) in missing.iter().zip(&made) {
            store.remember(KIND, &key(run), packed)?;
        }
        let mut made = made.into_iter();
        Ok(known.into_iter().filter_map(|known| known.or_else(|| made.next())).collect())
    }
}

fn failed(layer: &str, source: LayerError) -> BuildError {
    BuildError::Layer { layer: layer.to_owned(), source }
}

/// Joins the user's own parts; where two have something at one path the first has it.
fn together(parts: &[Part]) -> Tree {
    parts.iter().fold(Tree::new(), |tree, part| tree.join(&part.tree).unwrap_or(tree))
}
