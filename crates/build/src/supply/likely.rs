//! Who has what wheels seem to load by name.

use minke_distro::PackageName;

use super::{LockPolicy, Supply, SupplyError, Upgrade};
use crate::contents::Missing;
use crate::debian::Roots;
use crate::likely::{Names, Wanted};
use crate::platform::Platform;

impl Supply<'_> {
    /// Returns the first of some names' libraries that anybody has, by its soname, and the package that has it.
    ///
    /// What the lock knows is asked of nobody else.
    ///
    /// # Errors
    /// As [`Supply::suppliers`].
    pub fn of_likely(
        &self,
        platform: Platform,
        names: &Names,
        present: &Roots,
    ) -> Result<Option<(String, PackageName)>, SupplyError> {
        let wanted = names.wanted();
        let locked = self.usable(platform).filter(|_| self.upgrade == Upgrade::Nothing);
        if let Some(locked) = &locked {
            let supplied = wanted.iter().find_map(|wanted| locked.supplier_of_likely(wanted));
            if let Some((soname, package)) = supplied {
                return Ok(package.parse().ok().map(|package| (soname.to_owned(), package)));
            }
            if names.0.first().is_some_and(|name| locked.lacking.contains(name)) {
                return Ok(None);
            }
        }
        for wanted in &wanted {
            if self.locks == LockPolicy::Locked {
                let what = format!("doesn't say what supplies `{}` for {platform}", names.0.join("` or `"));
                return Err(SupplyError::Outgrown { what });
            }
            let listed = match wanted {
                Wanted::Soname(_) => Vec::new(),
                Wanted::Stem(_) => self.alike(platform, &wanted.beginning())?,
            };
            let Some(soname) = wanted.soname(&listed) else { continue };
            let suppliers = self.suppliers(platform, &Missing::Soname(soname.clone()), present)?;
            if let Some(supplier) = suppliers.into_iter().next() {
                return Ok(Some((soname, supplier.package)));
            }
        }
        Ok(None)
    }
}
