//! `dissolver._core.compress`: descriptors in, descriptors out.

use std::num::NonZeroUsize;

use dissolver_layer::{CompressOptions, Compression, Limits, Patient};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::interruptible::interruptible_by;
use crate::layer::{Layers, duplicate, failure, parse, run};

/// The name and length of compressed bytes.
#[pyclass(frozen, eq, hash, get_all, module = "dissolver._core.compress")]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Compressed {
    digest: String,
    size: u64,
}

#[pymethods]
impl Compressed {
    fn __repr__(&self) -> String {
        format!("Compressed(digest='{}', size={})", self.digest, self.size)
    }
}

impl From<dissolver_layer::Compressed> for Compressed {
    fn from(facts: dissolver_layer::Compressed) -> Compressed {
        Compressed {
            digest: facts.digest.to_string(),
            size: facts.size,
        }
    }
}

fn options(
    compression: &str,
    level: Option<i32>,
    threads: Option<NonZeroUsize>,
) -> PyResult<CompressOptions> {
    let compression: Compression = compression.parse().map_err(PyValueError::new_err)?;
    Ok(CompressOptions {
        compression,
        level,
        threads,
    })
}

#[pyfunction]
#[pyo3(signature = (source, target, *, compression, level = None, threads = None))]
fn compress(
    py: Python<'_>,
    source: i32,
    target: i32,
    compression: &str,
    level: Option<i32>,
    threads: Option<NonZeroUsize>,
) -> PyResult<Compressed> {
    let options = options(compression, level, threads)?;
    let (source, target) = (duplicate(source)?, duplicate(target)?);
    run(py, |interrupt| {
        let mut source = Patient::new(source, interrupt);
        let mut target = Patient::new(target, interrupt);
        dissolver_layer::compress(&mut source, &mut target, &options, interrupt)
    })
    .map(Compressed::from)
}

#[pyfunction]
#[pyo3(signature = (layers, diff_id, target, *, compression, level = None, should_stop = None))]
fn compress_layer(
    py: Python<'_>,
    layers: &Layers,
    diff_id: &str,
    target: i32,
    compression: &str,
    level: Option<i32>,
    should_stop: Option<Py<PyAny>>,
) -> PyResult<Compressed> {
    let options = options(compression, level, None)?;
    let (diff_id, target) = (parse(diff_id)?, duplicate(target)?);
    interruptible_by(py, should_stop.as_ref(), |interrupt| {
        let mut target = Patient::new(target, interrupt);
        let made = layers.0.compress(diff_id, &mut target, &options, interrupt);
        made.map_err(failure)
    })
    .map(Compressed::from)
}

#[pyfunction]
fn decompress(py: Python<'_>, source: i32, target: i32) -> PyResult<u64> {
    let (source, mut target) = (duplicate(source)?, duplicate(target)?);
    run(py, |interrupt| {
        let source = Box::new(Patient::new(source, interrupt));
        dissolver_layer::decompress(source, &mut target, &Limits::default(), interrupt)
    })
}

#[pyfunction]
fn is_archive(py: Python<'_>, source: i32) -> PyResult<bool> {
    let source = Box::new(duplicate(source)?);
    run(py, |_| dissolver_layer::is_archive(source))
}

/// Adds what this file has to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Compressed>()?;
    module.add_function(wrap_pyfunction!(compress, module)?)?;
    module.add_function(wrap_pyfunction!(compress_layer, module)?)?;
    module.add_function(wrap_pyfunction!(decompress, module)?)?;
    module.add_function(wrap_pyfunction!(is_archive, module)?)
}
