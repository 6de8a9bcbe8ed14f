//! The store of subject keys as a tenant file names it.

use super::SubjectKeys;
use crate::{
    diagnose::{Kind, check::is_secret_name},
    redact::Operator,
    store::{self, Location, local_path},
    tenant::{file::SubjectKeysEntry, resolve::Resolver},
};

impl Resolver<'_> {
    /// `encrypt` with `per = "subject"`; `alone` if it has no other parameter.
    pub(in crate::tenant) fn per_subject(&mut self, path: &str, alone: bool) -> Option<Operator> {
        if !alone {
            let kind = Kind::Conflict(
                "`per = \"subject\"` excludes `key`, `format` and `min_digits`: the key is the subject's, and only a token can name it".to_owned(),
            );
            self.problem(path, kind, "{ type = \"encrypt\", per = \"subject\" }");
            return None;
        }
        if self.document.entry("subject_keys").is_none() {
            let kind = Kind::Invalid(
                "`per = \"subject\"` needs `subject_keys`, which is missing from the file"
                    .to_owned(),
            );
            let fix = "subject_keys = { url = \"s3://bucket/keys\" }, or a folder";
            self.problem(path, kind, fix);
            return None;
        }
        Some(Operator::EncryptPerSubject {
            key: self.key(path, None)?,
        })
    }

    /// The store, which is not opened yet.
    pub(in crate::tenant) fn subject_keys(
        &mut self,
        tenant: &str,
        entry: Option<&SubjectKeysEntry>,
    ) -> Option<SubjectKeys> {
        let entry = entry?;
        let secret = entry.options.keys().find(|name| is_secret_name(name));
        if let Some(name) = secret {
            let at = format!("subject_keys.options.{name}");
            let fix = "set the cloud's own variable instead, such as AWS_SECRET_ACCESS_KEY";
            self.problem(&at, Kind::SecretInFile(at.clone()), fix);
            return None;
        }
        let options: store::Options = entry.options.clone().into_iter().collect();
        // A relative path is relative to the tenant file.
        let url = match local_path(&entry.url) {
            Ok(Some(folder)) => self.folder.join(folder).display().to_string(),
            _ => entry.url.clone(),
        };
        if let Err(error) = Location::planned(&url, &options) {
            // The parser's message and the URL are not printed: it may hold a password.
            let why = match &error {
                store::Error::Url { reason, .. } => format!("`subject_keys.url`: {reason}"),
                store::Error::SecretInUrl => "`subject_keys.url` holds a password".to_owned(),
                store::Error::Option { key, .. } => {
                    format!("the store of `subject_keys` has no option `{key}`")
                }
                _ => "`subject_keys.url` is not a place that weir can open".to_owned(),
            };
            let fix = error.hint().unwrap_or_default();
            self.problem("subject_keys", Kind::Invalid(why), fix);
            return None;
        }
        let primary = self.key("subject_keys", None)?;
        let ring = self.keys.clone();
        Some(SubjectKeys::new(tenant, &url, options, ring, primary))
    }
}
