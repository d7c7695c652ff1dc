//! What the coordinator and its agents say to each other.
//!
//! `wire` holds the generated code, and nothing but conversions and RPC edges
//! names it. Everything else is the words both sides share, each parsed once:
//! names and ids (`name`, `container_name`, `id`), what a container and a node
//! are (`words`, `container`, `node`), what an agent is asked (`act`, `job`, `backup`) and
//! what it answers (`health`, `database`, `footing`, `refusal`), who drives (`lease`), what may run (`floor`),
//! and who is calling (`peer`).
//! Nothing of that knows a clock, a disk or a network.
//!
//! Both sides also send traces alike: what their spans are called (`telemetry`),
//! how a trace crosses the wire (`trace_context`), and, the one effect in this
//! crate, the way of spans to a collector (`telemetry::Pipeline`).

pub mod act;
pub mod backup;
mod causes;
pub mod container;
pub mod container_name;
pub mod database;
pub mod floor;
pub mod footing;
pub mod health;
pub mod id;
pub mod image;
pub mod invalid;
pub mod job;
pub mod lease;
pub mod mysql_version;
pub mod name;
pub mod node;
pub mod peer;
pub mod postgres_version;
pub mod preview;
pub mod refusal;
pub mod storage;
pub mod telemetry;
mod text;
pub mod trace_context;
pub mod wire;
pub mod words;

pub use act::{Act, ActOutcome, How};
pub use causes::in_a_line;
pub use container::{ContainerState, ContainerStatus, RestartPolicy};
pub use floor::{Below, Floor};
pub use id::{
    ContainerId, Epoch, FileDigest, ImageDigest, ImageId, PlanDigest, RunId, SpecDigest, StepNumber,
};
pub use invalid::InvalidField;
pub use lease::Lease;
pub use name::{ClusterName, NodeName};
pub use peer::{Peer, Role};
pub use refusal::{Reason, Refusal};
pub use words::{Component, Generation, Mode, MountCopy, PortMove};

/// The port an agent listens on unless its agent.yaml says otherwise.
pub const DEFAULT_PORT: u16 = 9643;
