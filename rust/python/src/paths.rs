//! Paths as Python may give them: `str`, `bytes` or `os.PathLike`.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// A path on this machine.
#[derive(Debug)]
pub struct OsPath(pub PathBuf);

impl<'a, 'py> FromPyObject<'a, 'py> for OsPath {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        BytesPath::extract(object).map(|BytesPath(bytes)| OsPath(OsString::from_vec(bytes).into()))
    }
}

/// A path as bytes, for names inside trees and layers.
#[derive(Debug)]
pub struct BytesPath(pub Vec<u8>);

impl<'a, 'py> FromPyObject<'a, 'py> for BytesPath {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match object.cast::<PyBytes>() {
            Ok(bytes) => Ok(BytesPath(bytes.as_bytes().to_vec())),
            Err(_) => object
                .extract::<PathBuf>()
                .map(|path| BytesPath(path.as_os_str().as_bytes().to_vec())),
        }
    }
}
