//! `dissolver._core.files`: the files of containers, listed, exported, copied.

use dissolver_layer::{Copy, LastLink};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::layer::{Layers, borrow, duplicate, failure, parse_all, run};
use crate::paths::{BytesPath, OsPath};
use crate::view::{Entry, View};

/// A directory that is the root of everything in it.
#[pyclass(frozen, module = "dissolver._core.files")]
#[derive(Debug)]
pub struct Root(dissolver_layer::Root);

fn last_link(follow: bool) -> LastLink {
    if follow {
        LastLink::Follow
    } else {
        LastLink::Keep
    }
}

#[pymethods]
impl Root {
    #[new]
    fn new(directory: i32) -> PyResult<Root> {
        Ok(Root(dissolver_layer::Root::new(
            duplicate(directory)?.into(),
        )))
    }

    #[pyo3(signature = (path, *, follow = true))]
    fn stat<'py>(
        &self,
        py: Python<'py>,
        path: BytesPath,
        follow: bool,
    ) -> PyResult<(Bound<'py, PyBytes>, Option<Entry>)> {
        let (path, entry) = py
            .detach(|| self.0.stat(&path.0, last_link(follow)))
            .map_err(failure)?;
        let absolute = [b"/", path.as_slice()].concat();
        Ok((PyBytes::new(py, &absolute), entry.map(Entry)))
    }

    #[pyo3(signature = (source, target, directory, *, name, owner, follow = false))]
    #[allow(clippy::too_many_arguments)] // Python names each of them.
    fn copy(
        &self,
        py: Python<'_>,
        source: BytesPath,
        target: &Root,
        directory: BytesPath,
        name: Option<BytesPath>,
        owner: Option<(u32, u32)>,
        follow: bool,
    ) -> PyResult<u64> {
        let copy = Copy {
            source: &source.0,
            last: last_link(follow),
            directory: &directory.0,
            name: name.as_ref().map(|name| name.0.as_slice()),
            owner,
        };
        run(py, |interrupt| self.0.copy(&copy, &target.0, interrupt))
    }

    #[pyo3(signature = (source, fd, *, name, follow = false))]
    fn archive(
        &self,
        py: Python<'_>,
        source: BytesPath,
        fd: i32,
        name: Option<BytesPath>,
        follow: bool,
    ) -> PyResult<u64> {
        let out = duplicate(fd)?;
        let name = name.as_ref().map(|name| name.0.as_slice());
        let last = last_link(follow);
        run(py, |interrupt| {
            self.0
                .archive(&source.0, last, name, borrow(&out), interrupt)
        })
    }

    fn unpack(&self, py: Python<'_>, view: &View, directory: BytesPath) -> PyResult<u64> {
        run(py, |interrupt| {
            self.0.unpack(&view.0, &directory.0, interrupt)
        })
    }

    #[pyo3(signature = (view, directory, *, owner, mtime_ns = None))]
    fn put(
        &self,
        py: Python<'_>,
        view: &View,
        directory: BytesPath,
        owner: (u32, u32),
        mtime_ns: Option<i64>,
    ) -> PyResult<(u64, u64)> {
        let put = run(py, |interrupt| {
            self.0
                .put(&view.0, &directory.0, owner, mtime_ns, interrupt)
        })?;
        Ok((put.bytes, put.devices))
    }
}

#[pyfunction]
fn export_container(
    py: Python<'_>,
    layers: &Layers,
    diff_ids: Vec<String>,
    upper: OsPath,
    fd: i32,
) -> PyResult<()> {
    let (diff_ids, out) = (parse_all(&diff_ids)?, duplicate(fd)?);
    run(py, |interrupt| {
        layers
            .0
            .export_container(&diff_ids, &upper.0, borrow(&out), interrupt)
    })
}

#[pyfunction]
#[pyo3(
    signature = (layers, upper, parents, *, ignore_stubs = Vec::new()),
    text_signature = "(layers, upper, parents, *, ignore_stubs=())"
)]
fn changes<'py>(
    py: Python<'py>,
    layers: &Layers,
    upper: OsPath,
    parents: Vec<String>,
    ignore_stubs: Vec<BytesPath>,
) -> PyResult<Vec<(&'static str, Bound<'py, PyBytes>)>> {
    let parents = parse_all(&parents)?;
    let stubs: Vec<Vec<u8>> = ignore_stubs.into_iter().map(|path| path.0).collect();
    let found = run(py, |interrupt| {
        layers.0.changes(&upper.0, &parents, &stubs, interrupt)
    })?;
    let pair = |change: dissolver_layer::Change| {
        let absolute = [b"/", change.path.as_slice()].concat();
        (change.kind.name(), PyBytes::new(py, &absolute))
    };
    Ok(found.into_iter().map(pair).collect())
}

/// Adds what this file has to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Root>()?;
    module.add_function(wrap_pyfunction!(export_container, module)?)?;
    module.add_function(wrap_pyfunction!(changes, module)?)
}
