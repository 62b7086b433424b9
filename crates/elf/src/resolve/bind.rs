//! Finds the symbols that nobody defines, by the loader's own order of looking.
//!
//! A module's symbols are looked for in the program and all that it needs, then in the module and all that *it* needs;
//! what other modules have loaded helps only where it is needed by name. As with `RTLD_NOW`, functions count, too.
//! Not known: modules that were opened for all to see (`RTLD_GLOBAL`), and symbols of a certain library in a chain of
//! equal ones.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use minke_cas::ImagePath;

use super::{Loader, Opened, Resolver};
use crate::facts::Facts;
use crate::symbols::Symbols;

/// What runs before a file is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Process<'a> {
    /// The program that loads it: the interpreter.
    pub program: Option<&'a ImagePath>,
    /// What the program has loaded before, in this order: the modules of parent packages, for instance.
    pub modules: &'a [ImagePath],
}

/// A symbol that is needed and that nothing defines where the loader looks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unbound {
    /// Its name.
    pub symbol: String,
    /// The version that is asked for.
    pub version: Option<String>,
    /// The file that needs it.
    pub needed_by: ImagePath,
}

impl Resolver {
    /// Returns the symbols that a file, or what is loaded because of it, needs and nobody defines; sorted.
    ///
    /// Weak ones may be missing. `view` gives facts as in [`Resolver::resolve`], `symbols` those of a path that `view`
    /// knows; it is asked once for each, and again for processors that get other libraries. Libraries that aren't found define nothing.
    pub fn unbound<'facts>(
        &self,
        view: impl Fn(&ImagePath) -> Option<&'facts Facts>,
        symbols: impl Fn(&ImagePath) -> Option<Rc<Symbols>>,
        process: Process<'_>,
        file: &ImagePath,
    ) -> Vec<Unbound> {
        let (mut pending, mut unbound) = (BTreeSet::from([0]), Vec::new());
        let mut done = 0;
        while let Some(level) = pending.pop_first() {
            let (found, faster) = self.unbound_at(level, (&view, &symbols), process, file);
            unbound.extend(found);
            done = done.max(level);
            pending.extend(faster.into_iter().filter(|level| *level > done));
        }
        unbound.sort();
        unbound.dedup();
        unbound
    }

    /// Returns what a processor of one level doesn't find, and the levels that get other libraries.
    fn unbound_at<'facts>(
        &self,
        level: usize,
        (view, symbols): (
            impl Fn(&ImagePath) -> Option<&'facts Facts>,
            impl Fn(&ImagePath) -> Option<Rc<Symbols>>,
        ),
        process: Process<'_>,
        file: &ImagePath,
    ) -> (Vec<Unbound>, BTreeSet<usize>) {
        let mut opened = Opened::new(self, view, level);
        let mut everyone = 0;
        if let Some(program) = process.program {
            opened.open(program, None);
            // The loader is in every process, needed or not; musl's is the C library.
            let interpreter =
                (opened.view)(program).and_then(|facts| facts.interpreter.as_ref()?.parse().ok());
            if let Some(interpreter) = interpreter {
                opened.open(&interpreter, Some(0));
            }
            everyone = opened.objects.len();
        }
        // The program's own search path counts for what it opens.
        let loader = process.program.filter(|_| everyone > 0).map(|_| 0);
        for module in process.modules {
            opened.open(module, loader);
        }
        let before = opened.objects.len();
        opened.open(file, loader);
        let scope: Vec<usize> = (0..everyone).chain(opened.closure(file)).collect();
        let mut tables = BTreeMap::new();
        for place in scope.iter().copied().chain(before..opened.objects.len()) {
            let path = &opened.objects[place].path;
            tables.entry(place).or_insert_with(|| symbols(path).unwrap_or_default());
        }
        let mut unbound = Vec::new();
        for place in before..opened.objects.len() {
            for wanted in tables[&place].undefined.iter().filter(|symbol| !symbol.weak) {
                let version = wanted.version().filter(|_| self.loader == Loader::Glibc);
                if !scope.iter().any(|place| tables[place].defines(&wanted.name, version)) {
                    unbound.push(Unbound {
                        symbol: wanted.name.clone(),
                        version: version.map(str::to_owned),
                        needed_by: opened.objects[place].path.clone(),
                    });
                }
            }
        }
        (unbound, opened.faster)
    }
}

impl<'facts, View: Fn(&ImagePath) -> Option<&'facts Facts>> Opened<'_, 'facts, View> {
    /// Returns a loaded file and everything that it needs, whoever loaded it first.
    fn closure(&self, file: &ImagePath) -> Vec<usize> {
        let mut closure: Vec<usize> = self.names.get(file.as_str()).into_iter().copied().collect();
        let mut next = 0;
        while let Some(place) = closure.get(next).copied() {
            for needed in &self.objects[place].facts.needed {
                if let Some(place) = self.names.get(needed).filter(|place| !closure.contains(place)) {
                    closure.push(*place);
                }
            }
            next += 1;
        }
        closure
    }
}
