//! `dissolver._core.sandbox`.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dissolver_sandbox::host::Host;
use dissolver_sandbox::idmap::{self, Range};
use dissolver_sandbox::process::{Process as Sandboxed, Stage};
use dissolver_sandbox::report::SandboxError;
use dissolver_sandbox::spec::Spec;
use pyo3::prelude::*;

use crate::error::Failure;

/// How long the GIL's owner may have to wait for a signal to be noticed.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

fn failure(error: SandboxError) -> PyErr {
    Failure {
        kind: error.kind(),
        hint: error.hint(),
        path: error.path(),
        op: error.op().map(str::to_owned),
        errno: error.errno(),
        message: error.to_string(),
    }
    .into()
}

/// A sandboxed process; a context manager that closes itself.
#[pyclass(frozen, module = "dissolver._core.sandbox")]
struct Process {
    pid: i32,
    sandboxed: Mutex<Option<Arc<Sandboxed>>>,
}

impl Process {
    fn new(sandboxed: Sandboxed) -> Process {
        Process {
            pid: sandboxed.pid(),
            sandboxed: Mutex::new(Some(Arc::new(sandboxed))),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Sandboxed>>> {
        self.sandboxed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> PyResult<Arc<Sandboxed>> {
        self.slot()
            .clone()
            .ok_or_else(|| failure(SandboxError::NotRunning { pid: self.pid }))
    }
}

#[pymethods]
impl Process {
    #[getter]
    fn pid(&self) -> i32 {
        self.pid
    }

    #[getter]
    fn network_namespace(&self) -> PyResult<String> {
        let sandboxed = self.open()?;
        Ok(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            sandboxed.network().as_raw_fd()
        ))
    }

    #[getter]
    fn terminal(&self) -> PyResult<Option<i32>> {
        Ok(self.open()?.terminal().map(|terminal| terminal.as_raw_fd()))
    }

    #[getter]
    fn pidfd(&self) -> PyResult<i32> {
        Ok(self.open()?.pidfd().as_raw_fd())
    }

    fn await_gate(&self, py: Python<'_>) -> PyResult<()> {
        let sandboxed = self.open()?;
        loop {
            match py
                .detach(|| sandboxed.advance(Some(SIGNAL_INTERVAL)))
                .map_err(failure)?
            {
                Stage::Preparing => py.check_signals()?,
                _ => return Ok(()),
            }
        }
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let sandboxed = self.open()?;
        sandboxed.open_gate();
        loop {
            match py
                .detach(|| sandboxed.advance(Some(SIGNAL_INTERVAL)))
                .map_err(failure)?
            {
                Stage::Running => return Ok(()),
                _ => py.check_signals()?,
            }
        }
    }

    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<i32>> {
        let sandboxed = self.open()?;
        let limit = timeout
            .map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        loop {
            let left = deadline.map_or(SIGNAL_INTERVAL, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            let status = py
                .detach(|| sandboxed.wait(Some(left.min(SIGNAL_INTERVAL))))
                .map_err(failure)?;
            if status.is_some() || left.is_zero() {
                return Ok(status);
            }
            py.check_signals()?;
        }
    }

    fn kill(&self, signal: i32) -> PyResult<()> {
        self.open()?.kill(signal).map_err(failure)
    }

    fn close(&self, py: Python<'_>) {
        let sandboxed = self.slot().take();
        // Another thread may still wait for it, and gets its status then.
        py.detach(|| sandboxed.inspect(|sandboxed| sandboxed.end()));
    }

    fn __enter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, pyo3::types::PyTuple>) {
        self.close(py);
    }
}

fn streams(numbers: [Option<i32>; 3]) -> PyResult<[Option<OwnedFd>; 3]> {
    let one = |number: Option<i32>| match number {
        Some(number) => dissolver_sys::kernel::duplicate(number)
            .map(Some)
            .map_err(|errno| {
                failure(SandboxError::setup(
                    "duplicate the file",
                    number.to_string(),
                    errno,
                ))
            }),
        None => Ok(None),
    };
    let [input, output, error] = numbers;
    Ok([one(input)?, one(output)?, one(error)?])
}

#[pyfunction]
#[pyo3(signature = (spec, *, stdin, stdout, stderr))]
fn start(
    py: Python<'_>,
    spec: &[u8],
    stdin: Option<i32>,
    stdout: Option<i32>,
    stderr: Option<i32>,
) -> PyResult<Process> {
    let streams = streams([stdin, stdout, stderr])?;
    let work =
        || Spec::decode(spec).and_then(|spec| dissolver_sandbox::process::start(&spec, streams));
    py.detach(work).map(Process::new).map_err(failure)
}

#[pyfunction]
#[pyo3(signature = (pid, spec, *, stdin, stdout, stderr))]
fn enter(
    py: Python<'_>,
    pid: i32,
    spec: &[u8],
    stdin: Option<i32>,
    stdout: Option<i32>,
    stderr: Option<i32>,
) -> PyResult<Process> {
    let streams = streams([stdin, stdout, stderr])?;
    let work =
        || Spec::decode(spec).and_then(|spec| dissolver_sandbox::enter::enter(pid, &spec, streams));
    py.detach(work).map(Process::new).map_err(failure)
}

#[pyfunction]
fn supervise(py: Python<'_>, container_directory: PathBuf) -> i32 {
    py.detach(|| dissolver_sandbox::supervise::supervise(&container_directory))
}

#[pyfunction]
fn describe(spec: &[u8]) -> PyResult<Vec<String>> {
    let describe = || {
        let spec = Spec::decode(spec)?;
        Ok(dissolver_sandbox::plan::plan_start(&spec, &Host::look()?)?.describe())
    };
    describe().map_err(failure)
}

#[pyfunction]
fn set_window(fd: i32, rows: u16, columns: u16) -> PyResult<()> {
    use std::os::fd::AsFd;
    let [terminal, ..] = streams([Some(fd), None, None])?;
    match terminal {
        Some(terminal) => dissolver_sandbox::terminal::set_window(terminal.as_fd(), rows, columns)
            .map_err(failure),
        None => Ok(()),
    }
}

#[pyfunction]
#[pyo3(signature = (uid_map, gid_map, *, helpers))]
fn enter_user_namespace(uid_map: Vec<Range>, gid_map: Vec<Range>, helpers: bool) -> PyResult<()> {
    idmap::enter_user_namespace(&uid_map, &gid_map, helpers).map_err(failure)
}

#[pyfunction]
fn join_user_namespace(pid: i32) -> PyResult<()> {
    idmap::join_user_namespace(pid).map_err(failure)
}

#[pyfunction]
fn remove_groups_left_behind(py: Python<'_>) {
    py.detach(dissolver_sandbox::device_rules::remove_groups_left_behind);
}

#[pyfunction]
fn start_time(pid: i32) -> Option<u64> {
    dissolver_sandbox::identity::start_time(pid)
}

#[pyfunction]
fn probe(py: Python<'_>, directory: PathBuf) -> PyResult<BTreeMap<&'static str, String>> {
    py.detach(|| dissolver_sandbox::probe::probe(&directory))
        .map_err(failure)
}

/// Adds the classes and functions of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Process>()?;
    module.add_function(wrap_pyfunction!(start, module)?)?;
    module.add_function(wrap_pyfunction!(enter, module)?)?;
    module.add_function(wrap_pyfunction!(supervise, module)?)?;
    module.add_function(wrap_pyfunction!(describe, module)?)?;
    module.add_function(wrap_pyfunction!(set_window, module)?)?;
    module.add_function(wrap_pyfunction!(enter_user_namespace, module)?)?;
    module.add_function(wrap_pyfunction!(join_user_namespace, module)?)?;
    module.add_function(wrap_pyfunction!(remove_groups_left_behind, module)?)?;
    module.add_function(wrap_pyfunction!(start_time, module)?)?;
    module.add_function(wrap_pyfunction!(probe, module)?)?;
    Ok(())
}
