//! The generated code. Only conversions in this crate and the RPC edges of
//! agent and coordinator name anything in here.
#![expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::too_many_lines,
    reason = "generated"
)]

tonic::include_proto!("quaymaster.agent.v1");
