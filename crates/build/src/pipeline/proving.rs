//! The proof of an image, between its writing and its naming: what fails is never tagged.

use minke_cas::Digest;
use minke_exec::{Unavailable, sealing_available};
use minke_oci::Image;
use serde::Serialize;

use super::{BuildError, Foreman};
use crate::check::{self, CheckError};
use crate::event::{Hop, Unit};
use crate::platform::Platform;
use crate::proof::{self, ClosureError, ImportError, Incurable, NoScript, SmokeError};
use crate::settings::ProofPolicy;
use crate::slim::Tally;

/// The label of an image that nobody could prove.
pub(super) const LABEL: &str = "minke.proof";

/// An image could not be proved, or doesn't do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// There is no sealed room for it.
    #[error("the proof needs a sealed room")]
    NoRoom(#[source] Unavailable),
    /// Its programs don't run here.
    #[error("the image is for {platform}, and this machine runs no such programs")]
    Foreign {
        /// What it is for.
        platform: Platform,
    },
    /// What the image says of itself cannot be used.
    #[error("the image cannot be run as it says")]
    Stage(#[source] CheckError),
    /// Slimming broke something, and no rule that can be lifted is to blame.
    #[error(transparent)]
    Incurable(Incurable),
    /// A program that is to be started isn't there.
    #[error("a name in `check-scripts` is none")]
    Script(#[source] NoScript),
    /// What can be imported cannot be found out.
    #[error("cannot find out what can be imported")]
    Import(#[source] ImportError),
    /// The image's libraries cannot be read.
    #[error(transparent)]
    Closure(ClosureError),
    /// A check of the project's fails.
    #[error("a check of the project's fails in the image")]
    Smoke(#[source] SmokeError),
}

#[derive(Serialize)]
struct Key<'a> {
    image: Digest,
    command: &'a [String],
}

const KIND: &str = "proof-smoke-1";

impl From<Incurable> for BuildError {
    fn from(incurable: Incurable) -> Self {
        Self::Proof(ProofError::Incurable(incurable))
    }
}

impl Foreman<'_> {
    /// Tells whether slimming is to be proved, and can be.
    pub(super) fn is_provable(&self) -> bool {
        self.is_to_prove() && self.makes_rooms()
    }

    /// Tells whether slimming is to be proved, if this machine makes rooms.
    pub(super) fn is_to_prove(&self) -> bool {
        self.proof_policy() != ProofPolicy::Off && Platform::here() == Some(self.platform())
    }

    fn proof_policy(&self) -> ProofPolicy {
        self.request.settings.proof.as_ref().map_or(ProofPolicy::default(), |said| said.value)
    }

    /// Tells whether this machine makes sealed rooms, which is found out once.
    fn makes_rooms(&self) -> bool {
        *self.makes_rooms.get_or_init(|| sealing_available().is_ok())
    }

    /// Says why the image will not be proved, where something was to be; nothing if it will, or what slimming left was
    /// proved before, which asks for no room.
    ///
    /// # Errors
    /// [`BuildError::Proof`] if it must be and cannot.
    pub(super) fn unproved(&self, tally: Option<&Tally>) -> Result<Option<String>, BuildError> {
        let settings = &self.request.settings;
        let policy = self.proof_policy();
        if policy == ProofPolicy::Off || (settings.check.is_empty() && tally.is_none_or(|tally| tally.proved))
        {
            return Ok(None);
        }
        let platform = self.platform();
        let possible = match Platform::here() {
            Some(here) if here == platform && self.makes_rooms() => Ok(()),
            Some(here) if here == platform => sealing_available().map_err(ProofError::NoRoom),
            _ => Err(ProofError::Foreign { platform }),
        };
        match (possible, policy) {
            (Ok(()), _) => Ok(None),
            (Err(error), ProofPolicy::Require) => Err(BuildError::Proof(error)),
            (Err(error), _) => {
                let source = std::error::Error::source(&error);
                let why = source.map(|source| format!(": {source}")).unwrap_or_default();
                Ok(Some(format!("not proved: {error}{why}")))
            }
        }
    }

    /// Runs the project's checks in the image, and says what came of it; nothing where nothing is to be proved.
    ///
    /// # Errors
    /// [`BuildError::Proof`] if one fails.
    pub(super) fn prove(
        &self,
        image: &Image,
        unproved: Option<String>,
    ) -> Result<Option<String>, BuildError> {
        let settings = &self.request.settings;
        let is_off = self.proof_policy() == ProofPolicy::Off;
        if settings.check.is_empty() || is_off || unproved.is_some() {
            if let Some(why) = unproved.as_ref().filter(|_| !settings.check.is_empty()) {
                self.reporter.warn(format!("the image is {why}"));
            }
            return Ok(unproved);
        }
        let commands: Vec<&[String]> = settings.check.iter().map(|command| &*command.0).collect();
        let is_new = |command: &&&[String]| {
            self.store.recall::<_, ()>(KIND, &Key { image: image.manifest, command }).is_none()
        };
        let pending: Vec<&[String]> = commands.iter().filter(is_new).copied().collect();
        if !pending.is_empty() {
            self.hop(Hop::Proof, Unit::Pieces, |meter| {
                meter.expect(pending.len() as u64);
                let tree = minke_oci::flatten(self.store, image).map_err(BuildError::Flatten)?;
                let stage = check::stage(self.store, (image, &tree));
                let stage = stage.map_err(|error| BuildError::Proof(ProofError::Stage(error)))?;
                for command in pending {
                    let done = proof::smoke(self.store, &stage, command);
                    done.map_err(|error| BuildError::Proof(ProofError::Smoke(error)))?;
                    self.store.remember(KIND, &Key { image: image.manifest, command }, &())?;
                    meter.advance(1);
                }
                Ok(())
            })?;
        }
        let count = commands.len();
        Ok(Some(format!("{count} of {count} checks")))
    }
}
