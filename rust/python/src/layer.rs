//! `dissolver._core.layer`: the layers of a store.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use dissolver_layer::{DiffId, Interrupt, LayerError, LayersOptions, Limits, LowerForm};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::error::Failure;
use crate::interruptible::interruptible;
use crate::lower::{self, Lower};
use crate::paths::{BytesPath, OsPath};
pub use crate::view::{Entry, View};

/// What a layer is called and how large it is.
#[pyclass(frozen, eq, hash, get_all, module = "dissolver._core.layer")]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LayerInfo {
    diff_id: String,
    tar_bytes: u64,
    content_bytes: u64,
    entry_count: u64,
}

#[pymethods]
impl LayerInfo {
    fn __repr__(&self) -> String {
        format!(
            "LayerInfo(diff_id='{}', tar_bytes={}, content_bytes={}, entry_count={})",
            self.diff_id, self.tar_bytes, self.content_bytes, self.entry_count
        )
    }
}

impl From<dissolver_layer::LayerInfo> for LayerInfo {
    fn from(info: dissolver_layer::LayerInfo) -> LayerInfo {
        LayerInfo {
            diff_id: info.diff_id.to_string(),
            tar_bytes: info.tar_bytes,
            content_bytes: info.content_bytes,
            entry_count: info.entry_count,
        }
    }
}

/// A pack and what layers have in it.
#[pyclass(frozen, eq, hash, get_all, module = "dissolver._core.layer")]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackUsage {
    name: String,
    disk_bytes: u64,
    live_bytes: u64,
    layers: usize,
}

impl From<dissolver_layer::PackUsage> for PackUsage {
    fn from(pack: dissolver_layer::PackUsage) -> PackUsage {
        PackUsage {
            name: pack.name,
            disk_bytes: pack.disk_bytes,
            live_bytes: pack.live_bytes,
            layers: pack.layers,
        }
    }
}

/// The layers of a store, for many threads and processes.
#[pyclass(frozen, module = "dissolver._core.layer")]
#[derive(Debug)]
pub struct Layers(pub dissolver_layer::Layers, Option<LowerForm>);

impl Layers {
    /// Settles whether layers are mounted in place, by trying where nobody said.
    fn decide(&self) -> Result<LowerForm, LayerError> {
        self.0.decide(|| match self.1 {
            Some(form) => Ok(form),
            None if lower::refusal(&self.0)?.is_empty() => Ok(LowerForm::Image),
            None => Ok(LowerForm::Directory),
        })
    }
}

/// Where a layer comes from.
enum Source {
    Descriptor(i32),
    Path(std::path::PathBuf),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Source {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(descriptor) = object.extract::<i32>() {
            return Ok(Source::Descriptor(descriptor));
        }
        OsPath::extract(object)
            .map(|path| Source::Path(path.0))
            .map_err(|_| PyTypeError::new_err("a source is a file descriptor or a path"))
    }
}

impl Source {
    fn open(self) -> PyResult<Box<dyn Read + Send>> {
        Ok(match self {
            Source::Descriptor(descriptor) => Box::new(duplicate(descriptor)?),
            Source::Path(path) => {
                let opened = File::open(&path).map_err(LayerError::io("open", path));
                Box::new(opened.map_err(failure)?)
            }
        })
    }
}

/// A file of our own for a descriptor that Python owns: it may be closed meanwhile.
pub(crate) fn duplicate(descriptor: i32) -> PyResult<File> {
    if descriptor < 0 {
        return Err(PyValueError::new_err("a file descriptor is not negative"));
    }
    let path = format!("/proc/self/fd/{descriptor}");
    dissolver_sys::descriptor::duplicate(descriptor)
        .map(File::from)
        .map_err(|error| failure(LayerError::io("dup", path)(error)).into())
}

#[pymethods]
impl Layers {
    #[new]
    #[pyo3(signature = (root, *, userxattr, fsync = false, form = "auto"))]
    fn new(root: OsPath, userxattr: bool, fsync: bool, form: &str) -> PyResult<Self> {
        let form = lower::parse_form(form)?;
        let options = LayersOptions { userxattr, fsync };
        Ok(Layers(
            dissolver_layer::Layers::open(&root.0, options).map_err(failure)?,
            form,
        ))
    }

    fn info(&self, diff_id: &str) -> PyResult<Option<LayerInfo>> {
        let layer = self.0.get(parse(diff_id)?).map_err(failure)?;
        Ok(layer.map(|layer| layer.info().into()))
    }

    fn list(&self) -> PyResult<Vec<String>> {
        let names = self.0.list().map_err(failure)?;
        Ok(names.iter().map(DiffId::to_string).collect())
    }

    #[pyo3(signature = (source, *, expect = None))]
    fn ingest(&self, py: Python<'_>, source: Source, expect: Option<&str>) -> PyResult<LayerInfo> {
        let expect = expect.map(parse).transpose()?;
        let source = source.open()?;
        run(py, |interrupt| {
            self.0.ingest(source, expect, &Limits::default(), interrupt)
        })
        .map(LayerInfo::from)
    }

    fn view(&self, py: Python<'_>, diff_ids: Vec<String>) -> PyResult<View> {
        let diff_ids = parse_all(&diff_ids)?;
        py.detach(|| self.0.view(&diff_ids))
            .map(View::from)
            .map_err(|error| failure(error).into())
    }

    fn lower_directories(&self, py: Python<'_>, diff_ids: Vec<String>) -> PyResult<Vec<OsString>> {
        let diff_ids = parse_all(&diff_ids)?;
        let directories = run(py, |interrupt| {
            self.0.lower_directories(&diff_ids, interrupt)
        })?;
        Ok(directories.into_iter().map(OsString::from).collect())
    }

    fn mountable(&self, py: Python<'_>, diff_ids: Vec<String>) -> PyResult<Vec<Lower>> {
        let diff_ids = parse_all(&diff_ids)?;
        let lowers = run(py, |interrupt| {
            self.decide()?;
            self.0.mountable(&diff_ids, interrupt)
        })?;
        Ok(lowers.into_iter().map(Lower::from).collect())
    }

    fn remove_later(&self, directory: OsPath) {
        self.0.remove_later(directory.0);
    }

    fn settle(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let patience = Duration::try_from_secs_f64(seconds)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(py.detach(|| self.0.settle(patience)))
    }

    fn image_refusal(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| lower::refusal(&self.0))
            .map_err(|error| failure(error).into())
    }

    #[pyo3(
        signature = (upper, parents, *, ignore_stubs = Vec::new()),
        text_signature = "($self, upper, parents, *, ignore_stubs=())"
    )]
    fn commit_upper(
        &self,
        py: Python<'_>,
        upper: OsPath,
        parents: Vec<String>,
        ignore_stubs: Vec<BytesPath>,
    ) -> PyResult<LayerInfo> {
        let parents = parse_all(&parents)?;
        let stubs: Vec<Vec<u8>> = ignore_stubs.into_iter().map(|path| path.0).collect();
        run(py, |interrupt| {
            self.decide()?;
            self.0.commit_upper(&upper.0, &parents, &stubs, interrupt)
        })
        .map(LayerInfo::from)
    }

    fn cat(&self, py: Python<'_>, diff_id: &str, fd: i32) -> PyResult<u64> {
        let (diff_id, out) = (parse(diff_id)?, duplicate(fd)?);
        run(py, |interrupt| self.0.cat(diff_id, borrow(&out), interrupt))
    }

    fn remove(&self, py: Python<'_>, diff_id: &str) -> PyResult<u64> {
        let diff_id = parse(diff_id)?;
        py.detach(|| self.0.remove(&[diff_id]))
            .map_err(|error| failure(error).into())
    }

    fn remove_all(&self, py: Python<'_>, diff_ids: Vec<String>) -> PyResult<u64> {
        let diff_ids = parse_all(&diff_ids)?;
        py.detach(|| self.0.remove(&diff_ids))
            .map_err(|error| failure(error).into())
    }

    fn reclaim(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.0.reclaim())
            .map_err(|error| failure(error).into())
    }

    fn packs(&self, py: Python<'_>) -> PyResult<Vec<PackUsage>> {
        let packs = py.detach(|| self.0.packs()).map_err(failure)?;
        Ok(packs.into_iter().map(PackUsage::from).collect())
    }

    fn disk_bytes(&self, py: Python<'_>, diff_id: &str) -> PyResult<u64> {
        let diff_id = parse(diff_id)?;
        py.detach(|| self.0.disk_bytes(diff_id))
            .map_err(|error| failure(error).into())
    }

    #[pyo3(
        signature = (diff_ids, *, beside = Vec::new()),
        text_signature = "($self, diff_ids, *, beside=())"
    )]
    fn disk_bytes_of(
        &self,
        py: Python<'_>,
        diff_ids: Vec<String>,
        beside: Vec<String>,
    ) -> PyResult<u64> {
        let (diff_ids, beside) = (parse_all(&diff_ids)?, parse_all(&beside)?);
        py.detach(|| self.0.disk_bytes_of(&diff_ids, &beside))
            .map_err(|error| failure(error).into())
    }

    fn verify(&self, py: Python<'_>, diff_id: &str) -> PyResult<()> {
        let diff_id = parse(diff_id)?;
        run(py, |interrupt| self.0.verify(diff_id, interrupt))
    }

    fn extract(&self, py: Python<'_>, diff_ids: Vec<String>, destination: OsPath) -> PyResult<()> {
        let diff_ids = parse_all(&diff_ids)?;
        run(py, |interrupt| {
            self.0.extract(&diff_ids, &destination.0, interrupt)
        })
    }

    #[pyo3(signature = (diff_ids, fd, *, mtime_ns = None))]
    fn export_tar(
        &self,
        py: Python<'_>,
        diff_ids: Vec<String>,
        fd: i32,
        mtime_ns: Option<i64>,
    ) -> PyResult<()> {
        let (diff_ids, out) = (parse_all(&diff_ids)?, duplicate(fd)?);
        run(py, |interrupt| {
            self.0
                .export_tar(&diff_ids, borrow(&out), mtime_ns, interrupt)
        })
    }

    fn clamp_times(&self, py: Python<'_>, diff_id: &str, latest_ns: i64) -> PyResult<LayerInfo> {
        let diff_id = parse(diff_id)?;
        run(py, |interrupt| {
            self.0.clamp_times(diff_id, latest_ns, interrupt)
        })
        .map(LayerInfo::from)
    }
}

pub(crate) fn borrow(file: &File) -> BorrowedFd<'_> {
    use std::os::fd::AsFd as _;
    file.as_fd()
}

pub(crate) fn parse(diff_id: &str) -> PyResult<DiffId> {
    diff_id.parse().map_err(|error| failure(error).into())
}

pub(crate) fn parse_all(diff_ids: &[String]) -> PyResult<Vec<DiffId>> {
    diff_ids.iter().map(|diff_id| parse(diff_id)).collect()
}

/// Does long work: the GIL released, signals heard, failures converted.
pub fn run<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Interrupt) -> Result<T, LayerError> + Send,
) -> PyResult<T> {
    interruptible(py, |interrupt| work(interrupt).map_err(failure))
}

/// The facts of a failure of the `layer` crate.
pub fn failure(error: LayerError) -> Failure {
    let call = error.system_call();
    Failure {
        kind: error.kind(),
        message: error.to_string(),
        hint: error.hint().map(str::to_owned),
        path: error.path(),
        op: call.map(|(op, _)| op.to_owned()),
        errno: call.and_then(|(_, errno)| errno),
    }
}

/// Removes a file or a directory of any depth; what cannot be removed stays.
#[pyfunction]
#[pyo3(signature = (path, *, strict = false))]
fn remove_tree(py: Python<'_>, path: OsPath, strict: bool) -> PyResult<u64> {
    let (freed, outcome) = py.detach(|| dissolver_layer::remove_tree(&path.0));
    match outcome {
        Err(error) if strict => Err(failure(error).into()),
        _ => Ok(freed),
    }
}

/// The bytes of disk under a path, as far as they can be told.
#[pyfunction]
fn tree_bytes(py: Python<'_>, path: OsPath) -> u64 {
    py.detach(|| dissolver_layer::tree_bytes(&path.0).0)
}

/// Adds what this file has to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LayerInfo>()?;
    module.add_class::<Entry>()?;
    module.add_class::<PackUsage>()?;
    module.add_class::<Layers>()?;
    module.add_class::<Lower>()?;
    module.add_class::<View>()?;
    module.add_function(wrap_pyfunction!(remove_tree, module)?)?;
    module.add_function(wrap_pyfunction!(tree_bytes, module)?)
}
