//! Modules that get no bytecode: Python compiles them when it imports them, which hardly any program does.

use globset::GlobSet;
use minke_cas::ImagePath;

use super::part::Orders;
use super::rules::{How, Rules, set};

/// What of a part isn't compiled.
pub struct Uncompiled {
    owner: String,
    rules: Vec<String>,
    keep: GlobSet,
}

impl Uncompiled {
    /// Takes from the orders for a part which of its modules aren't compiled; nothing where there are none.
    ///
    /// # Panics
    /// If a glob of the orders is none: `slim::check` says so before.
    pub fn of(orders: Option<Orders>) -> Self {
        let (owner, rules, keep) = match orders {
            Some(Orders { owner, rules, keep, drop: _, idle: _ }) => (owner, rules, keep),
            None => Default::default(),
        };
        // Only those that matter here: they are looked up for each module.
        let is_ours =
            |name: &String| Rules::shipped().get(name).is_some_and(|rule| rule.how == How::Uncompiled);
        let rules = rules.into_iter().filter(is_ours).collect();
        Self { owner, rules, keep: set(&keep).expect("globs of settings were checked") }
    }

    /// Tells whether a module isn't compiled.
    pub fn has(&self, path: &ImagePath) -> bool {
        // Most parts have none, and this is asked for each of their modules.
        let rules = || Rules::shipped().active(&self.rules, &self.owner);
        !self.rules.is_empty()
            && !self.keep.is_match(path.as_str())
            && rules().iter().any(|active| active.takes(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hardly_anybody_imports_gets_no_bytecode() {
        let orders = |owner: &str, rules: &[&str], keep: &[&str]| Orders {
            owner: owner.to_owned(),
            rules: rules.iter().map(ToString::to_string).collect(),
            keep: keep.iter().map(ToString::to_string).collect(),
            ..Orders::default()
        };
        let has = |orders: Option<Orders>, path: &str| Uncompiled::of(orders).has(&path.parse().unwrap());
        let library = || Some(orders("libpython3.13-stdlib", &["rare-bytecode"], &[]));
        assert!(has(library(), "/usr/lib/python3.13/pdb.py"));
        assert!(has(library(), "/usr/lib/python3.13/encodings/cp037.py"));
        assert!(!has(library(), "/usr/lib/python3.13/encodings/cp437.py"));
        assert!(!has(library(), "/usr/lib/python3.13/json/__init__.py"));
        let kept = Some(orders("libpython3.13-stdlib", &["rare-bytecode"], &["**/pdb.py"]));
        assert!(!has(kept, "/usr/lib/python3.13/pdb.py"));
        assert!(!has(Some(orders("libpython3.13-stdlib", &["tests"], &[])), "/usr/lib/python3.13/pdb.py"));
        assert!(!has(None, "/usr/lib/python3.13/pdb.py"));
        let lexers = "/app/.venv/lib/python3.13/site-packages/pygments/lexers";
        let wheel = || Some(orders("pygments", &["rare-bytecode"], &[]));
        assert!(has(wheel(), &format!("{lexers}/abap.py")));
        assert!(!has(wheel(), &format!("{lexers}/python.py")));
    }
}
