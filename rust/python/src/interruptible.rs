//! Long work beside a Python that still hears signals.

use dissolver_layer::Interrupt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How long a signal may wait to be noticed: not felt by people, and ten wake-ups a second cost nothing.
const SIGNALS_EVERY: Duration = Duration::from_millis(100);

/// Does `work` in another thread with the GIL released, and hears signals meanwhile.
///
/// When a signal handler raises, as Ctrl-C does, `work` is told through the
/// interrupt that it gets, it is waited for, and its result is dropped for the exception.
/// Only the main thread of a program ever sees that.
pub fn interruptible<T, E>(
    py: Python<'_>,
    work: impl FnOnce(&Interrupt) -> Result<T, E> + Send,
) -> PyResult<T>
where
    T: Send,
    E: Send,
    PyErr: From<E>,
{
    interruptible_by(py, None, work)
}

/// As [`interruptible`]; `should_stop` is asked as often, in whatever thread this is, and tells
/// `work` to end when it answers yes. What `work` makes of that is the result.
pub fn interruptible_by<T, E>(
    py: Python<'_>,
    should_stop: Option<&Py<PyAny>>,
    work: impl FnOnce(&Interrupt) -> Result<T, E> + Send,
) -> PyResult<T>
where
    T: Send,
    E: Send,
    PyErr: From<E>,
{
    let interrupt = Interrupt::default();
    let outcome = py.detach(|| {
        std::thread::scope(|scope| {
            let (report, done) = sync_channel(1);
            let interrupt = &interrupt;
            let thread = std::thread::Builder::new().name("core".to_owned());
            let spawned = thread.spawn_scoped(scope, move || {
                // The receiver outlives the thread.
                let _ = report.send(work(interrupt));
            });
            if let Err(error) = spawned {
                return Err(<PyErr as From<io::Error>>::from(error));
            }
            loop {
                match done.recv_timeout(SIGNALS_EVERY) {
                    Ok(result) => return Ok(result),
                    Err(RecvTimeoutError::Timeout) => {
                        let asked = Python::attach(|py| {
                            py.check_signals()?;
                            should_stop.map_or(Ok(false), |ask| ask.call0(py)?.is_truthy(py))
                        });
                        match asked {
                            Ok(false) => {}
                            Ok(true) => interrupt.set(),
                            Err(raised) => {
                                interrupt.set();
                                return Err(raised);
                            }
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(PyRuntimeError::new_err("the core's thread ended early"));
                    }
                }
            }
        })
    })?;
    outcome.map_err(PyErr::from)
}
