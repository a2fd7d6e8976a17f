//! What root file systems are stacked from, for `dissolver._core.layer`.

use std::ffi::OsString;
use std::path::PathBuf;

use dissolver_layer::{LayerError, LowerForm, Sample};
use dissolver_sandbox::probe::{Trial, image_refusal};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// One read-only part of a root file system: a directory, or an image with its devices.
#[pyclass(frozen, eq, hash, module = "dissolver._core.layer")]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lower {
    directory: Option<PathBuf>,
    erofs: Option<PathBuf>,
    devices: Vec<PathBuf>,
}

#[pymethods]
impl Lower {
    #[getter]
    fn directory(&self) -> Option<OsString> {
        self.directory.clone().map(OsString::from)
    }

    #[getter]
    fn erofs(&self) -> Option<OsString> {
        self.erofs.clone().map(OsString::from)
    }

    #[getter]
    fn devices(&self) -> Vec<OsString> {
        self.devices.iter().cloned().map(OsString::from).collect()
    }

    fn __repr__(&self) -> String {
        match (&self.directory, &self.erofs) {
            (Some(path), _) => format!("Lower(directory='{}')", path.display()),
            (_, Some(path)) => format!("Lower(erofs='{}')", path.display()),
            _ => "Lower()".to_owned(),
        }
    }
}

impl From<dissolver_layer::Lower> for Lower {
    fn from(lower: dissolver_layer::Lower) -> Lower {
        match lower {
            dissolver_layer::Lower::Directory(path) => Lower {
                directory: Some(path),
                erofs: None,
                devices: Vec::new(),
            },
            dissolver_layer::Lower::Image { image, devices } => Lower {
                directory: None,
                erofs: Some(image),
                devices,
            },
        }
    }
}

/// Reads how layers are to be mounted; `None` means that trying decides.
pub fn parse_form(text: &str) -> PyResult<Option<LowerForm>> {
    match text {
        "auto" => Ok(None),
        "erofs" => Ok(Some(LowerForm::Image)),
        "directory" => Ok(Some(LowerForm::Directory)),
        _ => Err(PyValueError::new_err(format!(
            "`{text}` is no form of layers: `auto`, `erofs` or `directory`"
        ))),
    }
}

/// Says why layers of this store cannot be mounted in place; an empty text if they can.
///
/// Tries it, which takes half a millisecond.
pub fn refusal(layers: &dissolver_layer::Layers) -> Result<String, LayerError> {
    if layers.uses_user_attributes() {
        return Ok("a user namespace cannot mount layers in place".to_owned());
    }
    let refusal = refusal_of(&layers.sample(false)?);
    if refusal.is_empty() {
        return Ok(refusal);
    }
    // A crash of the machine may have left a sample without its content.
    Ok(refusal_of(&layers.sample(true)?))
}

fn refusal_of(sample: &Sample) -> String {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    image_refusal(&Trial {
        image: text(&sample.image),
        devices: vec![text(&sample.device)],
        name: sample.name,
        content: sample.content,
    })
}
