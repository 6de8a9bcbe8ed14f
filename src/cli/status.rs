//! `weir status`: how a running worker is, from its `/metrics`, `/readyz` and `/livez`.

mod exposition;
mod quantile;
mod reading;
mod shown;
mod worker;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::{
    reading::Reading,
    worker::{Error, Worker},
};
use super::{
    args,
    exit::{Exit, Failure},
    out,
};
use crate::config::Config;

/// Asks twice, so that there are rates, and prints; with `--watch` until Ctrl-C.
pub fn execute(args: &args::Status) -> Result<Exit, Failure> {
    let worker = worker(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match args.watch {
            true => watch(&worker, args).await,
            false => once(&worker, args).await,
        }
    })
}

/// The worker of the address, or else of the configuration.
fn worker(args: &args::Status) -> Result<Worker, Failure> {
    if let Some(address) = &args.worker {
        return Worker::at(address).map_err(Failure::from);
    }
    let file = &args.configuration.config;
    if !file.exists() {
        let error = anyhow::anyhow!("there is no configuration at {}", file.display());
        let hint =
            "name the worker, such as `weir status 127.0.0.1:9464`, or its file with --config";
        return Err(Failure::new(Exit::Usage, error).hint(hint));
    }
    // Only read, not resolved: the worker's secrets and packs may be on another machine.
    let written = Config::load(file, std::env::vars_os(), &args.configuration.set)?;
    let listen = written.config.telemetry.listen.as_deref();
    let address = match listen.map(|listen| (listen, listen.parse::<std::net::SocketAddr>())) {
        Some((_, Ok(address))) if address.port() != 0 => Ok(address),
        Some((listen, Ok(_))) => Err(format!(
            "telemetry.listen of {} is {listen}: the worker takes a free port",
            file.display()
        )),
        Some((listen, Err(_))) => Err(format!(
            "telemetry.listen of {} ({listen:?}) is not an address with a port",
            file.display()
        )),
        None => Err(format!(
            "telemetry.listen is not set in {}: the worker opens no listener",
            file.display()
        )),
    };
    let address = address.map_err(|why| {
        let hint = "set telemetry.listen = \"127.0.0.1:9464\" and start the worker again, or name its address";
        Failure::new(Exit::Config, anyhow::anyhow!(why)).hint(hint)
    })?;
    Worker::listening(address).map_err(Failure::from)
}

async fn once(worker: &Worker, args: &args::Status) -> Result<Exit, Failure> {
    let before = worker.sample().await?;
    tokio::time::sleep(interval(args)).await;
    let now = worker.sample().await?;
    let read = Reading::between(worker.to_string(), &before, &now);
    out::data(&match args.json {
        true => serde_json::to_string_pretty(&read).expect("a reading is JSON"),
        false => shown::page(&read),
    })?;
    Ok(match read.ready && read.live {
        true => Exit::Done,
        false => Exit::No,
    })
}

/// A worker that does not answer at first is most likely a wrong address; one that goes away later is restarted.
async fn watch(worker: &Worker, args: &args::Status) -> Result<Exit, Failure> {
    let mut before = worker.sample().await?;
    let screen = Screen::new(args.json);
    let mut every = tokio::time::interval(interval(args));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    every.tick().await;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            signal = tokio::signal::ctrl_c() => {
                signal?;
                return Ok(Exit::Done);
            }
        }
        match worker.sample().await {
            Ok(now) => {
                screen.show(&Reading::between(worker.to_string(), &before, &now))?;
                before = now;
            }
            Err(error @ (Error::Unreachable { .. } | Error::NotWeir { .. })) => {
                screen.lost(&error)?
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn interval(args: &args::Status) -> Duration {
    Duration::from_secs_f64(args.interval)
}

/// Where readings go one after the other.
enum Screen {
    /// A page that is drawn over the one before.
    Terminal(ProgressBar),
    /// A line each.
    Lines,
    /// A JSON object in a line each.
    Json,
}

impl Screen {
    fn new(json: bool) -> Self {
        if json {
            return Self::Json;
        }
        if !io::stdout().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        bar.set_style(ProgressStyle::with_template("{msg}").expect("a constant template"));
        Self::Terminal(bar)
    }

    fn show(&self, read: &Reading) -> io::Result<()> {
        match self {
            Self::Terminal(bar) => {
                let dim = out::DIM;
                let at = format!("{dim}at {}; Ctrl-C ends{dim:#}", time_of_day());
                bar.set_message(coloured(format!("{}\n{at}", shown::page(read))));
                Ok(())
            }
            Self::Lines => out::data(&shown::line(read, &time_of_day())),
            Self::Json => out::data(&serde_json::to_string(read).expect("a reading is JSON")),
        }
    }

    /// The worker does not answer now.
    fn lost(&self, error: &Error) -> io::Result<()> {
        match self {
            Self::Terminal(bar) => {
                bar.set_message(format!("{} {error}; asking again", time_of_day()))
            }
            Self::Lines => out::data(&format!("{} {error}; asking again", time_of_day()))?,
            // A stream of JSON objects holds readings only.
            Self::Json => out::message(&format!("{error}; asking again")),
        }
        Ok(())
    }
}

impl Drop for Screen {
    /// Leaves the last page as it is.
    fn drop(&mut self) {
        if let Self::Terminal(bar) = self {
            bar.abandon();
        }
    }
}

/// A bar writes what it gets: colours that nobody wants are taken out here.
fn coloured(text: String) -> String {
    match anstream::AutoStream::choice(&io::stdout()) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(&text).to_string(),
        _ => text,
    }
}

fn time_of_day() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, hint) = match &error {
            Error::Address { .. } => (
                Exit::Usage,
                "give host and port, such as 127.0.0.1:9464, or an http URL",
            ),
            Error::NoTls => (Exit::Unavailable, "or name the worker by an http URL"),
            Error::Unreachable { .. } => (
                Exit::Unavailable,
                "check that the worker runs, and that the address is that of its telemetry.listen",
            ),
            Error::NotWeir { .. } => (
                Exit::Unavailable,
                "check that the address is that of the worker's telemetry.listen",
            ),
        };
        Self::new(exit, error).hint(hint)
    }
}
