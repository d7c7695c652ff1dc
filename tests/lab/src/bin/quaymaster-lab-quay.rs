//! The stand-in Quay as a container's first process.
fn main() -> std::process::ExitCode {
    quaymaster_lab::quay::main()
}
