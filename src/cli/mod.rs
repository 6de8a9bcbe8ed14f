//! One file per subcommand.
pub mod bench;
pub mod eval;

/// Parses the arguments, runs the subcommand, and turns its outcome into an exit code.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
