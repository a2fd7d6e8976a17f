//! The root file system of a stack of layers, for `dissolver._core.layer`.

use std::sync::Arc;

use dissolver_layer::{Found, LastLink};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::layer::{duplicate, failure, run};
use crate::paths::BytesPath;

/// One entry of a view.
#[pyclass(frozen, module = "dissolver._core.layer")]
#[derive(Debug)]
pub struct Entry(pub(crate) dissolver_layer::Entry);

#[pymethods]
impl Entry {
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.path)
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind.name()
    }

    #[getter]
    fn mode(&self) -> u32 {
        self.0.mode
    }

    #[getter]
    fn uid(&self) -> u32 {
        self.0.uid
    }

    #[getter]
    fn gid(&self) -> u32 {
        self.0.gid
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }

    #[getter]
    fn mtime_ns(&self) -> i64 {
        self.0.mtime_ns
    }

    #[getter]
    fn link_target<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0
            .link_target
            .as_ref()
            .map(|target| PyBytes::new(py, target))
    }

    #[getter]
    fn hard_link<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.hard_link.as_ref().map(|name| PyBytes::new(py, name))
    }

    #[getter]
    fn device(&self) -> (u32, u32) {
        self.0.device
    }

    #[getter]
    fn digest(&self) -> Option<String> {
        let digest = self.0.digest?;
        Some(format!("blake3:{}", dissolver_layer::DiffId(digest).hex()))
    }

    #[getter]
    fn xattrs<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let bytes = |bytes: &[u8]| PyBytes::new(py, bytes);
        self.0
            .xattrs
            .iter()
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect()
    }

    fn __repr__(&self) -> String {
        format!(
            "Entry(path='{}', kind='{}', mode=0o{:o}, uid={}, gid={}, size={})",
            String::from_utf8_lossy(&self.0.path),
            self.0.kind.name(),
            self.0.mode,
            self.0.uid,
            self.0.gid,
            self.0.size
        )
    }
}

impl From<Found> for Entry {
    fn from(found: Found) -> Entry {
        Entry(found.entry)
    }
}

/// What two views have at the same path.
type Difference = (Option<Entry>, Option<Entry>);

/// A stack of layers seen as one root file system.
#[pyclass(frozen, module = "dissolver._core.layer")]
#[derive(Debug)]
pub struct View(pub Arc<dissolver_layer::View>);

impl From<dissolver_layer::View> for View {
    fn from(view: dissolver_layer::View) -> View {
        View(Arc::new(view))
    }
}

#[pymethods]
impl View {
    #[pyo3(signature = (path, *, follow = true))]
    fn stat(&self, path: BytesPath, follow: bool) -> PyResult<Option<Entry>> {
        let last = if follow {
            LastLink::Follow
        } else {
            LastLink::Keep
        };
        let resolved = self.0.resolve(&path.0, last).map_err(failure)?;
        Ok(resolved.found.map(Entry::from))
    }

    fn resolve<'py>(&self, py: Python<'py>, path: BytesPath) -> PyResult<Bound<'py, PyBytes>> {
        let resolved = self.0.resolve(&path.0, LastLink::Follow).map_err(failure)?;
        Ok(PyBytes::new(py, &[b"/", resolved.path.as_slice()].concat()))
    }

    fn list<'py>(&self, py: Python<'py>, path: BytesPath) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let names = py.detach(|| self.0.list(&path.0)).map_err(failure)?;
        Ok(names.iter().map(|name| PyBytes::new(py, name)).collect())
    }

    #[pyo3(signature = (path, *, limit))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        path: BytesPath,
        limit: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.0.read(&path.0, limit)).map_err(failure)?;
        Ok(PyBytes::new(py, &bytes))
    }

    #[pyo3(signature = (other, *, times = false))]
    fn compare(&self, py: Python<'_>, other: &View, times: bool) -> PyResult<Vec<Difference>> {
        let found = run(py, |interrupt| self.0.compare(&other.0, times, interrupt))?;
        let pair = |one: dissolver_layer::Difference| (one.left.map(Entry), one.right.map(Entry));
        Ok(found.into_iter().map(pair).collect())
    }

    fn is_archive(&self, py: Python<'_>, path: BytesPath) -> PyResult<bool> {
        run(py, |_| self.0.is_archive(&path.0))
    }

    fn write(&self, py: Python<'_>, path: BytesPath, fd: i32) -> PyResult<u64> {
        let mut out = duplicate(fd)?;
        run(py, |interrupt| self.0.write(&path.0, &mut out, interrupt))
    }
}
