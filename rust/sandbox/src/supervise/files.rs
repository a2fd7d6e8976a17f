//! The files of a container that its supervisor reads and writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::log::KeptLog;
use crate::identity::start_time;
use crate::report::SandboxError;
use crate::spec::Spec;

/// The format of `supervise.json` and `state.json`.
const FORMAT: u32 = 1;

/// What a supervisor is told: `supervise.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supervision {
    /// Always 1.
    pub format: u32,
    /// The container's ID.
    pub id: String,
    /// Where clients attach.
    pub socket: PathBuf,
    /// Where output is kept.
    pub log: PathBuf,
    /// How much of it.
    pub kept_log: KeptLog,
    /// Where the state is told.
    pub state: PathBuf,
    /// Whether the program waits for the first client.
    pub waits_for_attach: bool,
    /// Whether standard input is open.
    pub keeps_stdin: bool,
    /// Whether the program has a terminal.
    pub terminal: bool,
    /// The signal that asks the program to end.
    pub stop_signal: i32,
    /// Programs around the container's life.
    pub hooks: Hooks,
}

/// Programs that are run on the host around the container's life.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// Before the program starts, when its namespaces exist.
    #[serde(default)]
    pub start: Vec<Hook>,
    /// After it ended.
    #[serde(default)]
    pub stop: Vec<Hook>,
    /// At the very end, if no client does it.
    #[serde(default)]
    pub r#final: Vec<Hook>,
}

/// One program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its arguments; `{pid}` and `{netns}` are replaced.
    pub argv: Vec<String>,
    /// What it reads; `{pid}` and `{netns}` are replaced.
    #[serde(default)]
    pub stdin: Option<String>,
    /// Whether it keeps running beside the container.
    #[serde(default)]
    pub background: bool,
}

/// Reads `supervise.json` and `spec.json` of a container.
///
/// # Errors
///
/// [`SandboxError::BadContainer`] or [`SandboxError::BadSpec`].
pub fn read_supervision(directory: &Path) -> Result<(Supervision, Spec), SandboxError> {
    let file = directory.join("supervise.json");
    let supervision: Supervision =
        serde_json::from_slice(&read(&file)?).map_err(|error| bad(&file, &error.to_string()))?;
    if supervision.format != FORMAT {
        return Err(bad(
            &file,
            &format!(
                "its format is {}, this version knows {FORMAT}",
                supervision.format
            ),
        ));
    }
    let hooks = [
        &supervision.hooks.start,
        &supervision.hooks.stop,
        &supervision.hooks.r#final,
    ];
    if hooks.into_iter().flatten().any(|hook| hook.argv.is_empty()) {
        return Err(bad(&file, "a hook has no arguments"));
    }
    let spec = Spec::decode(&read(&directory.join("spec.json"))?)?;
    if spec.terminal != supervision.terminal {
        return Err(bad(
            &file,
            "it does not agree with `spec.json` about a terminal",
        ));
    }
    Ok((supervision, spec))
}

fn read(file: &Path) -> Result<Vec<u8>, SandboxError> {
    fs::read(file).map_err(|error| bad(file, &error.to_string()))
}

fn bad(file: &Path, reason: &str) -> SandboxError {
    SandboxError::BadContainer {
        file: file.display().to_string(),
        reason: reason.to_owned(),
    }
}

/// How far the container has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its program has not started.
    Created,
    /// Its program runs.
    Running,
    /// It is over.
    Exited,
}

/// A failure, as it is told to others.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    kind: &'static str,
    message: String,
    hint: Option<String>,
}

impl Fault {
    /// Takes what others have to know of a failure.
    #[must_use]
    pub fn of(error: &SandboxError) -> Fault {
        Fault {
            kind: error.kind(),
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct Identity {
    pid: u32,
    start_time: Option<u64>,
}

/// What others can know of the container: `state.json`.
#[derive(Debug, Clone, Serialize)]
pub struct State {
    format: u32,
    /// How far it has come.
    pub status: Status,
    /// The program's process ID while it is alive, else 0.
    pub pid: i32,
    supervisor: Identity,
    /// Nanoseconds since the epoch.
    pub started_at: Option<u64>,
    /// Nanoseconds since the epoch.
    pub finished_at: Option<u64>,
    /// The program's exit status.
    pub exit_code: Option<i32>,
    /// Why it never ran.
    pub error: Option<Fault>,
}

impl State {
    /// A container that was created by this process.
    #[must_use]
    pub fn new() -> State {
        let pid = std::process::id();
        State {
            format: FORMAT,
            status: Status::Created,
            pid: 0,
            supervisor: Identity {
                pid,
                start_time: start_time(pid as i32),
            },
            started_at: None,
            finished_at: None,
            exit_code: None,
            error: None,
        }
    }

    /// The state as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Every field is a number, a string or an option of one: there is nothing to fail on.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Replaces the file at once, so that readers see the old state or the new one.
    ///
    /// # Errors
    ///
    /// [`SandboxError::BadContainer`], for instance on a full disk; the old state stays.
    pub fn write(&self, file: &Path) -> Result<(), SandboxError> {
        let mut fresh = file.as_os_str().to_owned();
        fresh.push(".new");
        let write = || {
            fs::write(&fresh, self.to_json())?;
            fs::rename(&fresh, file)
        };
        write().map_err(|error: std::io::Error| bad(file, &error.to_string()))
    }
}

impl Default for State {
    fn default() -> State {
        State::new()
    }
}

/// The time in nanoseconds since the epoch.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
