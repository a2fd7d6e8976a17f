//! The one conversion from a Rust failure to a Python exception.

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    dissolver._core,
    CoreError,
    PyException,
    "A failure of the core, with its facts as attributes: kind, message, hint, path, op, errno."
);

/// What a failure is made of, whichever crate it came from.
#[derive(Debug, Default)]
pub struct Failure {
    /// A stable word that Python may match on, such as `not-found`.
    pub kind: &'static str,
    /// One sentence in lower case without a full stop.
    pub message: String,
    /// One thing to try, where there is one.
    pub hint: Option<String>,
    /// The path the failure is about, as bytes.
    pub path: Option<Vec<u8>>,
    /// The system call or operation that failed.
    pub op: Option<String>,
    /// The kernel's error number.
    pub errno: Option<i32>,
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        Python::attach(|py| {
            let error = CoreError::new_err(failure.message.clone());
            let value = error.value(py);
            let filled = value
                .setattr("kind", failure.kind)
                .and_then(|()| value.setattr("message", failure.message))
                .and_then(|()| value.setattr("hint", failure.hint))
                .and_then(|()| {
                    value.setattr(
                        "path",
                        failure
                            .path
                            .map(|p| pyo3::types::PyBytes::new(py, &p).unbind()),
                    )
                })
                .and_then(|()| value.setattr("op", failure.op))
                .and_then(|()| value.setattr("errno", failure.errno));
            match filled {
                Ok(()) => error,
                Err(other) => other,
            }
        })
    }
}
