//! What an owner asked of a container, and what of it the next one gets.
//!
//! An engine shows a container's own settings and its image's mixed together.
//! `difference` takes the image's out again; what is left is the owner's
//! `spec`, and `carry_over` makes the next container's out of it. Nothing here
//! talks to an engine: `engine::inspect` translates.

pub mod carry_over;
mod difference;
pub mod spec;

pub use self::carry_over::{CarryOver, Demands, Finding, Reason, carry_over};
pub(crate) use self::difference::owners_part;
pub use self::spec::{ContainerSpec, ImageDefaults};
