//! Whether an image works: what is installed in it can be imported and started, and its libraries find what they need.
//!
//! [`import`] tries everything in a sealed room, by the image's own Python; [`closure`] reads the ELF files and
//! starts nothing. Neither knows what the image was before: who has taken something away compares. See
//! docs/design/proof.md for what is tried, and what counts.

pub mod blame;
pub mod closure;
pub mod heal;
pub mod import;
pub mod scripts;
pub mod smoke;
pub mod stage;

pub use closure::{ClosureError, Needing, OpenEnd};
pub use heal::{Healed, Incurable, Patient, Questions, heal};
pub use import::{Absent, Asked, Depth, Found, ImportError, Kind, Standard, Tried, What};
pub use scripts::{NoScript, Scripts};
pub use smoke::{SmokeError, smoke};
pub use stage::Stage;
