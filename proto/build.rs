//! Compiles the schema without a system `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=schema");
    let files = protox::Compiler::new(["schema"])?
        .include_source_info(true)
        .include_imports(true)
        .open_files(["quaymaster/agent/v1/agent.proto", "quaymaster/agent/v1/refusal.proto"])?
        .file_descriptor_set();
    tonic_prost_build::configure().build_transport(false).compile_fds(files)?;
    Ok(())
}
