//! Errors that end a build: each with its status and its whole text, and with nothing left in the store.

mod archive;
mod index;
mod packages;
mod project;
mod wheels;

use crate::town::{Ran, Town};

impl Town {
    /// Builds `shop`, which must fail and leave no image, and returns what was seen.
    pub(crate) fn refuses(&self, arguments: &[&str]) -> String {
        let ran = self.minke(&[&["build", "--quiet", "shop"], arguments].concat());
        self.assert_no_image(&ran);
        ran.seen()
    }

    pub(crate) fn assert_no_image(&self, ran: &Ran) {
        assert_ne!(ran.status, 0, "it was built, and printed {}", ran.stdout);
        assert_eq!(ran.stdout, "");
        assert_eq!(self.succeeds(&["images", "--quiet"]).stdout, "", "no image has a name");
    }

    /// Builds what is all right in a cache that has seen what isn't.
    fn still_builds(&self) {
        self.project("fine", &[]);
        self.builds(&["fine"]);
    }
}
