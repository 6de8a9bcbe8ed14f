//! `weir init`: a configuration and a tenant to start from.

use std::{fs::OpenOptions, io::Write, path::Path};

use super::{
    args::{Init, Preset},
    exit::{Exit, Failure},
    out,
};

/// Writes the files; those that are there stay.
pub fn execute(args: &Init) -> Result<Exit, Failure> {
    let mut files = files(args.preset).to_vec();
    // Documents that are there are not joined by one of ours.
    if !args.dir.join("in").exists() {
        files.extend(example(args.preset));
    }
    // Looked at before anything is written, so that a refusal leaves no half.
    if let Some((name, _)) = files.iter().find(|(name, _)| args.dir.join(name).exists()) {
        let path = args.dir.join(name);
        let error = anyhow::anyhow!("{} already exists", path.display());
        return Err(Failure::new(Exit::No, error).hint("name another folder, or move the file"));
    }
    for (name, text) in files {
        let path = args.dir.join(name);
        write_new(&path, text).map_err(|error| {
            let error =
                anyhow::Error::new(error).context(format!("can't write {}", path.display()));
            Failure::new(Exit::Io, error)
        })?;
        out::message(&format!("{}ok{:#}    {}", out::OK, out::OK, path.display()));
    }
    let config = args.dir.join("weir.toml");
    out::message(&format!(
        "\nnext: edit these files, then run weir check --config {}",
        config.display()
    ));
    Ok(Exit::Done)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // `create_new`: another `init` may have been quicker.
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// A document to try the preset on; tables in a bucket have none.
fn example(preset: Preset) -> Option<(&'static str, &'static str)> {
    match preset {
        Preset::Logs => Some(("in/example.log", include_str!("init/example.log"))),
        Preset::Json | Preset::HipaaSafeHarbor | Preset::GdprPseudonymisation | Preset::PciDss => {
            Some(("in/example.jsonl", include_str!("init/example.jsonl")))
        }
        Preset::Lake => None,
    }
}

/// Names and texts of a preset.
pub fn files(preset: Preset) -> [(&'static str, &'static str); 2] {
    match preset {
        Preset::Logs => [
            ("weir.toml", include_str!("init/logs.toml")),
            ("tenants/acme.toml", include_str!("init/logs.tenant.toml")),
        ],
        Preset::Lake => [
            ("weir.toml", include_str!("init/lake.toml")),
            ("tenants/acme.toml", include_str!("init/lake.tenant.toml")),
        ],
        Preset::Json => [
            ("weir.toml", include_str!("init/json.toml")),
            ("tenants/acme.toml", include_str!("init/json.tenant.toml")),
        ],
        Preset::HipaaSafeHarbor => json(include_str!("../../presets/hipaa-safe-harbor.toml")),
        Preset::GdprPseudonymisation => {
            json(include_str!("../../presets/gdpr-pseudonymisation.toml"))
        }
        Preset::PciDss => json(include_str!("../../presets/pci-dss.toml")),
    }
}

/// A tenant of JSON lines.
fn json(tenant: &'static str) -> [(&'static str, &'static str); 2] {
    [
        ("weir.toml", include_str!("init/json.toml")),
        ("tenants/acme.toml", tenant),
    ]
}
