//! How a caller stops work that runs in another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::LayerError;

/// A flag that long work looks at between blocks of data and between entries.
///
/// Clones share the flag. What was half done is removed by the work itself, so a
/// caller that interrupts waits for it to return.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks everything that holds a clone to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Tells whether to go on.
    ///
    /// # Errors
    ///
    /// [`LayerError::Interrupted`] once [`Interrupt::set`] was called.
    pub fn check(&self) -> Result<(), LayerError> {
        if self.0.load(Ordering::Relaxed) {
            Err(LayerError::Interrupted)
        } else {
            Ok(())
        }
    }
}
