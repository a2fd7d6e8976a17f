//! What the tests of copies share: a context, a store, and plans as text.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use dissolver_tree::{IgnoreRules, ScanOptions, Tree};

use crate::copy_error::CopyError;
use crate::copy_mode::ModeChange;
use crate::copy_plan::{CopyPart, CopyPlan, CopyRequest, Planned, What};
use crate::copy_sources::CopySource;
use crate::layers::{Layers, LayersOptions};
use crate::{DiffId, Entry, Interrupt, Kind, LayerInfo, Origin, View};

/// A store, a context directory beside it, and layers to copy onto.
pub(crate) struct Scene {
    pub directory: tempfile::TempDir,
    pub layers: Layers,
}

impl Scene {
    pub fn new() -> Scene {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("context")).unwrap();
        let layers =
            Layers::open(&directory.path().join("store"), LayersOptions::default()).unwrap();
        Scene { directory, layers }
    }

    pub fn context(&self) -> std::path::PathBuf {
        self.directory.path().join("context")
    }

    pub fn file(&self, path: &str, content: &str) {
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        set_mode(&path, 0o644);
    }

    pub fn tree(&self) -> Origin {
        self.tree_without(&[])
    }

    pub fn tree_without(&self, patterns: &[&str]) -> Origin {
        let rules = IgnoreRules::new(patterns).unwrap();
        let options = ScanOptions {
            rules,
            stat_cache: Some(self.directory.path().join("stat")),
        };
        Origin::Tree(Arc::new(
            Tree::scan(&self.context(), options, &|| false).unwrap(),
        ))
    }

    /// A layer of these entries; files hold their own path.
    pub fn layer(&self, entries: &[Entry]) -> DiffId {
        let mut writer = self.layers.writer(Interrupt::default()).unwrap();
        for entry in entries {
            if entry.kind == Kind::File && entry.hard_link.is_none() {
                let mut entry = entry.clone();
                entry.size = entry.path.len() as u64;
                writer.add_file(&entry, &mut entry.path.as_slice()).unwrap();
            } else {
                writer.add_entry(entry).unwrap();
            }
        }
        writer.finish().unwrap().diff_id
    }

    pub fn view(&self, layers: &[DiffId]) -> View {
        self.layers.view(layers).unwrap()
    }

    /// The plan as one line for each entry: path, kind, mode, owner, and what it is.
    pub fn plan(
        &self,
        base: &View,
        sources: &[&str],
        destination: &str,
    ) -> Result<Vec<String>, String> {
        let plan = plan(base, self.tree(), &request(sources, destination));
        plan.map(|plan| lines(&plan))
            .map_err(|error| format!("{}: {error}", error.kind()))
    }

    pub fn write(&self, plan: &CopyPlan) -> LayerInfo {
        plan.write(&self.layers, None, &Interrupt::default())
            .unwrap()
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A copy from one origin.
pub(crate) struct Request {
    pub sources: Vec<CopySource>,
    pub destination: Vec<u8>,
    pub owner: Option<(u32, u32)>,
    pub keeps_owner: bool,
    pub mode: Option<ModeChange>,
    pub excludes: IgnoreRules,
    pub is_verbatim: bool,
}

impl Request {
    pub fn part(&self, origin: Origin) -> CopyPart {
        CopyPart {
            origin,
            sources: self.sources.clone(),
            excludes: self.excludes.clone(),
            keeps_owner: self.keeps_owner,
            is_verbatim: self.is_verbatim,
        }
    }

    pub fn with(&self, parts: Vec<CopyPart>) -> CopyRequest {
        CopyRequest {
            parts,
            destination: self.destination.clone(),
            owner: self.owner,
            mode: self.mode.clone(),
            new_directory_mtime_ns: 7,
        }
    }
}

pub(crate) fn request(sources: &[&str], destination: &str) -> Request {
    let source = |source: &&str| CopySource {
        pattern: source.as_bytes().to_vec(),
        pivot: None,
    };
    Request {
        sources: sources.iter().map(source).collect(),
        destination: destination.as_bytes().to_vec(),
        owner: None,
        keeps_owner: false,
        mode: None,
        excludes: IgnoreRules::default(),
        is_verbatim: false,
    }
}

pub(crate) fn plan(base: &View, origin: Origin, request: &Request) -> Result<CopyPlan, CopyError> {
    let part = request.part(origin);
    CopyPlan::for_copy(base, request.with(vec![part]))
}

pub(crate) fn directory(path: &str, mode: u32) -> Entry {
    Entry::new(path, Kind::Directory, mode)
}

pub(crate) fn file(path: &str) -> Entry {
    Entry::new(path, Kind::File, 0o644)
}

pub(crate) fn link(path: &str, target: &str) -> Entry {
    let mut entry = Entry::new(path, Kind::Symlink, 0o777);
    entry.link_target = Some(target.as_bytes().to_vec());
    entry
}

pub(crate) fn lines(plan: &CopyPlan) -> Vec<String> {
    let describe = |planned: &Planned| {
        let facts = plan.facts(planned);
        let what = match planned.what {
            What::Made => "made",
            What::Kept(_) => "kept",
            What::Copied(_) => "copied",
        };
        let link = facts.hard_link.map_or(String::new(), |link| {
            format!(" = {}", String::from_utf8_lossy(link))
        });
        let path = String::from_utf8_lossy(facts.path).into_owned();
        let (uid, gid) = facts.owner;
        format!(
            "{path} {} {:o} {uid}:{gid} {what}{link}",
            facts.kind.name(),
            facts.mode
        )
    };
    plan.entries.iter().map(describe).collect()
}

pub(crate) fn digest(plan: &CopyPlan) -> [u8; 32] {
    plan.digest(&Interrupt::default()).unwrap()
}
