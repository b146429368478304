//! The program: flags in, an exit code out. Everything else is the library's.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
