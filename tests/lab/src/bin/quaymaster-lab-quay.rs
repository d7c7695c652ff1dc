//! The stand-in Quay, Clair or builder as a container's first process.
fn main() -> std::process::ExitCode {
    quaymaster_lab::standin::main()
}
