//! Writing the bytes of a tar one after the other, hashed on the way.

use std::path::Path;

use dissolver_digest::ResumableSha256;

use crate::error::LayerError;
use crate::pipeline::{Block, Hashed, Pipeline};

/// A tar in the making whose bytes are all new.
///
/// Memory is a few blocks. Dropped before [`PackWriter::finish`], it stops and
/// leaves an incomplete file for its temporary directory to remove.
pub(crate) struct PackWriter {
    pipeline: Pipeline,
    block: Block,
    position: u64,
}

impl std::fmt::Debug for PackWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PackWriter({} bytes)", self.position)
    }
}

impl PackWriter {
    /// Writes to a file at `path`, which must not exist; it appears with the first bytes.
    pub(crate) fn create(path: &Path) -> Result<PackWriter, LayerError> {
        let pipeline = Pipeline::start(path.to_owned(), ResumableSha256::default())?;
        Ok(PackWriter {
            block: pipeline.blocks().take(),
            pipeline,
            position: 0,
        })
    }

    /// Bytes written so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Room to put bytes into directly; never empty. Follow with [`PackWriter::advance`].
    pub(crate) fn space(&mut self) -> Result<&mut [u8], LayerError> {
        if self.block.space().is_empty() {
            self.hand_over()?;
        }
        Ok(self.block.space())
    }

    /// Says how much of [`PackWriter::space`] was filled.
    pub(crate) fn advance(&mut self, count: usize) {
        let count = count.min(self.block.space().len());
        self.block.advance(count);
        self.position += count as u64;
    }

    /// Appends `bytes`.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.advance(count);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Appends zeros up to the next multiple of 512.
    pub(crate) fn pad(&mut self) -> Result<(), LayerError> {
        let over = (self.position % 512) as usize;
        if over > 0 {
            self.write(&[0; 512][over..])
        } else {
            Ok(())
        }
    }

    fn hand_over(&mut self) -> Result<(), LayerError> {
        let next = self.pipeline.blocks().take();
        let block = std::mem::replace(&mut self.block, next);
        self.pipeline.push(block, true)
    }

    /// Waits until everything is hashed and written.
    pub(crate) fn finish(mut self, fsync: bool) -> Result<Hashed, LayerError> {
        if !self.block.is_empty() {
            self.hand_over()?;
        }
        self.pipeline.finish(fsync)
    }
}
