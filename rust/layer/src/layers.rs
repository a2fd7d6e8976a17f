//! The layers of a store: `layers/`, `packs/` and `tmp/` under its root.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::diff_id::DiffId;
use crate::error::LayerError;
use crate::index_build::{IndexBuilder, LayerInfo, TarFacts};
use crate::index_format::Extent;
use crate::interrupt::Interrupt;
use crate::mountable::LowerForm;
use crate::stored::StoredLayer;
use crate::tar_write::LayerWriter;
use crate::temporary::Temporary;
use crate::view::View;

/// Names that are removed before the caller goes on; it takes a few milliseconds.
const DISCARD_AT_ONCE: usize = 256;

/// How a store keeps its layers.
#[derive(Debug, Clone, Copy, Default)]
pub struct LayersOptions {
    /// Overlay marks go into `user.overlay.*` instead of `trusted.overlay.*`:
    /// what a mount in a user namespace reads.
    pub userxattr: bool,
    /// Data reaches the disk before it gets its final name.
    pub fsync: bool,
}

/// All layers of a store; cheap to clone, safe to share between threads and processes.
///
/// A layer is visible once `layers/<hex>/` exists, which is renamed into place
/// when everything in it and its packs are complete and verified. Readers need
/// no lock. [`Layers::remove`] must not run beside work that uses the layer; the
/// store's lock sees to that.
#[derive(Debug, Clone)]
pub struct Layers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    options: LayersOptions,
    form: OnceLock<LowerForm>,
    open: Mutex<HashMap<DiffId, Weak<StoredLayer>>>,
}

impl Layers {
    /// Opens the layers under `root`, creating the directories that are missing.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`].
    pub fn open(root: &Path, options: LayersOptions) -> Result<Layers, LayerError> {
        for name in ["layers", "packs", "tmp"] {
            let directory = root.join(name);
            fs::create_dir_all(&directory).map_err(LayerError::io("mkdir", directory))?;
        }
        let root = fs::canonicalize(root).map_err(LayerError::io("open", root))?;
        Ok(Layers(Arc::new(Inner {
            root,
            options,
            form: OnceLock::new(),
            open: Mutex::default(),
        })))
    }

    pub(crate) fn options(&self) -> LayersOptions {
        self.0.options
    }

    /// Tells whether overlays over these layers are mounted in a user namespace.
    #[must_use]
    pub fn uses_user_attributes(&self) -> bool {
        self.0.options.userxattr
    }

    /// The form in which these layers are mounted: directories, unless decided otherwise.
    #[must_use]
    pub fn form(&self) -> LowerForm {
        self.0.form.get().copied().unwrap_or(LowerForm::Directory)
    }

    /// Decides once for this object and its clones, with the first answer that is given.
    ///
    /// # Errors
    ///
    /// What `choose` returns; nothing is decided then.
    pub fn decide<E>(&self, choose: impl FnOnce() -> Result<LowerForm, E>) -> Result<LowerForm, E> {
        if let Some(form) = self.0.form.get() {
            return Ok(*form);
        }
        let form = choose()?;
        Ok(*self.0.form.get_or_init(|| form))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0.root
    }

    /// `layers/<hex>`, whether it exists or not.
    pub(crate) fn directory(&self, diff_id: DiffId) -> PathBuf {
        self.0.root.join("layers").join(diff_id.hex())
    }

    pub(crate) fn packs(&self) -> PathBuf {
        self.0.root.join("packs")
    }

    /// The pack that was written with the layer.
    pub(crate) fn pack_path(&self, diff_id: DiffId) -> PathBuf {
        self.packs().join(format!("{}.tar", diff_id.hex()))
    }

    /// Lets the next reader open the layer anew.
    pub(crate) fn forget(&self, diff_id: DiffId) {
        self.0
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&diff_id);
    }

    pub(crate) fn temporary(&self) -> Result<Temporary, LayerError> {
        Temporary::new(&self.0.root.join("tmp"))
    }

    /// Removes a directory with about `entries` names in it, a large one behind the caller's back.
    ///
    /// Unlinking is slow on some disks (1 ms for each name was measured), and
    /// nobody waits for it. What a process that ends leaves behind is in `tmp/`.
    pub(crate) fn discard(&self, directory: &Path, entries: usize) -> Result<(), LayerError> {
        let place = self.temporary()?;
        match fs::rename(directory, place.path().join("discarded")) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                return fs::remove_dir_all(directory).map_err(LayerError::io("remove", directory));
            }
            result => result.map_err(LayerError::io("rename", directory))?,
        }
        if entries > DISCARD_AT_ONCE {
            let thread = std::thread::Builder::new().name("discard".into());
            // Where no thread can be started, the closure and the directory go here and now.
            let _ = thread.spawn(move || drop(place));
        }
        Ok(())
    }

    /// The layer of this name, if the store has it.
    ///
    /// # Errors
    ///
    /// [`LayerError::BadIndex`] and [`LayerError::UnknownIndexVersion`].
    pub fn get(&self, diff_id: DiffId) -> Result<Option<Arc<StoredLayer>>, LayerError> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layer) = open.get(&diff_id).and_then(Weak::upgrade) {
            return Ok(Some(layer));
        }
        match StoredLayer::open(&self.directory(diff_id).join("index"), &self.packs()) {
            Ok(layer) => {
                let layer = Arc::new(layer);
                open.retain(|_, other| other.strong_count() > 0);
                open.insert(diff_id, Arc::downgrade(&layer));
                Ok(Some(layer))
            }
            Err(LayerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The layer of this name.
    ///
    /// # Errors
    ///
    /// [`LayerError::UnknownLayer`], and as [`Layers::get`].
    pub fn layer(&self, diff_id: DiffId) -> Result<Arc<StoredLayer>, LayerError> {
        self.get(diff_id)?
            .ok_or(LayerError::UnknownLayer { diff_id })
    }

    /// The names of all layers, sorted.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`].
    pub fn list(&self) -> Result<Vec<DiffId>, LayerError> {
        let directory = self.0.root.join("layers");
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(LayerError::io("read", &directory))? {
            let entry = entry.map_err(LayerError::io("read", &directory))?;
            names.extend(entry.file_name().to_str().and_then(DiffId::from_hex));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The root file system that these layers make up, bottom first; none is an empty root.
    ///
    /// # Errors
    ///
    /// As [`Layers::layer`].
    pub fn view(&self, diff_ids: &[DiffId]) -> Result<View, LayerError> {
        self.stack(diff_ids).map(View::new)
    }

    /// Begins a layer.
    ///
    /// # Errors
    ///
    /// [`LayerError::Io`].
    pub fn writer(&self, interrupt: Interrupt) -> Result<LayerWriter, LayerError> {
        LayerWriter::new(self, interrupt)
    }
}

/// A layer that is being made: a pack and a directory that have no name yet.
#[derive(Debug)]
pub(crate) struct Unpublished {
    layers: Layers,
    temporary: Temporary,
}

impl Unpublished {
    pub(crate) fn new(layers: &Layers) -> Result<Unpublished, LayerError> {
        let temporary = layers.temporary()?;
        let place = Unpublished {
            layers: layers.clone(),
            temporary,
        };
        let directory = place.directory();
        fs::create_dir(&directory).map_err(LayerError::io("mkdir", directory))?;
        Ok(place)
    }

    pub(crate) fn fsync(&self) -> bool {
        self.layers.options().fsync
    }

    pub(crate) fn pack_path(&self) -> PathBuf {
        self.temporary.path().join("pack.tar")
    }

    /// What will be `layers/<hex>/`.
    pub(crate) fn directory(&self) -> PathBuf {
        self.temporary.path().join("layer")
    }

    /// Writes the index of a layer whose whole tar is the one new pack.
    pub(crate) fn write_index(
        &self,
        builder: IndexBuilder,
        diff_id: DiffId,
        tar_bytes: u64,
    ) -> Result<LayerInfo, LayerError> {
        let extent = Extent {
            tar_offset: 0,
            length: tar_bytes,
            pack_offset: 0,
            pack: diff_id.0,
        };
        let facts = TarFacts {
            diff_id,
            tar_bytes,
            extents: vec![extent],
        };
        let path = self.directory().join("index");
        let file = fs::File::create_new(&path).map_err(LayerError::io("create", &path))?;
        let mut out = BufWriter::new(file);
        let info = builder.finish(&facts, &mut out)?;
        out.flush().map_err(LayerError::io("write", &path))?;
        if self.fsync() {
            out.get_ref()
                .sync_all()
                .map_err(LayerError::io("fsync", &path))?;
        }
        Ok(info)
    }

    /// Tells whether the store has this layer already.
    pub(crate) fn is_known(&self, diff_id: DiffId) -> bool {
        self.layers.directory(diff_id).join("index").exists()
    }

    /// Gives pack and directory their names, the directory last.
    ///
    /// Whoever comes second finds the name taken by the same bytes and drops its own.
    pub(crate) fn publish(self, diff_id: DiffId) -> Result<(), LayerError> {
        if self.is_known(diff_id) {
            return Ok(());
        }
        let directory = self.layers.directory(diff_id);
        let pack = self.layers.pack_path(diff_id);
        rename(&self.pack_path(), &pack)?;
        if self.fsync() {
            sync_directory(&self.layers.packs())?;
        }
        match fs::rename(self.directory(), &directory) {
            Ok(()) => {}
            Err(error) if is_taken(&error) => return Ok(()),
            Err(error) => return Err(LayerError::io("rename", directory)(error)),
        }
        if self.fsync() {
            sync_directory(&self.layers.0.root.join("layers"))?;
        }
        Ok(())
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
    )
}

fn rename(from: &Path, to: &Path) -> Result<(), LayerError> {
    fs::rename(from, to).map_err(LayerError::io("rename", to))
}

fn sync_directory(path: &Path) -> Result<(), LayerError> {
    fs::File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(LayerError::io("fsync", path))
}
