//! `dissolver._core.layer`.

use pyo3::prelude::*;

/// Adds the classes and functions of this module.
pub fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
