//! The `quaymaster` command.

fn main() -> std::process::ExitCode {
    quaymaster::main()
}
