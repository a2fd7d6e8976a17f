//! In which order a copy's tar has its entries: what is likely to change stands last.
//!
//! The name of a layer is a SHA-256 of its tar, which has to be hashed again from the
//! first difference on. People edit small files, and editors and new files change the
//! times of directories; so large files come first and directories last. The order
//! follows from the entries alone: the same entries always give the same tar.

use crate::entry::Kind;

/// Files below this size are one class; above, each power of two is one.
const SMALL_BYTES: u64 = 4 << 10;

/// What the place of an entry in the tar depends on, beside its path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sort {
    pub kind: Kind,
    /// It is a further name of an inode.
    pub is_hard_link: bool,
    pub size: u64,
}

impl Sort {
    /// Entries with a smaller rank stand before those with a greater one.
    fn rank(self) -> u32 {
        const LINKS: u32 = 64;
        match self.kind {
            // A further name stands behind every first one.
            Kind::File if self.is_hard_link => LINKS,
            Kind::File if self.size < SMALL_BYTES => LINKS - 1,
            Kind::File => u64::MAX.ilog2() - self.size.ilog2(),
            // Once its content is there, nothing changes the time of a directory any more.
            Kind::Directory => LINKS + 2,
            _ => LINKS + 1,
        }
    }
}

/// Numbers of entries in the order of their tar; `entries` gives them sorted by path.
pub(crate) fn tar_order(entries: impl Iterator<Item = (u32, Sort)>) -> Vec<u32> {
    let mut ranked: Vec<(u32, u32)> = entries
        .map(|(number, sort)| (sort.rank(), number))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, number)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(entries: &[(Kind, bool, u64)]) -> Vec<u32> {
        let sorts = entries.iter().map(|(kind, is_hard_link, size)| Sort {
            kind: *kind,
            is_hard_link: *is_hard_link,
            size: *size,
        });
        tar_order((0..).zip(sorts))
    }

    #[test]
    fn large_files_stand_first_and_directories_last() {
        let entries = [
            (Kind::Directory, false, 0),
            (Kind::File, true, u64::MAX),
            (Kind::File, false, 10),
            (Kind::Symlink, false, 0),
            (Kind::File, false, u64::MAX),
            (Kind::Directory, false, 0),
            (Kind::File, false, 1 << 20),
        ];
        assert_eq!(order(&entries), [4, 6, 2, 1, 3, 0, 5]);
    }

    #[test]
    fn files_of_about_the_same_size_stay_in_the_order_of_their_paths() {
        for (sizes, expected) in [
            ([0, 4095, 1], [0, 1, 2]),
            ([4095, 4096, 0], [1, 0, 2]),
            ([8191, 4096, 8192], [2, 0, 1]),
            ([100_000, 70_000, 65_535], [0, 1, 2]),
        ] {
            let entries = sizes.map(|size| (Kind::File, false, size));
            assert_eq!(order(&entries), expected, "{sizes:?}");
        }
    }
}
