//! temporary
#![allow(missing_docs)]
use minke_cas::*;
use minke_exec::*;
#[derive(Clone, Copy)]
pub enum BuildSeal { Sealed, Unsealed }
pub struct WheelBuild { pub base: Tree, pub interpreter: ImagePath, pub sources: Tree, pub requirements: Tree, pub backend: String, pub backend_path: Vec<String>, pub epoch: Epoch }
#[derive(Debug, thiserror::Error)]
#[error("no")]
pub struct WheelBuildError;
pub fn build_requires(_: &WheelBuild, _: &Store, _: BuildSeal) -> Result<Vec<String>, WheelBuildError> { Err(WheelBuildError) }
pub fn build_wheel(_: &WheelBuild, _: &Store, _: BuildSeal) -> Result<(String, Digest, u64), WheelBuildError> { Err(WheelBuildError) }
pub fn sealing_available() -> Result<(), String> { Ok(()) }
pub mod docker {
#[derive(Debug, thiserror::Error)]
#[error("no")]
pub struct DockerError;
pub fn load(_: &std::path::Path, _: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> Result<(), DockerError> { Err(DockerError) }
}
pub mod run { #[derive(Debug, thiserror::Error)]
#[error("no")]
pub struct RunStepError; }
pub mod ldcache { use super::*; pub fn of_tree(_: &Tree, _: &std::collections::BTreeMap<ImagePath, minke_elf::Facts>, _: minke_elf::Machine) -> Vec<u8> { Vec::new() } }
