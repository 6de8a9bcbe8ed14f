//! The flags of `weir forget`.

use std::path::PathBuf;

use clap::Args;

/// `weir forget`.
#[derive(Debug, Clone, Args)]
pub struct Forget {
    /// Tenant file that workers use: it names the store of subject keys
    #[arg(long, short, value_name = "FILE", env = "WEIR_TENANT")]
    pub tenant: PathBuf,
    /// Subject, as documents name it; without it and --token weir reads standard input, one subject per line
    #[arg(long, value_name = "SUBJECT", conflicts_with = "token")]
    pub subject: Option<String>,
    /// Token of a value: weir destroys the key of this token and no other
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// The subject gets no further key: later documents whose values need one become dead letters
    #[arg(long, conflicts_with = "token")]
    pub for_good: bool,
    /// Why the keys are destroyed
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Ticket that asks for it
    #[arg(long, value_name = "ID")]
    pub ticket: Option<String>,
    /// Who destroys them [default: the login of the environment]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// File to which weir appends an event for each subject, before it destroys a key
    #[arg(long, value_name = "PATH")]
    pub audit: PathBuf,
}

pub(super) const HELP: &str = "Examples:
  weir forget --tenant tenants/acme.toml --audit keys.jsonl --reason 'Art. 17' --ticket DSR-7 --subject p-4711
  weir forget --tenant tenants/acme.toml --audit keys.jsonl --reason 'Art. 17' --for-good < subjects.txt

Exit code 0 if no key of the subjects is left, 1 if a subject never had one or the store keeps older versions, 69 if
the store did not answer: run it again. A worker uses a key that it holds for up to a minute longer.";
