//! What goes into the layers below the app's, slimmed and compiled, and these layers as they are written.

use minke_cas::{Digest, ImagePath, Ownership, Tree};
use minke_exec::Interpreter;
use minke_oci::{Layer, LayerSpec};
use rayon::ThreadPool;

use super::base::Base;
use super::healing::Means;
use super::slimming::{Slimmer, orders_of, sourceless};
use super::{Foreman, compression, segment};
use crate::bytecode::Bytecode;
use crate::error::BuildError;
use crate::event::{Hop, Unit};
use crate::layers::{self, Cut};
use crate::parts::{Owner, Part, Settled};
use crate::settings::LayerPolicy;
use crate::slim::{Lifts, SlimLedger, Uncompiled};

/// What goes into layers, slimmed and compiled.
pub(super) struct Ready {
    /// What is on top, which is compiled later.
    pub(super) own: Vec<Part>,
    /// All else before it was compiled.
    pub(super) sources: Vec<Part>,
    /// The same with its bytecode.
    pub(super) below: Vec<Part>,
    /// All of the image.
    pub(super) whole: Tree,
    /// What was taken; none where nothing is slimmed.
    pub(super) ledger: Option<SlimLedger>,
}

/// Whether anything else of a build goes on while layers are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// Nothing does.
    Alone,
    /// Something does that takes longer, and mostly on one core.
    Beside,
}

impl Haste {
    /// Returns threads that give way to others; none where rayon's own will do, or no others are to be had.
    fn threads(self) -> Option<ThreadPool> {
        let give_way = |_| {
            // Whoever may not is as fast as all others.
            let _ = rustix::process::nice(5);
        };
        let builder = rayon::ThreadPoolBuilder::new().start_handler(give_way);
        (self == Self::Beside).then(|| builder.build().ok()).flatten()
    }
}

impl Foreman<'_> {
    /// Slims and compiles what goes into layers, but for what is lifted.
    pub(super) fn ready(
        &self,
        means: Means<'_>,
        settled: &Settled,
        lifts: &Lifts,
    ) -> Result<Ready, BuildError> {
        let policy = self.layer_policy();
        let Slimmer { parts: mut ours, tree: whole, ledger } =
            self.slimmed(settled.parts.clone(), &settled.tree, lifts)?;
        // What a base image has stays in its own layers, as it is.
        ours.retain(|part| !matches!(part.owner, Owner::Image { .. }));
        let is_on_top =
            |part: &Part| policy != LayerPolicy::Single && matches!(part.owner, Owner::Project { .. });
        let (own, sources): (Vec<Part>, Vec<Part>) = ours.into_iter().partition(is_on_top);
        let below = self.compile(means, &sources, &whole, lifts)?;
        Ok(Ready { own, sources, below, whole, ledger })
    }

    /// Compiles each part's modules, several parts at once, the largest first.
    pub(super) fn compile(
        &self,
        Means { base, bench, compiler }: Means<'_>,
        parts: &[Part],
        whole: &Tree,
        lifts: &Lifts,
    ) -> Result<Vec<Part>, BuildError> {
        self.hop(Hop::Bytecode, Unit::Pieces, |meter| {
            meter.expect(parts.len() as u64);
            let compiled: Vec<Bytecode<'_>> = parts
                .iter()
                .map(|part| match compiler {
                    Some(compiler) => {
                        let without = Uncompiled::of(orders_of((&self.request.settings, lifts), part));
                        compiler.compiled(self.store, part, (whole, &without))
                    }
                    None => Bytecode::Ready(part.tree.clone()),
                })
                .collect();
            let is_wanted = compiled.iter().any(|bytecode| matches!(bytecode, Bytecode::Wanted(_)));
            let interpreter = is_wanted.then(|| self.interpreter(base, bench)).transpose()?;
            let pieces: Vec<(&Part, &Bytecode<'_>)> = parts.iter().zip(&compiled).collect();
            let (store, settings) = (self.store, &self.request.settings);
            let work = |(part, bytecode): &(&Part, &Bytecode<'_>)| -> Result<Part, BuildError> {
                let tree = match (bytecode, &interpreter) {
                    (Bytecode::Wanted(job), Some(interpreter)) => {
                        job.run(self.store, interpreter).map_err(BuildError::Bytecode)?
                    }
                    (Bytecode::Ready(tree), _) => tree.clone(),
                    (Bytecode::Wanted(_), None) => unreachable!("there is one where something is wanted"),
                };
                let tree = sourceless(store, (settings, lifts), part, tree)?;
                meter.advance(1);
                Ok(Part { owner: part.owner.clone(), tree, epoch: part.epoch })
            };
            let size = |(part, _): &(&Part, &Bytecode<'_>)| {
                part.tree.files().map(|(_, file)| file.size).sum::<u64>()
            };
            crate::fetch::in_parallel(self.request.host.jobs, &pieces, size, work)
        })
    }

    /// Returns the interpreter in its room, without a look at the base where there is one.
    fn interpreter(&self, base: &Base, bench: &(Digest, ImagePath)) -> Result<Interpreter, BuildError> {
        let (tree, program) = bench;
        let room = self.store.room_of(tree, Ownership::Caller);
        match room.and_then(|room| Interpreter::in_room(&room, program).ok()) {
            Some(interpreter) => Ok(interpreter),
            None => Ok(self.made(base)?.bench.interpreter.clone()),
        }
    }

    pub(super) fn layers(
        &self,
        Ready { below, whole, .. }: &Ready,
        haste: Haste,
    ) -> Result<Vec<Layer>, BuildError> {
        let cuts = layers::cut(below.clone(), self.layer_policy());
        let spec = |cut: &Cut| LayerSpec {
            name: cut.name.clone(),
            segments: cut.parts.iter().map(segment).collect(),
            directories: layers::directories(cut, whole),
        };
        self.write_all(&cuts.iter().map(spec).collect::<Vec<_>>(), haste)
    }

    pub(super) fn write_all(&self, specs: &[LayerSpec], haste: Haste) -> Result<Vec<Layer>, BuildError> {
        let threads = haste.threads();
        self.hop(Hop::Layers, Unit::Bytes, |meter| {
            let write = |spec: &LayerSpec| {
                let failed = |source| BuildError::Layer { layer: spec.name.clone(), source };
                let work =
                    || minke_oci::write_layer(self.store, spec, compression(&self.request.settings), meter);
                threads.as_ref().map_or_else(work, |threads| threads.install(work)).map_err(failed)
            };
            let size = |spec: &LayerSpec| {
                spec.segments.iter().flat_map(|segment| segment.tree.files()).map(|(_, file)| file.size).sum()
            };
            crate::fetch::in_parallel(self.request.host.jobs, specs, size, write)
        })
    }
}
