//! `dissolver._core`: the thin boundary between Python and the Rust crates.
//!
//! Nothing here decides anything: arguments become newtypes, results become
//! frozen classes, failures become one exception, and the GIL is released
//! around work.
#![forbid(unsafe_code)]

mod compress;
mod copy;
mod error;
mod files;
mod interruptible;
mod layer;
mod lower;
mod paths;
mod sandbox;
mod tree;
mod view;

use pyo3::prelude::*;

/// The compiled core of dissolver.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("version", env!("CARGO_PKG_VERSION"))?;
    module.add("CoreError", module.py().get_type::<error::CoreError>())?;
    for (name, register) in [
        (
            "tree",
            tree::register as fn(&Bound<'_, PyModule>) -> PyResult<()>,
        ),
        ("layer", layer::register),
        ("copy", copy::register),
        ("compress", compress::register),
        ("files", files::register),
        ("sandbox", sandbox::register),
    ] {
        let child = PyModule::new(module.py(), name)?;
        register(&child)?;
        // PyO3 lists what was added; the stubs say it, and nobody imports a star.
        child.delattr("__all__")?;
        module.add_submodule(&child)?;
        // `import dissolver._core.layer` looks the name up here; a compiled
        // module has no directory that the import system could search.
        module
            .py()
            .import("sys")?
            .getattr("modules")?
            .set_item(format!("dissolver._core.{name}"), &child)?;
    }
    module.delattr("__all__")
}
