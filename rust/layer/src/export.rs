//! A whole root file system as one tar.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write};
use std::os::fd::BorrowedFd;

use crate::diff_id::DiffId;
use crate::entry::{Entry, Kind};
use crate::error::LayerError;
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::links::LinkNames;
use crate::os_path;
use crate::tar_header;
use crate::view::{Found, View};

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 1 << 20;

impl Layers {
    /// Writes the root file system that these layers make up to `out`, as a tar without whiteouts.
    ///
    /// The same layers give the same bytes: entries are sorted, the first name of
    /// an inode in that order holds the content.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::Io`].
    pub fn export_tar(
        &self,
        diff_ids: &[DiffId],
        out: BorrowedFd<'_>,
        interrupt: &Interrupt,
    ) -> Result<(), LayerError> {
        let view = self.view(diff_ids)?;
        let owned = out
            .try_clone_to_owned()
            .map_err(LayerError::io("dup", "output"))?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::from(owned));
        let mut names = LinkNames::default();
        view.walk(&mut |found: Found| {
            interrupt.check()?;
            let earlier = names.earlier_name(&view, &found)?;
            write_entry(&view, &found, earlier, interrupt, &mut out)
        })?;
        out.write_all(&[0; 2 * tar_header::BLOCK])
            .and_then(|()| out.flush())
            .map_err(LayerError::io("write", "output"))
    }
}

fn write_entry(
    view: &View,
    found: &Found,
    earlier: Option<Vec<u8>>,
    interrupt: &Interrupt,
    out: &mut dyn Write,
) -> Result<(), LayerError> {
    let entry = Entry {
        hard_link: earlier,
        ..found.entry.clone()
    };
    let mut headers = Vec::new();
    tar_header::encode(&entry, &entry.path, &mut headers);
    out.write_all(&headers)
        .map_err(LayerError::io("write", "output"))?;
    if entry.kind != Kind::File || entry.hard_link.is_some() || entry.size == 0 {
        return Ok(());
    }
    let mut content = view.open(found)?;
    let mut buffer = vec![0; BUFFER_BYTES.min(usize::try_from(entry.size).unwrap_or(BUFFER_BYTES))];
    let mut left = entry.size;
    while left > 0 {
        interrupt.check()?;
        let count = content
            .read(&mut buffer)
            .map_err(LayerError::io("read", os_path(&entry.path)))?;
        if count == 0 {
            return Err(LayerError::ChangedWhileRead { path: entry.path });
        }
        out.write_all(&buffer[..count])
            .map_err(LayerError::io("write", "output"))?;
        left -= count as u64;
    }
    let padding = (tar_header::BLOCK as u64 - entry.size % tar_header::BLOCK as u64)
        % tar_header::BLOCK as u64;
    out.write_all(&[0; tar_header::BLOCK][..padding as usize])
        .map_err(LayerError::io("write", "output"))
}
