//! Containers' processes: what is wanted becomes a plan, the plan becomes a process.
//!
//! [`spec`] is what the caller wants, [`plan`] turns it into [`ops`], which are
//! values; `prepare` turns those into steps for the child, and [`process`] is what
//! comes of them.
#![forbid(unsafe_code)]

mod aside;
pub mod capabilities;
mod describe;
pub mod device_rules;
mod devices;
pub mod enter;
mod first;
pub mod host;
pub mod identity;
pub mod idmap;
mod images;
mod life;
mod mounts;
pub mod ops;
mod overlay;
pub mod plan;
mod prepare;
pub mod probe;
pub mod process;
pub mod report;
pub mod spec;
pub mod supervise;
mod targets;
pub mod terminal;
