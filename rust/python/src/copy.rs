//! `dissolver._core.copy`: what a `COPY` will put where.

use crate::error::Failure;
use crate::interruptible::interruptible;
use crate::layer::{LayerInfo, Layers, View, parse};
use crate::tree::{IgnoreRules, Tree};
use dissolver_layer::{CopyError, CopyRequest, CopySource, Kind, ModeChange, ModeClause, Origin};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::borrow::Cow;
use std::fmt::Write as _;

/// A planned copy; nothing is read before its digest is asked for.
#[pyclass(frozen, module = "dissolver._core.copy")]
#[derive(Debug)]
pub struct CopyPlan(dissolver_layer::CopyPlan);

/// What files can be copied from.
#[derive(FromPyObject)]
enum AnyOrigin<'py> {
    Tree(PyRef<'py, Tree>),
    View(PyRef<'py, View>),
}

impl AnyOrigin<'_> {
    fn origin(&self) -> Origin {
        match self {
            AnyOrigin::Tree(tree) => Origin::Tree(tree.0.clone()),
            AnyOrigin::View(view) => Origin::View(view.0.clone()),
        }
    }
}

/// A mode for all, or changes to the modes that files have.
#[derive(FromPyObject)]
enum AnyMode {
    To(u32),
    By(Vec<(String, char, String)>),
}

impl From<AnyMode> for ModeChange {
    fn from(mode: AnyMode) -> ModeChange {
        let clause = |(who, operator, bits)| ModeClause {
            who,
            operator,
            bits,
        };
        match mode {
            AnyMode::To(mode) => ModeChange::To(mode),
            AnyMode::By(clauses) => ModeChange::By(clauses.into_iter().map(clause).collect()),
        }
    }
}

/// A path in an origin, and what is there.
type Selected = (Cow<'static, [u8]>, &'static str);

/// What is copied from one origin.
#[pyclass(frozen, module = "dissolver._core.copy")]
#[derive(Debug)]
pub struct CopyPart(dissolver_layer::CopyPart);

#[pymethods]
impl CopyPart {
    #[new]
    #[pyo3(signature = (origin, sources, *, keeps_owner, pivots = None, excludes = None, is_verbatim = false))]
    fn new(
        origin: AnyOrigin<'_>,
        sources: Vec<String>,
        keeps_owner: bool,
        pivots: Option<Vec<String>>,
        excludes: Option<&IgnoreRules>,
        is_verbatim: bool,
    ) -> Self {
        let mut pivots = pivots.unwrap_or_default().into_iter();
        let source = |source: String| CopySource {
            pattern: source.into_bytes(),
            pivot: pivots.next().map(String::into_bytes),
        };
        Self(dissolver_layer::CopyPart {
            origin: origin.origin(),
            sources: sources.into_iter().map(source).collect(),
            excludes: excludes.map(|rules| rules.0.clone()).unwrap_or_default(),
            keeps_owner,
            is_verbatim,
        })
    }

    fn selected(&self, py: Python<'_>) -> PyResult<Vec<Selected>> {
        let selected = py.detach(|| self.0.selected()).map_err(failure)?;
        let one = |(path, kind): (Vec<u8>, Kind)| (Cow::Owned(path), kind.name());
        Ok(selected.into_iter().map(one).collect())
    }
}

#[pymethods]
impl CopyPlan {
    #[staticmethod]
    #[pyo3(signature = (base, origin, sources, destination, *, owner, keeps_owner, mode, new_directory_mtime))]
    #[allow(
        clippy::too_many_arguments,
        reason = "keyword arguments in Python, named at every call"
    )]
    fn for_copy(
        py: Python<'_>,
        base: &View,
        origin: AnyOrigin<'_>,
        sources: Vec<String>,
        destination: String,
        owner: Option<(u32, u32)>,
        keeps_owner: bool,
        mode: Option<u32>,
        new_directory_mtime: i64,
    ) -> PyResult<Self> {
        let part = CopyPart::new(origin, sources, keeps_owner, None, None, false);
        let request = CopyRequest {
            parts: vec![part.0],
            destination: destination.into_bytes(),
            owner,
            mode: mode.map(ModeChange::To),
            new_directory_mtime_ns: new_directory_mtime,
        };
        let planned = py.detach(|| dissolver_layer::CopyPlan::for_copy(&base.0, request));
        Ok(Self(planned.map_err(failure)?))
    }

    #[staticmethod]
    #[pyo3(signature = (base, parts, destination, *, owner, mode, new_directory_mtime))]
    fn for_parts(
        py: Python<'_>,
        base: &View,
        parts: Vec<PyRef<'_, CopyPart>>,
        destination: String,
        owner: Option<(u32, u32)>,
        mode: Option<AnyMode>,
        new_directory_mtime: i64,
    ) -> PyResult<Self> {
        let request = CopyRequest {
            parts: parts.iter().map(|part| part.0.clone()).collect(),
            destination: destination.into_bytes(),
            owner,
            mode: mode.map(ModeChange::from),
            new_directory_mtime_ns: new_directory_mtime,
        };
        let planned = py.detach(|| dissolver_layer::CopyPlan::for_copy(&base.0, request));
        Ok(Self(planned.map_err(failure)?))
    }

    #[staticmethod]
    #[pyo3(signature = (base, path, *, uid, gid, new_directory_mtime))]
    fn for_directory(
        base: &View,
        path: &str,
        uid: u32,
        gid: u32,
        new_directory_mtime: i64,
    ) -> PyResult<Self> {
        let owner = (uid, gid);
        let planned = dissolver_layer::CopyPlan::for_directory(
            &base.0,
            path.as_bytes(),
            owner,
            new_directory_mtime,
        );
        Ok(Self(planned.map_err(failure)?))
    }

    #[getter]
    fn entry_count(&self) -> usize {
        self.0.entry_count()
    }

    #[getter]
    fn total_bytes(&self) -> u64 {
        self.0.total_bytes()
    }

    #[getter]
    fn bytes_hashed(&self) -> u64 {
        self.0.bytes_hashed()
    }

    fn digest(&self, py: Python<'_>) -> PyResult<String> {
        let digest = interruptible(py, |interrupt| self.0.digest(interrupt).map_err(failure))?;
        let mut text = "blake3:".to_owned();
        for byte in digest {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(text)
    }

    fn inputs(&self, py: Python<'_>) -> Vec<(String, String)> {
        py.detach(|| self.0.inputs())
    }

    fn packed_inputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let packed = py.detach(|| self.0.packed_inputs())?;
        Ok(PyBytes::new(py, &packed))
    }

    #[pyo3(signature = (layers, *, predecessor = None))]
    fn prepare(&self, layers: &Layers, predecessor: Option<&str>) -> PyResult<()> {
        let predecessor = predecessor.map(parse).transpose()?;
        self.0.prepare(&layers.0, predecessor);
        Ok(())
    }

    #[pyo3(signature = (layers, *, predecessor = None))]
    fn write(
        &self,
        py: Python<'_>,
        layers: &Layers,
        predecessor: Option<&str>,
    ) -> PyResult<LayerInfo> {
        let predecessor = predecessor.map(parse).transpose()?;
        let info = interruptible(py, |interrupt| {
            self.0
                .write(&layers.0, predecessor, interrupt)
                .map_err(failure)
        })?;
        Ok(info.into())
    }
}

fn failure(error: CopyError) -> Failure {
    let (op, errno) = error.system_call().unzip();
    Failure {
        kind: error.kind(),
        message: error.to_string(),
        hint: error.hint(),
        path: error.path(),
        op: op.map(str::to_owned),
        errno: errno.flatten(),
    }
}

/// Adds the class to the module `layer`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<CopyPart>()?;
    module.add_class::<CopyPlan>()
}
