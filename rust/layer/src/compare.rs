//! What differs between two root file systems, found in indexes alone.

use crate::diff::is_same;
use crate::entry::{Entry, Kind, compare_paths};
use crate::error::LayerError;
use crate::index::Position;
use crate::interrupt::Interrupt;
use crate::view::{Found, View};

/// A path at which two views differ; at least one of them has something there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What the first view has.
    pub left: Option<Entry>,
    /// What the second view has.
    pub right: Option<Entry>,
}

impl View {
    /// Lists where `other` differs from this view, in the order of [`View::walk`].
    ///
    /// Compared are what an entry is, its mode, owner, size, content, link text, device and
    /// attributes, and with `with_times` its modification time. Further names of an inode are
    /// compared as what they name. What is in a directory that only one side has is listed too.
    /// Nothing but indexes is read, and of directories that only common layers know, nothing.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`].
    pub fn compare(
        &self,
        other: &View,
        with_times: bool,
        interrupt: &Interrupt,
    ) -> Result<Vec<Difference>, LayerError> {
        let pairs = self.layers().iter().zip(other.layers());
        let common = pairs
            .take_while(|(left, right)| left.diff_id() == right.diff_id())
            .count();
        let mut found = Vec::new();
        let mut pending = vec![(self.lookup(b"")?, other.lookup(b"")?)];
        while let Some((left, right)) = pending.pop() {
            interrupt.check()?;
            let path = match (&left, &right) {
                (Some(one), _) | (None, Some(one)) => one.entry.path.clone(),
                (None, None) => continue,
            };
            if !(self.is_silent(&path, common)? && other.is_silent(&path, common)?) {
                let pairs = paired(children(self, &left)?, children(other, &right)?);
                pending.extend(pairs.into_iter().rev());
            }
            let (left, right) = (left.map(|one| one.entry), right.map(|one| one.entry));
            let is_equal = match (&left, &right) {
                (Some(left), Some(right)) => is_equal(left, right, with_times),
                _ => false,
            };
            if !is_equal {
                found.push(Difference { left, right });
            }
        }
        Ok(found)
    }

    /// Tells whether no layer from number `from` on says anything about `path` and what is beneath.
    fn is_silent(&self, path: &[u8], from: usize) -> Result<bool, LayerError> {
        for layer in &self.layers()[from..] {
            // A record of anything beneath comes with one of the directory.
            let is_absent = matches!(layer.index().find(path)?, Position::Absent(_));
            if !is_absent || View::is_hidden_by(layer.index(), path)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What is in a directory; nothing else holds anything.
fn children(view: &View, found: &Option<Found>) -> Result<Vec<Found>, LayerError> {
    match found {
        Some(found) if found.entry.kind == Kind::Directory => view.children(&found.entry.path),
        _ => Ok(Vec::new()),
    }
}

type Pair = (Option<Found>, Option<Found>);

/// Puts entries of the same path side by side; both lists are sorted.
fn paired(left: Vec<Found>, right: Vec<Found>) -> Vec<Pair> {
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut pairs = Vec::new();
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(left), Some(right)) => compare_paths(&left.entry.path, &right.entry.path),
        };
        pairs.push((
            if order.is_le() { left.next() } else { None },
            if order.is_ge() { right.next() } else { None },
        ));
    }
}

fn is_equal(left: &Entry, right: &Entry, with_times: bool) -> bool {
    is_same(left, right)
        && left.digest == right.digest
        && (!with_times || left.mtime_ns == right.mtime_ns)
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
