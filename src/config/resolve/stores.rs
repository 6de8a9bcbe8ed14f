//! URLs, patterns and options of object stores.

use std::collections::BTreeMap;

use globset::{Glob, GlobSet, GlobSetBuilder};
use url::Url;

use super::{Resolver, clean};
use crate::{
    diagnose::{Kind, check::nearest},
    store,
};

impl Resolver<'_> {
    pub(super) fn url(&mut self, key: &str, text: &str) -> Option<Url> {
        if !text.contains("://") {
            let path = self.path(key, text);
            let path = std::path::absolute(&path).ok().map(|path| clean(&path));
            let url = path.and_then(|path| Url::from_file_path(path).ok());
            if url.is_none() {
                self.invalid(key, format!("`{key}` is not a path"), "such as \"./in\"");
            }
            return url;
        }
        let Ok(url) = Url::parse(text) else {
            // The parser's message is not printed: the text may hold a password.
            self.invalid(
                key,
                format!("`{key}` is not a URL"),
                "such as \"s3://bucket/prefix\"",
            );
            return None;
        };
        let schemes = [
            "file", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl",
        ];
        if !schemes.contains(&url.scheme()) {
            let message = format!(
                "`{key}` has the scheme {}://, which weir does not know",
                url.scheme()
            );
            self.invalid(key, message, "a path, or s3://, gs://, az://, abfss://");
            return None;
        }
        // `abfss://container@account…` has a name before the `@` by design; a password never.
        let user_is_container = url.scheme().starts_with("abfs");
        if url.password().is_some()
            || (!url.username().is_empty() && !user_is_container)
            || url.query().is_some()
        {
            let at = self.written.place(key);
            let fix = "remove user, password and query; set the cloud's own variables or `options`";
            self.problems
                .push(Kind::SecretInFile(key.to_owned()), &at, fix);
            return None;
        }
        Some(url)
    }

    pub(super) fn globs(&mut self, key: &str, patterns: &[String]) -> Option<GlobSet> {
        let mut set = GlobSetBuilder::new();
        let mut sound = true;
        for (i, pattern) in patterns.iter().enumerate() {
            // `*` stays within a folder, as in a shell; `**` crosses.
            let glob = globset::GlobBuilder::new(pattern)
                .literal_separator(true)
                .build();
            match glob {
                Ok(glob) => {
                    set.add(Glob::clone(&glob));
                }
                Err(error) => {
                    sound = false;
                    let message = format!(
                        "`{key}` holds a pattern that can't be read: {}",
                        error.kind()
                    );
                    self.invalid(&format!("{key}.{i}"), message, "such as \"**/*.jsonl.gz\"");
                }
            }
        }
        if !sound {
            return None;
        }
        match set.build() {
            Ok(set) => Some(set),
            Err(_) => {
                self.invalid(
                    key,
                    format!("`{key}` is too large"),
                    "fewer or shorter patterns",
                );
                None
            }
        }
    }

    /// `NAME_file` and `NAME_env` become `NAME`, unless the store itself knows an option of the longer name
    /// (`aws_web_identity_token_file`).
    pub(super) fn options(
        &mut self,
        key: &str,
        url: &Url,
        options: &BTreeMap<String, String>,
    ) -> Option<store::Options> {
        let takes = |name: &str| store::Options::takes(url.as_str(), name);
        let mut resolved = BTreeMap::new();
        let mut sound = true;
        for (name, value) in options {
            let at = format!("{key}.{name}");
            let named = name.rsplit_once('_');
            let named = named.filter(|(named, end)| matches!(*end, "file" | "env") && takes(named));
            let (option, value) = match named {
                _ if takes(name) => (name.as_str(), Some(value.clone())),
                Some((option, _)) => (option, self.read_secret(&at, value)),
                None => {
                    sound = false;
                    self.unknown_option(&at, url, name);
                    continue;
                }
            };
            let Some(value) = value else {
                sound = false;
                continue;
            };
            if resolved.insert(option.to_owned(), value).is_some() {
                sound = false;
                let message = format!("`{key}` sets `{option}` twice");
                self.invalid(
                    &at,
                    message,
                    format!("keep one of `{option}`, `{option}_file` and `{option}_env`"),
                );
            }
        }
        sound.then(|| resolved.into_iter().collect())
    }

    pub(super) fn unknown_option(&mut self, at: &str, url: &Url, name: &str) {
        let (message, fix) = match url.scheme() {
            "file" => (
                format!("`{name}` is an option of a store, but the place is a local folder"),
                "remove it".to_owned(),
            ),
            scheme => (
                format!("a store at {scheme}:// does not support the option `{name}`"),
                match nearest(name, store::Options::usual(scheme)) {
                    Some(option) => format!("`{option}`"),
                    None => {
                        "the names of the object_store library, such as `allow_http`".to_owned()
                    }
                },
            ),
        };
        self.invalid(at, message, fix);
    }
}
