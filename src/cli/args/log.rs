//! The log of `weir audit`: keys, the notary, proofs of single records.

use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::Configuration;
use crate::audit::note::VerifyingKey;

/// `weir audit keygen`.
#[derive(Debug, Clone, Args)]
pub struct Keygen {
    /// Name of the key: a URL without its scheme, such as example.com/weir/notary
    #[arg(value_name = "NAME")]
    pub name: String,
    /// File for the private key [default: the last part of the name, and .key]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the public key of a witness
    #[arg(long)]
    pub witness: bool,
}

pub(super) const KEYGEN: &str = "Examples:
  weir audit keygen example.com/weir/notary
  weir audit keygen example.com/weir/worker-1 --out /etc/weir/worker-1.key

Prints the public key. Only its owner can read the file, and weir never overwrites one.";

/// `weir audit notary`.
#[derive(Debug, Clone, Args)]
pub struct Notary {
    /// The configuration of the stream, of which weir reads topics, brokers and logins.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Name of the log: a URL without its scheme, such as example.com/weir/documents. It never changes
    #[arg(long, value_name = "ORIGIN", env = "WEIR_AUDIT_ORIGIN")]
    pub origin: String,
    /// Folder or prefix of the archive
    #[arg(long, value_name = "URL", env = "WEIR_AUDIT_ARCHIVE")]
    pub archive: String,
    /// TOML file of options for the archive's store, such as aws_region
    #[arg(long, value_name = "FILE")]
    pub archive_options: Option<PathBuf>,
    /// File that holds the notary's private key
    #[arg(long, value_name = "FILE", env = "WEIR_AUDIT_KEY")]
    pub key: PathBuf,
    /// Seconds between rolls. Shorter: less can be changed unseen. Longer: fewer objects
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub interval: u64,
    /// Folder or prefix that keeps each head of the log; repeat it for more
    #[arg(long, value_name = "URL")]
    pub anchor: Vec<String>,
    /// TOML file of options for the anchors' stores
    #[arg(long, value_name = "FILE", requires = "anchor")]
    pub anchor_options: Option<PathBuf>,
    /// Days for which S3's object lock keeps each head; the bucket must have object lock
    #[arg(long, value_name = "DAYS", requires = "anchor", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub anchor_lock_days: Option<u32>,
    /// Witness that signs each head: its address, and the public key of its cosignatures; repeat it for more
    #[arg(long, value_name = "URL=KEY", value_parser = witness)]
    pub witness: Vec<(Url, VerifyingKey)>,
}

pub(super) const NOTARY: &str = "Examples:
  weir audit notary --origin example.com/weir/documents --archive s3://audit/documents --key notary.key
  weir audit notary --origin example.com/weir/documents --archive /srv/audit --key notary.key \\
    --anchor s3://anchors-of-another-account/weir --anchor-lock-days 3650 \\
    --witness 'https://witness.example=witness.example+1a2b3c4d+BA…'

The notary needs the right to read the audit topic and to describe the source's topics, and no key of a
worker. Start it twice for availability: one rolls, the other stands by. If it was stopped, start it again:
it continues behind its last roll.";

fn witness(text: &str) -> Result<(Url, VerifyingKey), String> {
    let (url, key) = text
        .split_once('=')
        .ok_or("the address of a witness, `=`, and its public key")?;
    let url: Url = url
        .parse()
        .map_err(|_| "the address is not a URL".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the address is not of http or https".to_owned());
    }
    let key = key.parse().map_err(|error| format!("{error}"))?;
    Ok((url, key))
}

/// `weir audit prove`.
#[derive(Debug, Clone, Args)]
pub struct Prove {
    /// Record of the source
    #[arg(long, value_name = "TOPIC/PARTITION/OFFSET", value_parser = place)]
    pub source: Place,
    /// Folder or prefix of the archive
    #[arg(long, value_name = "URL", env = "WEIR_AUDIT_ARCHIVE")]
    pub archive: String,
    /// TOML file of options for the archive's store, such as aws_region
    #[arg(long, value_name = "FILE")]
    pub archive_options: Option<PathBuf>,
    /// File for the proof [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

pub(super) const PROVE: &str = "Examples:
  weir audit prove --source documents/3/1842 --archive s3://audit/documents > proof.json

The proof holds with the public keys of notary and witnesses alone. Exit code 1 if no log has a record about
this offset.";

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

fn place(text: &str) -> Result<Place, String> {
    let mut parts = text.split('/');
    let (topic, partition, offset) = (parts.next(), parts.next(), parts.next());
    let found = (|| {
        Some(Place {
            topic: topic.filter(|topic| !topic.is_empty())?.to_owned(),
            partition: partition?.parse().ok().filter(|own| *own >= 0)?,
            offset: offset?.parse().ok().filter(|own| *own >= 0)?,
        })
    })();
    found
        .filter(|_| parts.next().is_none())
        .ok_or_else(|| "topic, partition and offset: documents/3/1842".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_witnesses_are_read_whole() {
        let read = place("documents/3/1842").unwrap();
        assert_eq!(
            (&*read.topic, read.partition, read.offset),
            ("documents", 3, 1842)
        );
        for bad in [
            "documents",
            "documents/3",
            "documents/-1/2",
            "/1/2",
            "d/1/2/3",
            "d/x/2",
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
        let key = crate::audit::note::SigningKey::from_seed("w.example", &[1; 32]).unwrap();
        let key = key.cosigner();
        let read = witness(&format!("https://w.example/x={key}")).unwrap();
        assert_eq!(
            (read.0.as_str(), read.1),
            ("https://w.example/x", key.clone())
        );
        for bad in [
            "https://w.example",
            "w.example=x",
            "https://w.example=x",
            &format!("ftp://w={key}"),
        ] {
            assert!(witness(bad).is_err(), "{bad}");
        }
    }
}
