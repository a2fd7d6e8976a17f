//! Taking in a layer that somebody else wrote.

use std::io::Read;

use crate::compress::decompressed;
use crate::diff_id::DiffId;
use crate::error::LayerError;
use crate::index_build::{LayerInfo, TarFacts};
use crate::interrupt::Interrupt;
use crate::layers::{Layers, NewPack, Unpublished};
use crate::limits::Limits;
use crate::pack::PackWriter;
use crate::tar_fields::has_valid_checksum;
use crate::tar_header::BLOCK;
use crate::tar_read;

/// Tells whether `source` holds a tar, compressed or not, by its first header.
///
/// What only looks compressed, and an archive without entries, are none.
///
/// # Errors
///
/// [`LayerError::Io`] if it cannot be read.
pub fn is_archive(source: Box<dyn Read + Send>) -> Result<bool, LayerError> {
    let mut source = decompressed(source, &Limits::default())?;
    let mut header = [0; BLOCK];
    match source.read_exact(&mut header) {
        // The sum of an empty block is not what its checksum field says either.
        Ok(()) => Ok(has_valid_checksum(&header)),
        Err(error) if error.raw_os_error().is_some() => {
            Err(LayerError::io("read", "archive")(error))
        }
        Err(_) => Ok(false),
    }
}

impl Layers {
    /// Stores the tar that `source` yields, decompressed if it is compressed.
    ///
    /// The uncompressed bytes are kept as they are: their SHA-256 is the layer's
    /// name. They are read once, indexed and verified on the way, and nothing is
    /// kept of a tar that is refused. A layer that exists already stays as it is.
    ///
    /// # Errors
    ///
    /// Kinds `bad-tar`, `unsafe-path` and `limit` for archives that are broken or
    /// hostile; [`LayerError::DigestMismatch`] if `expect` is another name.
    pub fn ingest(
        &self,
        source: Box<dyn Read + Send>,
        expect: Option<DiffId>,
        limits: &Limits,
        interrupt: &Interrupt,
    ) -> Result<LayerInfo, LayerError> {
        let mut source = decompressed(source, limits)?;
        let place = Unpublished::new(self)?;
        // Declared after `place`: its thread ends before the directory goes.
        let mut pack = PackWriter::create(&place.pack_path())?;
        let mut sink = |bytes: &[u8]| pack.write(bytes);
        let index = tar_read::read(&mut source, &mut sink, limits, interrupt.clone())?;
        let hashed = pack.finish(place.fsync())?;
        let found = hashed.diff_id;
        if let Some(expected) = expect.filter(|expected| *expected != found) {
            return Err(LayerError::DigestMismatch { expected, found });
        }
        let info = place.write_index(&index.body()?, &TarFacts::whole(&hashed))?;
        place.publish(found, NewPack::Whole)?;
        Ok(info)
    }
}
