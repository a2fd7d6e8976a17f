//! Random changes through a real overlay mount: the layer made of them shows what the mount showed.

use std::collections::BTreeMap;
use std::io::Seek as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use proptest::prelude::*;
use rustix::fs::{FileType, Gid, Uid};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::*;
use crate::layers::LayersOptions;
use crate::limits::Limits;
use crate::marks::is_reserved;
use crate::xattr::Holder;

/// One thing that a step may do to a root file system; what cannot be done is not.
#[derive(Debug, Clone)]
enum Change {
    Write(String, Vec<u8>),
    Append(String, u8),
    Directory(String),
    Remove(String),
    Replace(String, Vec<u8>),
    Rename(String, String),
    Symlink(String, String),
    Link(String, String),
    Mode(String, u32),
    Owner(String, u32, u32),
    Attribute(String, u8),
    /// Sets an attribute that overlayfs reserves.
    Mark(String, &'static str, u8),
    Time(String, i64),
    Pipe(String),
    /// Copies a file up and leaves it as it was.
    Touch(String),
}

fn a_path() -> impl Strategy<Value = String> {
    // Few names, so that changes meet each other.
    let name = prop::sample::select(vec!["a", "b", "a-b", "c"]);
    prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"))
}

fn a_mark() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "user.overlay.opaque",
        "user.overlay.overlay.opaque",
        "user.overlay.whiteout",
        "user.overlay.redirect",
        "user.overlay.metacopy",
        "trusted.overlay.opaque",
        "trusted.overlay.overlay.opaque",
        "trusted.overlay.whiteout",
        "trusted.overlay.redirect",
        "trusted.overlay.metacopy",
    ])
}

fn a_change() -> impl Strategy<Value = Change> {
    let content = || prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        3 => (a_path(), content()).prop_map(|(path, content)| Change::Write(path, content)),
        1 => (a_path(), any::<u8>()).prop_map(|(path, byte)| Change::Append(path, byte)),
        3 => a_path().prop_map(Change::Directory),
        2 => a_path().prop_map(Change::Remove),
        1 => (a_path(), content()).prop_map(|(path, content)| Change::Replace(path, content)),
        2 => (a_path(), a_path()).prop_map(|(from, to)| Change::Rename(from, to)),
        1 => (a_path(), a_path()).prop_map(|(path, target)| Change::Symlink(path, target)),
        2 => (a_path(), a_path()).prop_map(|(from, to)| Change::Link(from, to)),
        1 => (a_path(), 0_u32..0o10000).prop_map(|(path, mode)| Change::Mode(path, mode)),
        1 => (a_path(), 0_u32..3, 0_u32..3).prop_map(|(path, uid, gid)| Change::Owner(path, uid, gid)),
        1 => (a_path(), any::<u8>()).prop_map(|(path, value)| Change::Attribute(path, value)),
        1 => (a_path(), a_mark(), prop::sample::select(vec![b'x', b'y']))
            .prop_map(|(path, name, value)| Change::Mark(path, name, value)),
        1 => (a_path(), 0_i64..5_000_000_000).prop_map(|(path, time)| Change::Time(path, time)),
        1 => a_path().prop_map(Change::Pipe),
        1 => a_path().prop_map(Change::Touch),
    ]
}

fn apply(root: &Path, change: &Change) {
    let at = |path: &String| root.join(path);
    // Opening a pipe would wait for somebody at its other end.
    let is_pipe = |path: &String| {
        use std::os::unix::fs::FileTypeExt as _;
        fs::metadata(at(path)).is_ok_and(|facts| facts.file_type().is_fifo())
    };
    let is_real = |path: &String| {
        !is_pipe(path) && fs::symlink_metadata(at(path)).is_ok_and(|facts| !facts.is_symlink())
    };
    // Failures are part of the game: the same change may be impossible here.
    let _ = match change {
        Change::Write(path, content) if !is_pipe(path) => fs::write(at(path), content),
        Change::Append(path, byte) if !is_pipe(path) => {
            fs::read(at(path)).and_then(|mut content| {
                content.push(*byte);
                fs::write(at(path), content)
            })
        }
        Change::Directory(path) => fs::create_dir_all(at(path)),
        Change::Remove(path) => fs::remove_file(at(path)).or_else(|_| fs::remove_dir_all(at(path))),
        Change::Replace(path, content) => {
            // There may be nothing to replace.
            let _ = fs::remove_dir_all(at(path));
            fs::create_dir(at(path)).and_then(|()| fs::write(at(path).join("new"), content))
        }
        Change::Rename(from, to) => fs::rename(at(from), at(to)),
        Change::Symlink(path, target) => symlink(target, at(path)),
        Change::Link(from, to) => fs::hard_link(at(from), at(to)),
        Change::Mode(path, mode) if is_real(path) => {
            fs::set_permissions(at(path), fs::Permissions::from_mode(*mode))
        }
        Change::Owner(path, uid, gid) => {
            std::os::unix::fs::lchown(at(path), Some(*uid), Some(*gid))
        }
        Change::Attribute(path, value) if is_real(path) => {
            let file = File::open(at(path));
            file.and_then(|file| Ok(Holder::Open(file.as_fd()).set(b"user.test", &[*value])?))
        }
        Change::Mark(path, name, value) if is_real(path) => {
            let file = File::open(at(path));
            file.and_then(|file| Ok(Holder::Open(file.as_fd()).set(name.as_bytes(), &[*value])?))
        }
        Change::Time(path, time) if is_real(path) => {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(*time as u64);
            File::open(at(path)).and_then(|file| file.set_modified(time))
        }
        Change::Pipe(path) => {
            let made = rustix::fs::mknodat(CWD, at(path), FileType::Fifo, Mode::RUSR, 0);
            made.map_err(Into::into)
        }
        Change::Touch(path) if is_real(path) => fs::metadata(at(path)).and_then(|facts| {
            let owner = (Uid::from_raw(facts.uid()), Gid::from_raw(facts.gid()));
            rustix::fs::chown(at(path), Some(owner.0), Some(owner.1))?;
            fs::set_permissions(at(path), facts.permissions())
        }),
        _ => Ok(()),
    };
}

/// Everything about a file that a layer keeps; times of directories are not compared.
#[derive(Debug, PartialEq)]
struct Facts {
    mode: u32,
    owner: (u32, u32),
    mtime: Option<(i64, i64)>,
    content: Option<Vec<u8>>,
    target: Option<PathBuf>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The least of the names of the same inode.
    inode: PathBuf,
}

impl Facts {
    /// What cannot change because another name of the file comes or goes.
    fn without_names(&self) -> impl PartialEq + '_ {
        let times_and_owners = (self.mode, self.owner, self.mtime);
        (times_and_owners, &self.content, &self.target, &self.xattrs)
    }
}

fn snapshot(root: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut all = BTreeMap::new();
    let mut inodes = std::collections::HashMap::new();
    let mut pending = vec![PathBuf::new()];
    let mut paths = Vec::new();
    while let Some(path) = pending.pop() {
        if fs::symlink_metadata(root.join(&path)).unwrap().is_dir() {
            for entry in fs::read_dir(root.join(&path)).unwrap() {
                pending.push(path.join(entry.unwrap().file_name()));
            }
        }
        paths.push(path);
    }
    paths.sort();
    for path in paths {
        let full = root.join(&path);
        let facts = fs::symlink_metadata(&full).unwrap();
        let is_directory = facts.is_dir();
        let first = inodes
            .entry((facts.dev(), facts.ino()))
            .or_insert_with(|| path.clone());
        let above = File::open(full.parent().unwrap()).unwrap();
        let name = full.file_name().unwrap().as_bytes();
        let xattrs = Holder::Named(above.as_fd(), name).read_all().unwrap();
        let facts = Facts {
            mode: facts.mode(),
            owner: (facts.uid(), facts.gid()),
            mtime: (!is_directory).then(|| (facts.mtime(), facts.mtime_nsec())),
            content: facts.is_file().then(|| fs::read(&full).unwrap()),
            target: facts.is_symlink().then(|| fs::read_link(&full).unwrap()),
            xattrs: xattrs
                .into_iter()
                .filter(|(name, _)| is_kept(name))
                .collect(),
            // overlayfs numbers the names of a link that it copied up as if they were several.
            inode: if !facts.is_file() {
                path.clone()
            } else {
                first.clone()
            },
        };
        all.insert(path, facts);
    }
    all
}

/// The attributes beneath a mount that overlayfs reserves, as a program sees them.
fn marks_in(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for path in snapshot(root).into_keys() {
        let full = root.join(&path);
        let above = File::open(full.parent().unwrap()).unwrap();
        let name = full.file_name().unwrap().as_bytes();
        let xattrs = Holder::Named(above.as_fd(), name).read_all().unwrap();
        let reserved = xattrs.into_iter().filter(|(name, _)| is_reserved(name));
        found.extend(reserved.map(|(name, _)| (path.clone(), name)));
    }
    found
}

/// A directory with an overlay mounted in it while the value lives.
struct Overlay {
    place: PathBuf,
}

impl Overlay {
    fn mount(place: &Path, lowers: &[PathBuf], userxattr: bool) -> Option<Overlay> {
        for name in ["upper", "work", "merged"] {
            fs::create_dir_all(place.join(name)).unwrap();
            fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let lowers: Vec<String> = lowers
            .iter()
            .rev()
            .map(|path| path.to_str().unwrap().to_owned())
            .collect();
        let options = format!(
            "lowerdir={},upperdir={place}/upper,workdir={place}/work,index=off,metacopy=off,{}",
            lowers.join(":"),
            if userxattr {
                "userxattr"
            } else {
                "redirect_dir=off"
            },
            place = place.to_str().unwrap(),
        );
        let options = std::ffi::CString::new(options).unwrap();
        let mounted = mount(
            "overlay",
            place.join("merged"),
            "overlay",
            MountFlags::empty(),
            &*options,
        );
        match mounted {
            Ok(()) => Some(Overlay {
                place: place.to_owned(),
            }),
            Err(error) => {
                eprintln!("skipped: no overlay can be mounted here: {error}");
                None
            }
        }
    }

    fn merged(&self) -> PathBuf {
        self.place.join("merged")
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        unmount(self.merged(), UnmountFlags::DETACH).unwrap();
    }
}

/// The tree that a view shows, through an extraction of it.
fn extracted(layers: &Layers, ids: &[DiffId], place: &Path) -> BTreeMap<PathBuf, Facts> {
    layers.extract(ids, place, &Interrupt::default()).unwrap();
    snapshot(place)
}

/// Compares the view with an extraction of it, name by name.
fn assert_view_is(layers: &Layers, ids: &[DiffId], tree: &BTreeMap<PathBuf, Facts>) {
    let view = layers.view(ids).unwrap();
    let mut seen = Vec::new();
    view.walk(&mut |found| {
        let path = crate::os_path(&found.entry.path);
        let facts = &tree[&path];
        assert_eq!(found.entry.mode, facts.mode & 0o7777, "{path:?}");
        assert_eq!((found.entry.uid, found.entry.gid), facts.owner, "{path:?}");
        assert_eq!(
            view.lookup(&found.entry.path).unwrap().as_ref(),
            Some(&found)
        );
        if let Some(content) = &facts.content {
            assert_eq!(&view.read(&found.entry.path, 1 << 20).unwrap(), content);
        }
        seen.push(path);
        Ok(())
    })
    .unwrap();
    assert_eq!(seen.len(), tree.len());
}

/// The bytes that `export` writes.
fn tar(export: impl FnOnce(BorrowedFd<'_>) -> Result<(), LayerError>) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    export(file.as_fd()).unwrap();
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Compares the list of changes with what became different between two trees.
///
/// More may be listed as changed: what was written again with the same result.
fn assert_changes(
    before: &BTreeMap<PathBuf, Facts>,
    after: &BTreeMap<PathBuf, Facts>,
    listed: &[crate::Change],
) {
    use crate::ChangeKind::{Added, Changed, Deleted};
    let is_directory = |path: &Path| after.get(path).is_some_and(|facts| facts.mode >> 12 == 4);
    let root = Path::new("");
    let gone = before
        .keys()
        .filter(|path| !after.contains_key(*path) && is_directory(path.parent().unwrap_or(root)));
    let different = after
        .iter()
        .filter_map(|(path, facts)| match before.get(path) {
            None => Some((path.clone(), Added)),
            Some(was) if was.without_names() != facts.without_names() => {
                Some((path.clone(), Changed))
            }
            Some(_) => None,
        });
    let mut expected: BTreeMap<PathBuf, _> = different.collect();
    expected.extend(gone.map(|path| (path.clone(), Deleted)));
    for path in expected.keys().cloned().collect::<Vec<_>>() {
        for above in path.ancestors().skip(1) {
            expected.entry(above.to_owned()).or_insert(Changed);
        }
    }
    expected.remove(root);
    let found: BTreeMap<PathBuf, _> = listed
        .iter()
        .map(|change| (crate::os_path(&change.path), change.kind))
        .collect();
    assert_eq!(found.len(), listed.len(), "a path is listed twice");
    for (path, kind) in &expected {
        assert_eq!(found.get(path), Some(kind), "{path:?} of {listed:?}");
    }
    for (path, kind) in found {
        assert!(
            expected.contains_key(&path) || kind == Changed,
            "{path:?} of {listed:?}"
        );
    }
}

fn run(steps: &[Vec<Change>], userxattr: bool) {
    let directory = tempfile::tempdir().unwrap();
    let options = LayersOptions {
        userxattr,
        fsync: false,
    };
    let layers = Layers::open(&directory.path().join("store"), options).unwrap();
    let interrupt = Interrupt::default();
    let mut ids: Vec<DiffId> = Vec::new();
    let mut trees = BTreeMap::new();
    for (number, changes) in steps.iter().enumerate() {
        let place = directory.path().join(format!("step{number}"));
        let upper = place.join("upper");
        let before = if ids.is_empty() {
            fs::create_dir_all(&upper).unwrap();
            fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)).unwrap();
            // Without a mount between, a program's attributes would be overlayfs's own.
            let changes = changes.iter();
            changes
                .filter(|change| !matches!(change, Change::Mark(..)))
                .for_each(|change| apply(&upper, change));
            snapshot(&upper)
        } else {
            let lowers = layers.lower_directories(&ids, &interrupt).unwrap();
            let Some(overlay) = Overlay::mount(&place, &lowers, userxattr) else {
                return;
            };
            changes
                .iter()
                .for_each(|change| apply(&overlay.merged(), change));
            snapshot(&overlay.merged())
        };
        let listed = layers.changes(&upper, &ids, &[], &interrupt).unwrap();
        let exported = tar(|out| layers.export_container(&ids, &upper, out, &interrupt));
        let info = layers.commit_upper(&upper, &ids, &[], &interrupt).unwrap();
        assert!(!upper.exists());
        ids.push(info.diff_id);
        layers.verify(info.diff_id, &interrupt).unwrap();
        let source = Box::new(std::io::Cursor::new(exported));
        let whole = layers.ingest(source, None, &Limits::default(), &interrupt);
        let whole = [whole.unwrap().diff_id];
        let place = directory.path().join(format!("exported{number}"));
        assert_eq!(
            before,
            extracted(&layers, &whole, &place),
            "exported in step {number}"
        );
        layers.remove(&whole).unwrap();
        assert_changes(&trees, &before, &listed);

        let after = extracted(
            &layers,
            &ids,
            &directory.path().join(format!("tree{number}")),
        );
        assert_eq!(before, after, "step {number}");
        trees = after;
        assert_view_is(&layers, &ids, &trees);
        // The upper was adopted as the extracted layer; extracted anew it mounts as the same.
        let adopted = layers.directory(info.diff_id).join("root");
        for _ in 0..2 {
            let lowers = layers.lower_directories(&ids, &interrupt).unwrap();
            let check = directory.path().join(format!("check{number}"));
            if let Some(overlay) = Overlay::mount(&check, &lowers, userxattr) {
                assert_eq!(
                    before,
                    snapshot(&overlay.merged()),
                    "mounted after step {number}"
                );
                assert_eq!(marks_in(&overlay.merged()), [], "after step {number}");
            }
            fs::remove_dir_all(&adopted).unwrap();
            fs::remove_dir_all(&check).unwrap();
        }
    }
    assert!(layers.settle(std::time::Duration::from_secs(60)));
    assert_eq!(
        fs::read_dir(directory.path().join("store/tmp"))
            .unwrap()
            .count(),
        0
    );
}

fn steps() -> impl Strategy<Value = Vec<Vec<Change>>> {
    prop::collection::vec(prop::collection::vec(a_change(), 1..25), 1..4)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_layer_of_changes_shows_what_the_mount_showed(steps in steps(), userxattr in any::<bool>()) {
        if is_root() {
            run(&steps, userxattr);
        } else {
            eprintln!("skipped: only root can mount and own files");
        }
    }
}

#[path = "diff_case_tests.rs"]
mod cases;
