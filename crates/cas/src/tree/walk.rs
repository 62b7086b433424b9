//! A tree's entries, one after the other.

use super::Entry;
use crate::{ImagePath, Name};

/// Everything below a tree's root, parents before children; see [`Tree::walk`](super::Tree::walk).
pub struct Walk<'tree> {
    pub(super) stack: Vec<(ImagePath, std::collections::btree_map::Iter<'tree, Name, Entry>)>,
}

impl<'tree> Iterator for Walk<'tree> {
    type Item = (ImagePath, &'tree Entry);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (directory, entries) = self.stack.last_mut()?;
            let Some((name, entry)) = entries.next() else {
                self.stack.pop();
                continue;
            };
            let path = directory.join(name);
            if let Entry::Directory(below) = entry {
                self.stack.push((path.clone(), below.entries.iter()));
            }
            return Some((path, entry));
        }
    }
}
