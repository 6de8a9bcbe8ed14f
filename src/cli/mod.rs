//! The command line: one file per subcommand.
//!
//! In:  arguments and environment.
//! Out: data on standard output, messages on standard error, an [`exit::Exit`].
//! Holds: a panic ends with exit code 70 and prints a place in weir's source, nothing else (I7).
//! Does not know: how a room does its work.
pub mod args;
mod audit;
pub mod bench;
mod check;
mod cores;
pub mod eval;
mod event_file;
/// Exit codes, and why a command failed.
pub mod exit;
mod forget;
mod init;
mod labels;
mod model;
mod numbers;
pub mod out;
mod progress;
mod redact;
#[cfg(feature = "kafka")]
mod replay;
mod reveal;
mod run;
mod schema;
#[cfg(feature = "server")]
mod status;
mod summary;
pub mod test;
mod tune;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Audit, Cli, Color, Command, Model};
use exit::{Exit, Failure};

/// Parses the arguments, runs the subcommand, and turns its outcome into an exit code.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| tell_panic(panic.location())));
    cores::off();
    let cli = Cli::parse(); // a wrong command line ends here with exit code 2
    match cli.global.color {
        // The default looks at the terminal and at NO_COLOR.
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    match std::panic::catch_unwind(|| execute(&cli)) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(failure)) => {
            failure.print();
            failure.exit.into()
        }
        Err(_) => Exit::Bug.into(), // told by the hook
    }
}

/// Says where a panic was. Its message is not printed: an index or a slice that failed quotes the
/// text it failed on.
fn tell_panic(location: Option<&std::panic::Location<'_>>) {
    let place = match location {
        Some(at) => format!("{}:{}", at.file(), at.line()),
        None => "an unknown place".to_owned(),
    };
    out::message(&format!(
        "{}error:{:#} internal error at {place} (weir {}); please report it",
        out::ERROR,
        out::ERROR,
        crate::VERSION
    ));
}

fn execute(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Check(args) => check::execute(args),
        Command::Init(args) => init::execute(args),
        Command::Schema(args) => schema::execute(args),
        Command::Completions(args) => completions(args),
        Command::Man(args) => man(args),
        Command::Run(args) => run::execute(args, &cli.global),
        #[cfg(feature = "kafka")]
        Command::Replay(args) => replay::execute(args),
        #[cfg(not(feature = "kafka"))]
        Command::Replay(_) => Err(needs("kafka")),
        #[cfg(feature = "server")]
        Command::Status(args) => status::execute(args),
        #[cfg(not(feature = "server"))]
        Command::Status(_) => Err(needs("server")),
        Command::Audit(Audit::Report(args)) => audit::report(args),
        Command::Audit(Audit::Verify(args)) => audit::verify(args),
        Command::Audit(Audit::Keygen(args)) => audit::keygen::execute(args),
        #[cfg(feature = "kafka")]
        Command::Audit(Audit::Notary(args)) => audit::notary::execute(args, &cli.global),
        #[cfg(not(feature = "kafka"))]
        Command::Audit(Audit::Notary(_)) => Err(needs("kafka")),
        Command::Audit(Audit::Prove(args)) => audit::prove::execute(args),
        Command::Redact(args) => redact::execute(args),
        Command::Reveal(args) => reveal::execute(args),
        Command::Forget(args) => forget::execute(args),
        Command::Test(args) => test::execute(args),
        Command::Labels(args) => labels::execute(args),
        Command::Eval(args) => eval::execute(args),
        Command::Bench(args) => bench::execute(args),
        Command::Model(Model::Inspect(args)) => model::inspect(args),
        Command::Model(Model::Verify(args)) => model::verify(args),
        Command::Model(Model::Sign(args)) => model::sign(args),
        Command::Model(Model::Tune(args)) => tune::execute(args),
    }
}

/// A runtime for what is asked of others.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread needs nothing but memory")
}

fn completions(args: &args::Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "weir", &mut script);
    out::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// A page per command, below the folder: `weir.1`, `weir-run.1`, `weir-model-tune.1`.
fn man(args: &args::Man) -> Result<Exit, Failure> {
    std::fs::create_dir_all(&args.dir)?;
    // Not built before: that would add a page for each command of `weir help`.
    clap_mangen::generate_to(Cli::command(), &args.dir)?;
    Ok(Exit::Done)
}

/// A command that this build does not have.
#[cfg(not(all(feature = "kafka", feature = "server")))]
fn needs(feature: &str) -> Failure {
    let error = anyhow::anyhow!("this weir was built without the feature `{feature}`");
    Failure::new(Exit::Usage, error).hint(crate::config::Feature::FIX)
}

/// Configurations of `weir init`, by file name.
#[cfg(test)]
pub(crate) fn presets() -> Vec<(&'static str, &'static str)> {
    use clap::ValueEnum;
    args::Preset::value_variants()
        .iter()
        .map(|preset| init::files(*preset)[0])
        .collect()
}
