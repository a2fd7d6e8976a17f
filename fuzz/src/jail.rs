//! A directory on a tmpfs to extract into, with a canary beside it that must stay as it is.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dissolver_layer::{DiffId, Interrupt, Layers, LayersOptions, LowerForm};

/// Where the jail is made: memory, as thousands of trees are made and removed in it.
const TMPFS: &str = "/dev/shm";

/// A store, a place to extract to, and what surrounds them.
///
/// ```text
/// /dev/shm/dissolver-fuzz-<pid>/
/// ├── canary/secret
/// └── one/two/
///     ├── canary/secret
///     ├── out/               what is extracted
///     └── store/
/// ```
#[derive(Debug)]
pub struct Jail {
    top: PathBuf,
    /// The store that layers are kept in.
    pub layers: Layers,
    /// What the surroundings looked like.
    before: Vec<(PathBuf, Facts)>,
}

/// What changes when something is written into a directory or a file.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    mode: u32,
    owner: (u32, u32),
    links: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Jail {
    /// Makes the jail of this process anew.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    #[must_use]
    pub fn new() -> Jail {
        let top = Path::new(TMPFS).join(format!("dissolver-fuzz-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        let inner = top.join("one/two");
        fs::create_dir_all(&inner).expect("a jail");
        for place in [&top, &inner] {
            fs::create_dir(place.join("canary")).expect("a canary");
            fs::write(place.join("canary/secret"), "alive").expect("a canary");
        }
        symlink(top.join("canary"), top.join("one/canary")).expect("a link to a canary");
        let options = LayersOptions {
            userxattr: false,
            fsync: false,
        };
        let layers = Layers::open(&inner.join("store"), options).expect("a store");
        let form = layers.decide(|| Ok::<_, ()>(LowerForm::Image));
        assert_eq!(form, Ok(LowerForm::Image), "nobody decided before");
        let mut jail = Jail {
            top,
            layers,
            before: Vec::new(),
        };
        jail.before = jail.look();
        jail
    }

    /// The place to extract to.
    #[must_use]
    pub fn out(&self) -> PathBuf {
        self.top.join("one/two/out")
    }

    /// An absolute path to a canary, for links that lead there.
    #[must_use]
    pub fn canary(&self) -> PathBuf {
        self.top.join("canary")
    }

    fn look(&self) -> Vec<(PathBuf, Facts)> {
        let places = [
            "canary",
            "canary/secret",
            "one",
            "one/canary",
            "one/two/canary",
            "one/two/canary/secret",
        ];
        let look = |place: &&str| {
            let path = self.top.join(place);
            let facts = fs::symlink_metadata(&path).expect("the surroundings exist");
            let facts = Facts {
                mode: facts.mode(),
                owner: (facts.uid(), facts.gid()),
                links: facts.nlink(),
                size: facts.size(),
                mtime: (facts.mtime(), facts.mtime_nsec()),
                ctime: (facts.ctime(), facts.ctime_nsec()),
            };
            (path, facts)
        };
        places.iter().map(look).collect()
    }

    /// Asserts that nothing was written outside `out` and the store.
    ///
    /// # Panics
    ///
    /// If something was.
    pub fn assert_contained(&self) {
        assert_eq!(self.look(), self.before, "the surroundings changed");
        assert_eq!(names(&self.top), ["canary", "one"]);
        assert_eq!(names(&self.top.join("one")), ["canary", "two"]);
        let inner = names(&self.top.join("one/two"));
        assert!(
            inner
                .iter()
                .all(|name| matches!(&**name, "canary" | "out" | "store")),
            "{inner:?}"
        );
        let store = names(&self.top.join("one/two/store"));
        let known = ["layers", "packs", "runtime", "tmp"];
        assert!(
            store.iter().all(|name| known.contains(&&**name)),
            "{store:?}"
        );
    }

    /// Removes what one round left.
    ///
    /// # Panics
    ///
    /// If the store does not let go of it.
    pub fn clear(&self, layers: &[DiffId]) {
        if self.out().exists() {
            fs::remove_dir_all(self.out()).expect("what was extracted can be removed");
        }
        self.layers.remove(layers).expect("layers can be removed");
        let store = self.top.join("one/two/store");
        let left = || ["tmp", "packs", "layers"].map(|name| names(&store.join(name)));
        // Large directories go behind the caller's back.
        let patience = Instant::now() + Duration::from_secs(10);
        while left().concat() != [""; 0] && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(left().concat(), [""; 0], "the store is empty again");
    }

    /// A flag that nobody sets.
    #[must_use]
    pub fn interrupt(&self) -> Interrupt {
        Interrupt::default()
    }
}

impl Default for Jail {
    fn default() -> Jail {
        Jail::new()
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.top);
    }
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> = names
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// The paths of everything in `root`, the root itself as the empty one; links are not followed.
///
/// # Panics
///
/// If it cannot be listed.
#[must_use]
pub fn paths_in(root: &Path) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        if fs::symlink_metadata(&path).expect("it exists").is_dir() {
            let inside = fs::read_dir(&path).expect("it can be listed");
            pending.extend(inside.map(|entry| entry.expect("an entry").path()));
        }
        let relative = path.strip_prefix(root).expect("beneath the root");
        found.insert(relative.as_os_str().as_bytes().to_vec());
    }
    found
}
