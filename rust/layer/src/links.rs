//! Hard links in a view, where first names may be hidden and the order is another.

use std::collections::HashMap;

use crate::entry::{Kind, compare_paths};
use crate::error::LayerError;
use crate::view::{Found, View};

/// Tells for each name, in the order of [`View::walk`], which earlier name it shares its inode with.
///
/// A layer says which name came first in its tar. In a view that name may be
/// hidden by another layer or come later in the order, so another of the names
/// has to stand for the inode.
#[derive(Debug, Default)]
pub struct LinkNames {
    /// The name that stands for an inode: the layer and first name in it identify the inode.
    names: HashMap<(usize, Vec<u8>), Vec<u8>>,
}

impl LinkNames {
    /// The earlier name of the same inode, if `found` is a further one.
    ///
    /// Must be asked about every entry that has [`crate::Entry::hard_link`], in
    /// order; asking about others costs a look-up and gives the right answer.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`].
    pub fn earlier_name(
        &mut self,
        view: &View,
        found: &Found,
    ) -> Result<Option<Vec<u8>>, LayerError> {
        self.earlier_visible_name(view, found, &mut |_| Ok(true))
    }

    /// As [`LinkNames::earlier_name`], where names of the view may be covered by something else.
    pub(crate) fn earlier_visible_name(
        &mut self,
        view: &View,
        found: &Found,
        is_visible: &mut dyn FnMut(&[u8]) -> Result<bool, LayerError>,
    ) -> Result<Option<Vec<u8>>, LayerError> {
        let entry = &found.entry;
        let Some(layer) = found.layer else {
            return Ok(None);
        };
        if matches!(entry.kind, Kind::Directory | Kind::Whiteout) {
            return Ok(None);
        }
        let Some(first) = &entry.hard_link else {
            if self.names.is_empty() {
                return Ok(None);
            }
            return Ok(self.names.get(&(layer, entry.path.clone())).cloned());
        };
        if let Some(name) = self.names.get(&(layer, first.clone())) {
            return Ok(Some(name.clone()));
        }
        if compare_paths(first, &entry.path).is_lt() {
            let there = view.lookup(first)?;
            if there.is_some_and(|there| there.layer == Some(layer)) && is_visible(first)? {
                return Ok(Some(first.clone()));
            }
        }
        self.names
            .insert((layer, first.clone()), entry.path.clone());
        Ok(None)
    }
}
