//! What a stack of layers is mounted from: images where they can be used, else directories.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::diff_id::DiffId;
use crate::entry::{Entry, Kind};
use crate::erofs::{devices_of, write_image};
use crate::erofs_plan::ImageError;
use crate::error::LayerError;
use crate::index_build::{IndexBuilder, TarFacts};
use crate::index_format::Extent;
use crate::interrupt::Interrupt;
use crate::layers::Layers;
use crate::stored::StoredLayer;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// One read-only part of a root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lower {
    /// A directory.
    Directory(PathBuf),
    /// A layer that is mounted in place.
    Image {
        /// The EROFS image: names and metadata.
        image: PathBuf,
        /// The files that hold the contents, in the order that the image expects.
        devices: Vec<PathBuf>,
    },
}

/// In which form layers are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LowerForm {
    /// As EROFS images, wherever a layer can be one.
    Image,
    /// Extracted into directories.
    Directory,
}

/// The directory of the store with the image that [`Layers::sample`] gives.
const SAMPLE: &str = "sample-1";
/// The one file in the image of a sample.
const SAMPLE_NAME: &[u8] = b"sample";
/// What that file holds.
const SAMPLE_CONTENT: &[u8] = b"mounted in place\n";

/// A small image for trying out whether this machine mounts images.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The image; it has one file.
    pub image: PathBuf,
    /// Where the file's content lies.
    pub device: PathBuf,
    /// The name of the file.
    pub name: &'static [u8],
    /// What it holds.
    pub content: &'static [u8],
}

impl Layers {
    /// What to stack for these layers, bottom first.
    ///
    /// Images and directories that do not exist yet are made now, several at a time. A
    /// layer that comes twice is stacked once, where it comes last: everything that it
    /// says below is said again above, and overlayfs refuses a layer that it has
    /// already. There may be one more lower than layers, as with
    /// [`Layers::lower_directories`], which is also what a layer falls back to that no
    /// image can express.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], [`LayerError::UnmappedOwner`], [`LayerError::Io`].
    pub fn mountable(
        &self,
        diff_ids: &[DiffId],
        interrupt: &Interrupt,
    ) -> Result<Vec<Lower>, LayerError> {
        let mut seen = HashSet::new();
        let mut stack: Vec<DiffId> = diff_ids
            .iter()
            .rev()
            .copied()
            .filter(|diff_id| seen.insert(*diff_id))
            .collect();
        stack.reverse();
        let mut lowers = stack
            .par_iter()
            .map(|diff_id| match self.form() {
                LowerForm::Image => self.image_lower(*diff_id, interrupt),
                LowerForm::Directory => Ok(None),
            })
            .collect::<Result<Vec<Option<Lower>>, LayerError>>()?;
        for (diff_id, lower) in stack.iter().zip(&mut lowers) {
            if lower.is_none() {
                let directory = self.extracted(*diff_id, interrupt)?;
                *lower = Some(Lower::Directory(directory));
            }
        }
        let implied = self.implied_lower(&stack, interrupt)?;
        let implied = implied.map(Lower::Directory);
        Ok(lowers.into_iter().flatten().chain(implied).collect())
    }

    /// The image of a layer, written unless it is there; `None` if the layer cannot have one.
    fn image_lower(
        &self,
        diff_id: DiffId,
        interrupt: &Interrupt,
    ) -> Result<Option<Lower>, LayerError> {
        let layer = self.layer(diff_id)?;
        let image = self.image_path(diff_id);
        let devices = match devices_of(&image, layer.index()) {
            Some(devices) => devices,
            None if self.write_image_file(&layer, &image, interrupt)? => {
                devices_of(&image, layer.index()).ok_or(LayerError::BadIndex {
                    path: image.clone(),
                    reason: "the image that was made of it is not complete",
                })?
            }
            None => return Ok(None),
        };
        let devices = devices.into_iter().map(|pack| self.pack_path(pack));
        Ok(Some(Lower::Image {
            devices: devices.collect(),
            image,
        }))
    }

    /// `layers/<hex>/erofs`, whether it exists or not.
    pub(crate) fn image_path(&self, diff_id: DiffId) -> PathBuf {
        self.directory(diff_id).join("erofs")
    }

    /// Writes the image of a layer and gives it its name; tells whether the layer can have one.
    ///
    /// Several processes may do so at once: they write the same bytes.
    fn write_image_file(
        &self,
        layer: &StoredLayer,
        path: &Path,
        interrupt: &Interrupt,
    ) -> Result<bool, LayerError> {
        let place = self.temporary()?;
        let part = place.path().join("erofs");
        if !write_file(layer, &part, self.options().fsync, interrupt)? {
            return Ok(false);
        }
        fs::rename(&part, path).map_err(LayerError::io("rename", path))?;
        self.remove_later(place.keep());
        Ok(true)
    }

    /// An image for a trial, kept in `runtime/` of the store; `is_new` makes it anew.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`].
    pub fn sample(&self, is_new: bool) -> Result<Sample, LayerError> {
        let directory = self.root().join("runtime").join(SAMPLE);
        let pack = format!("{}.tar", DiffId([0; 32]).hex());
        let sample = Sample {
            image: directory.join("erofs"),
            device: directory.join(&pack),
            name: SAMPLE_NAME,
            content: SAMPLE_CONTENT,
        };
        if !is_new && sample.image.exists() && sample.device.exists() {
            return Ok(sample);
        }
        let place = self.temporary()?;
        let part = place.path().join("sample");
        fs::create_dir_all(&part).map_err(LayerError::io("mkdir", &part))?;
        write_sample(&part, &part.join(pack))?;
        if directory.exists() {
            let old = place.path().join("old");
            fs::rename(&directory, &old).map_err(LayerError::io("rename", &directory))?;
        }
        let above = self.root().join("runtime");
        fs::create_dir_all(&above).map_err(LayerError::io("mkdir", above))?;
        match fs::rename(&part, &directory) {
            // Another process was faster, with the same bytes.
            Err(_) if directory.exists() => Ok(sample),
            result => result
                .map(|()| sample)
                .map_err(LayerError::io("rename", directory)),
        }
    }

    /// Compares a layer's image, if it has one, with what the index says now.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`] with the image's path if they differ.
    pub(crate) fn verify_image(
        &self,
        layer: &StoredLayer,
        interrupt: &Interrupt,
    ) -> Result<(), LayerError> {
        let path = self.image_path(layer.diff_id());
        // Of another version, or cut short: nobody will use it, and it is written anew.
        if devices_of(&path, layer.index()).is_none() {
            return Ok(());
        }
        let file = File::open(&path).map_err(LayerError::io("open", &path))?;
        let mut comparison = Comparison {
            file: std::io::BufReader::with_capacity(BUFFER_BYTES, file),
            is_same: true,
        };
        match write_image(layer, &mut comparison, interrupt) {
            Err(ImageError::Layer(error)) => return Err(error),
            Err(ImageError::Unfit(_)) => comparison.is_same = false,
            Ok(()) => {}
        }
        if comparison.is_same {
            return Ok(());
        }
        Err(LayerError::BadIndex {
            path,
            reason: "it is not the image of its layer",
        })
    }
}

/// Writes a pack with one file's content, and an image of that file into `directory`.
fn write_sample(directory: &Path, pack: &Path) -> Result<(), LayerError> {
    let mut content = SAMPLE_CONTENT.to_vec();
    content.resize(512, 0);
    fs::write(pack, &content).map_err(LayerError::io("write", pack))?;
    let mut entry = Entry::new(SAMPLE_NAME, Kind::File, 0o644);
    entry.size = SAMPLE_CONTENT.len() as u64;
    let facts = TarFacts {
        diff_id: DiffId([0; 32]),
        tar_bytes: 512,
        extents: vec![Extent {
            tar_offset: 0,
            length: 512,
            pack_offset: 0,
            pack: [0; 32],
        }],
    };
    let mut builder = IndexBuilder::default();
    builder.push(&entry);
    let path = directory.join("index");
    let mut index = Vec::new();
    builder.finish(&facts, &mut index)?;
    fs::write(&path, &index).map_err(LayerError::io("write", &path))?;
    let layer = StoredLayer::open(&path, directory)?;
    write_file(
        &layer,
        &directory.join("erofs"),
        false,
        &Interrupt::default(),
    )
    .map(drop)
}

/// Writes the image of `layer` to a new file; tells whether the layer can have one.
fn write_file(
    layer: &StoredLayer,
    path: &Path,
    fsync: bool,
    interrupt: &Interrupt,
) -> Result<bool, LayerError> {
    let file = File::create_new(path).map_err(LayerError::io("create", path))?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    match write_image(layer, &mut out, interrupt) {
        Err(ImageError::Layer(error)) => return Err(error),
        Err(ImageError::Unfit(_)) => return Ok(false),
        Ok(()) => out.flush().map_err(LayerError::io("write", path))?,
    }
    if fsync {
        let synced = out.get_ref().sync_all();
        synced.map_err(LayerError::io("fsync", path))?;
    }
    Ok(true)
}

/// Takes bytes as a file would, and compares them with the ones that are there.
struct Comparison {
    file: std::io::BufReader<File>,
    is_same: bool,
}

impl std::io::Write for Comparison {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        use std::io::Read as _;
        let mut found = vec![0; bytes.len()];
        if self.is_same {
            self.is_same = self.file.read_exact(&mut found).is_ok() && found == bytes;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
