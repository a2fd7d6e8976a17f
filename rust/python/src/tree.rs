//! `dissolver._core.tree`: contexts and what they leave out.

use crate::error::Failure;
use crate::interruptible::interruptible;
use crate::paths::{BytesPath, OsPath};
use dissolver_tree::{ScanOptions, TreeError};
use pyo3::prelude::*;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

/// The rules of a `.dockerignore`, compiled.
#[pyclass(frozen, module = "dissolver._core.tree")]
#[derive(Debug)]
pub struct IgnoreRules(pub(crate) dissolver_tree::IgnoreRules);

#[pymethods]
impl IgnoreRules {
    #[new]
    fn new(patterns: Vec<String>) -> PyResult<Self> {
        Ok(Self(
            dissolver_tree::IgnoreRules::new(patterns)
                .map_err(TreeError::from)
                .map_err(failure)?,
        ))
    }

    #[pyo3(signature = (path, is_directory = false))]
    fn excludes(&self, path: BytesPath, is_directory: bool) -> bool {
        // No pattern asks for a type; the argument lets callers say what they know.
        let _ = is_directory;
        self.0.excludes(&path.0)
    }
}

/// A directory, listed at one moment.
#[pyclass(frozen, module = "dissolver._core.tree")]
#[derive(Debug)]
pub struct Tree(pub Arc<dissolver_tree::Tree>);

#[pymethods]
impl Tree {
    #[staticmethod]
    #[pyo3(signature = (root, *, ignore = None, stat_cache = None))]
    fn scan(
        py: Python<'_>,
        root: OsPath,
        ignore: Option<&IgnoreRules>,
        stat_cache: Option<OsPath>,
    ) -> PyResult<Self> {
        let options = ScanOptions {
            rules: ignore.map(|rules| rules.0.clone()).unwrap_or_default(),
            stat_cache: stat_cache.map(|path| path.0),
        };
        let tree = interruptible(py, |interrupt| {
            let is_cancelled = || interrupt.check().is_err();
            dissolver_tree::Tree::scan(&root.0, options, &is_cancelled).map_err(failure)
        })?;
        Ok(Self(Arc::new(tree)))
    }

    #[getter]
    fn root(&self) -> &OsStr {
        self.0.root().as_os_str()
    }

    #[getter]
    fn entry_count(&self) -> usize {
        self.0.len() - 1
    }

    #[getter]
    fn total_bytes(&self) -> u64 {
        self.0.total_bytes()
    }
}

/// The facts of a failure of the `tree` crate.
pub fn failure(error: TreeError) -> Failure {
    let (op, errno) = match &error {
        TreeError::Io { op, errno, .. } => (Some((*op).to_owned()), Some(errno.raw_os_error())),
        _ => (None, None),
    };
    Failure {
        kind: error.kind(),
        message: error.to_string(),
        hint: error.hint().map(str::to_owned),
        path: error.path().map(<[u8]>::to_vec),
        op,
        errno,
    }
}

/// The context directory that a stat cache is about.
#[pyfunction]
fn stat_cache_context(path: OsPath) -> Option<OsString> {
    dissolver_tree::stat_cache_context(&path.0).map(OsString::from)
}

/// Adds the classes of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(stat_cache_context, module)?)?;
    module.add_class::<IgnoreRules>()?;
    module.add_class::<Tree>()
}
