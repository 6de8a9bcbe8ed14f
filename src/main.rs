//! Process entry, nothing else.

fn main() -> std::process::ExitCode {
    weir::cli::main()
}
