//! What of an image is for graphics cards, which a machine without one never loads.

use minke_cas::ImagePath;

use super::CUDA_LIBRARIES;
use super::rules::Rules;
use crate::parts::{Owner, Part};

/// From how many bytes on it is worth a word.
const LARGE: u64 = 100_000_000;

/// What an image has for graphics cards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForCards {
    /// How many bytes.
    pub bytes: u64,
    /// The distributions that bring it, the largest first.
    pub owners: Vec<String>,
}

impl ForCards {
    /// Adds up what the rule for it would take of an image's parts, which are installed in `site`; nothing where that isn't
    /// much. Images without any don't read the rules for it.
    pub fn of(parts: &[Part], site: &ImagePath) -> Option<Self> {
        let place = site.join_str("nvidia").expect("a name is a path");
        let names = [CUDA_LIBRARIES.to_owned()];
        let bytes = |part: &Part| -> u64 {
            let Owner::Distribution { name, .. } = &part.owner else { return 0 };
            if part.tree.directory(&place).is_none() {
                return 0;
            }
            let active = Rules::shipped().active(&names, name);
            let is_taken = |path: &ImagePath| active.iter().any(|active| active.takes(path));
            part.tree.files().filter(|(path, _)| is_taken(path)).map(|(_, file)| file.size).sum()
        };
        let mut brought: Vec<(u64, &Part)> = parts.iter().map(|part| (bytes(part), part)).collect();
        brought.retain(|(bytes, _)| *bytes > 0);
        brought.sort_by_key(|(bytes, part)| (std::cmp::Reverse(*bytes), part.owner.name()));
        let all = brought.iter().map(|(bytes, _)| bytes).sum();
        let owners = brought.iter().map(|(_, part)| super::owner_key(&part.owner).to_owned()).collect();
        (all >= LARGE).then_some(Self { bytes: all, owners })
    }
}

#[cfg(test)]
mod tests {
    use minke_cas::{Digest, Epoch, File, Mode, Tree};

    use super::*;

    const SITE: &str = "/app/.venv/lib/python3.13/site-packages";

    fn part(name: &str, files: &[(&str, u64)]) -> Part {
        let mut tree = Tree::new();
        for (path, size) in files {
            let path = format!("{SITE}/{path}").parse().unwrap();
            tree.insert(&path, File::new(Digest::of(b""), *size, Mode::REGULAR).into()).unwrap();
        }
        let owner = Owner::Distribution { name: name.to_owned(), version: "1".to_owned(), wheel_size: 0 };
        Part { owner, tree, epoch: Epoch::FIXED }
    }

    #[test]
    fn only_libraries_for_cards_count_and_only_many() {
        let site = SITE.parse().unwrap();
        let small = part("nvidia-nccl-cu12", &[("nvidia/nccl/lib/libnccl.so.2", LARGE - 1)]);
        let large = part("nvidia-cublas", &[("nvidia/cu13/lib/libcublas.so.13", LARGE)]);
        let other = part("torch", &[("torch/lib/libtorch_cuda.so", 9 * LARGE)]);
        assert_eq!(ForCards::of(&[small.clone(), other.clone()], &site), None);
        let found = ForCards::of(&[small, other, large], &site).unwrap();
        let owners = ["nvidia-cublas", "nvidia-nccl-cu12"].map(str::to_owned).to_vec();
        assert_eq!(found, ForCards { bytes: 2 * LARGE - 1, owners });
    }
}
