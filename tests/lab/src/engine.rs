//! A stand-in container engine: the part of the Docker Engine API (1.41) that
//! the agent uses, on a unix socket, with ordinary processes for containers.
//!
//! `reference`, `image`, `container`, `mount`, `port`, `policy`, `filter`,
//! `registry`, `fault`, `inspect` and `refusal` are values and decisions;
//! `store`, `log`, `process` touch the machine; `fleet` and `life` hold the
//! containers; `event` tells of them; `pull` and `http` answer requests.
//!
//! What Docker answers was seen on Docker 20.10.24; the suite `tests/engine.rs`
//! runs on both engines.

mod container;
mod event;
mod fault;
mod filter;
mod fleet;
mod http;
mod image;
mod inspect;
mod life;
mod log;
mod mount;
mod policy;
mod port;
mod process;
mod pull;
mod reference;
mod refusal;
mod registry;
mod serve;
mod store;

pub use fault::Faults;
pub use image::{Image, ImageConfig, StoredImage};
pub use registry::{RegistryCredentials, RegistryEntry, RegistryFault, RegistryFile};
pub use serve::{
    EngineError, EngineOptions, load_image, power_off, serve, serve_until_signalled, set_faults,
};
pub use store::StoreError;
