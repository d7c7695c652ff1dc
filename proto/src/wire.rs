//! The generated code. Only conversions in this crate and the RPC edges of
//! agent and coordinator name anything in here.
#![expect(
    unused_qualifications,
    missing_debug_implementations,
    clippy::allow_attributes,
    reason = "generated"
)]

tonic::include_proto!("quaymaster.agent.v1");
