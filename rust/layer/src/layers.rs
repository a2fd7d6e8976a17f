//! The layers of a store: `layers/`, `packs/` and `tmp/` under its root.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::checkpoints::{self, Checkpoint};
use crate::diff_id::DiffId;
use crate::error::LayerError;
use crate::index_body::IndexBody;
use crate::index_build::{LayerInfo, TarFacts};
use crate::interrupt::Interrupt;
use crate::leftovers::Leftovers;
use crate::marks::OverlayMarks;
use crate::mountable::LowerForm;
use crate::stored::StoredLayer;
use crate::tar_write::LayerWriter;
use crate::temporary::Temporary;
use crate::trees::remove_tree;
use crate::view::View;

/// The file of checkpoints in a layer's directory.
const CHECKPOINTS: &str = "checkpoints";

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
    leftovers: Leftovers,
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
            leftovers: Leftovers::default(),
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

    /// The marks of the overlays that are mounted over these layers.
    pub(crate) fn marks(&self) -> OverlayMarks {
        OverlayMarks::of(self.0.options.userxattr)
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

    pub(crate) fn packs_directory(&self) -> PathBuf {
        self.0.root.join("packs")
    }

    /// The pack of this name; one that holds a whole tar is named as its layer.
    pub(crate) fn pack_path(&self, name: DiffId) -> PathBuf {
        self.packs_directory().join(format!("{}.tar", name.hex()))
    }

    /// The states of the layer's hash, if its tar is one that a successor can share.
    pub(crate) fn checkpoints(&self, diff_id: DiffId) -> Option<Vec<Checkpoint>> {
        checkpoints::read(&self.directory(diff_id).join(CHECKPOINTS), diff_id)
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

    /// Removes a directory behind the caller's back.
    ///
    /// It is gone from where it was at once. What a process that ends leaves is in `tmp/`.
    pub(crate) fn discard(&self, directory: &Path) -> Result<(), LayerError> {
        let place = self.temporary()?;
        match fs::rename(directory, place.path().join("discarded")) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                return remove_tree(directory).1;
            }
            result => result.map_err(LayerError::io("rename", directory))?,
        }
        self.remove_later(place.keep());
        Ok(())
    }

    /// Removes a directory of this process in `tmp/` behind the caller's back.
    pub fn remove_later(&self, directory: PathBuf) {
        self.0.leftovers.remove(directory);
    }

    /// Waits until nothing is being removed any more, but no longer than `patience`.
    ///
    /// Returns whether that is so.
    #[must_use]
    pub fn settle(&self, patience: Duration) -> bool {
        self.0.leftovers.settle(patience)
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
        match StoredLayer::open(
            &self.directory(diff_id).join("index"),
            &self.packs_directory(),
        ) {
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

/// The pack that comes with a new layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewPack {
    /// It holds the layer's whole tar.
    Whole,
    /// It holds what no other pack has, and this is its name.
    Part(DiffId),
    /// There is none: other packs hold everything.
    None,
}

/// A layer that is being made: a directory without its name, with the pack in it until that has one.
#[derive(Debug)]
pub(crate) struct Unpublished {
    layers: Layers,
    temporary: Temporary,
}

impl Unpublished {
    pub(crate) fn new(layers: &Layers) -> Result<Unpublished, LayerError> {
        Ok(Unpublished {
            layers: layers.clone(),
            temporary: layers.temporary()?,
        })
    }

    /// A name for the pack that no other pack has, ever.
    pub(crate) fn pack_name(&self) -> DiffId {
        let mut hasher = blake3::Hasher::new();
        // The directory's name belongs to one process of one boot, and one moment tells boots apart.
        hasher.update(self.temporary.path().as_os_str().as_encoded_bytes());
        // A clock before 1970 counts as 1970: then the name of the directory is all there is.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        hasher.update(&now.unwrap_or_default().as_nanos().to_le_bytes());
        DiffId(*hasher.finalize().as_bytes())
    }

    /// Tells whether the layer will belong to the same store as `layers`.
    pub(crate) fn is_in(&self, layers: &Layers) -> bool {
        self.layers.root() == layers.root()
    }

    pub(crate) fn fsync(&self) -> bool {
        self.layers.options().fsync
    }

    pub(crate) fn pack_path(&self) -> PathBuf {
        self.temporary.path().join("pack.tar")
    }

    /// What will be `layers/<hex>/`.
    pub(crate) fn directory(&self) -> &Path {
        self.temporary.path()
    }

    /// Writes the index of the layer whose tar is complete.
    pub(crate) fn write_index(
        &self,
        body: &IndexBody,
        facts: &TarFacts,
    ) -> Result<LayerInfo, LayerError> {
        let path = self.directory().join("index");
        let file = fs::File::create_new(&path).map_err(LayerError::io("create", &path))?;
        let mut out = BufWriter::new(file);
        let info = body.write(facts, &mut out)?;
        out.flush().map_err(LayerError::io("write", &path))?;
        if self.fsync() {
            out.get_ref()
                .sync_all()
                .map_err(LayerError::io("fsync", &path))?;
        }
        Ok(info)
    }

    /// Writes the checkpoints of a tar that a successor may share.
    pub(crate) fn write_checkpoints(
        &self,
        diff_id: DiffId,
        checkpoints: &[Checkpoint],
    ) -> Result<(), LayerError> {
        checkpoints::write(&self.directory().join(CHECKPOINTS), diff_id, checkpoints)
    }

    /// Tells whether the store has this layer already.
    pub(crate) fn is_known(&self, diff_id: DiffId) -> bool {
        self.layers.directory(diff_id).join("index").exists()
    }

    /// Gives pack and directory their names, the directory last.
    ///
    /// A pack that holds the whole tar is named as its layer: whoever comes second
    /// finds the name taken by the same bytes. One that holds a part of it gets
    /// the name `part`, which is used once, and goes if the layer exists already. Without
    /// a pack, all of the tar lies in others.
    pub(crate) fn publish(self, diff_id: DiffId, pack: NewPack) -> Result<(), LayerError> {
        if !self.give_names(diff_id, pack)? {
            let layers = self.layers;
            layers.remove_later(self.temporary.keep());
            return Ok(());
        }
        let Unpublished { layers, temporary } = self;
        // Where it was there is nothing left to remove.
        temporary.keep();
        if layers.options().fsync {
            sync_directory(&layers.0.root.join("layers"))?;
        }
        Ok(())
    }

    /// Tells whether the layer is new; else there is one already, and this one is to go.
    fn give_names(&self, diff_id: DiffId, pack: NewPack) -> Result<bool, LayerError> {
        if self.is_known(diff_id) {
            return Ok(false);
        }
        let directory = self.layers.directory(diff_id);
        let name = match pack {
            NewPack::Whole => Some(diff_id),
            NewPack::Part(name) => Some(name),
            NewPack::None => None,
        };
        if let Some(name) = name {
            rename(&self.pack_path(), &self.layers.pack_path(name))?;
            if self.fsync() {
                sync_directory(&self.layers.packs_directory())?;
            }
        } else {
            match fs::remove_file(self.pack_path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(LayerError::io("unlink", self.pack_path())(error));
                }
                _ => {}
            }
        }
        match fs::rename(self.directory(), &directory) {
            Ok(()) => Ok(true),
            Err(error) if is_taken(&error) => {
                if let NewPack::Part(name) = pack {
                    let path = self.layers.pack_path(name);
                    fs::remove_file(&path).map_err(LayerError::io("unlink", path))?;
                }
                Ok(false)
            }
            Err(error) => Err(LayerError::io("rename", directory)(error)),
        }
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
