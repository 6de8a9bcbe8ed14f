//! Servers of models.

use std::time::Duration;

use super::Resolver;
use crate::{
    config::server::{self, Treatment},
    model::prompted::{self, Access, ApiKey},
};

impl Resolver<'_> {
    /// The server of a model; what is wrong with it is reported.
    pub(super) fn server(&mut self, key: &str, section: Option<&server::Section>) -> Access {
        let Some(section) = section else {
            return Access::default();
        };
        // All of them: a key that is documented and never read does not compile.
        let server::Section {
            url,
            model,
            api_key_file,
            api_key_env,
            allow_http,
            requests,
            connect_timeout_secs,
            read_timeout_secs,
            deadline_secs,
            retries,
            invented,
            unasked,
            max_text_bytes,
        } = section;
        if let Some(url) = url {
            let at = format!("{key}.url");
            let instead = "add api_key_file or api_key_env";
            self.http_url(&at, url, "http://127.0.0.1:8000/v1", instead);
        }
        let (file, variable) = (api_key_file.as_deref(), api_key_env.as_deref());
        let api_key = self.secret(&format!("{key}.api_key"), file, variable);
        let treatment = |own: &Option<Treatment>| {
            own.map(|own| match own {
                Treatment::Drop => prompted::Treatment::Drop,
                Treatment::DeadLetter => prompted::Treatment::DeadLetter,
            })
        };
        let seconds = |own: u32| Duration::from_secs(u64::from(own));
        Access {
            url: url.clone(),
            model: model.clone(),
            api_key: api_key
                .flatten()
                .map(|key| ApiKey::from(key.expose().to_owned())),
            allow_http: *allow_http,
            requests: usize::from(*requests),
            connect_timeout: seconds(*connect_timeout_secs),
            read_timeout: seconds(*read_timeout_secs),
            deadline: seconds(*deadline_secs),
            retries: u32::from(*retries),
            invented: treatment(invented),
            unasked: treatment(unasked),
            max_text_bytes: max_text_bytes.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use crate::{
        config::{Config, Resolved},
        model::prompted::{Access, Treatment},
    };

    fn resolved(server: &str) -> Result<Resolved, String> {
        let text = format!(
            "[source]\ntype = \"stdin\"\n[sink]\ntype = \"stdout\"\n[tenants]\ndir = \"t\"\ndefault = \"a\"\n\
             [model]\npack = \"b2ner\"\n[models.other]\npack = \"b2ner\"\n[models.other.server]\n{server}\n"
        );
        let written = Config::parse("weir.toml", &text, 1, [], &[]);
        let written = written.map_err(|problems| problems.to_string())?;
        written
            .resolve(Path::new("weir.toml"))
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_server_is_as_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "hunter2\n").unwrap();
        let resolved = resolved(&format!(
            "url = \"https://models.example/v1\"\nmodel = \"m\"\napi_key_file = {file:?}\nrequests = 3\n\
             deadline_secs = 7\ninvented = \"dead_letter\"\n"
        ))
        .unwrap();
        assert_eq!(resolved.model.access, Access::default());
        let own = &resolved.models["other"].access;
        assert_eq!(own.requests, 3);
        assert_eq!(own.deadline, Duration::from_secs(7));
        assert_eq!(
            (own.invented, own.unasked),
            (Some(Treatment::DeadLetter), None)
        );
        assert!(own.api_key.is_some() && !format!("{resolved:?}").contains("hunter2"));
    }

    #[test]
    fn defaults_of_the_section_are_those_of_the_model() {
        assert_eq!(
            resolved("").unwrap().models["other"].access,
            Access::default()
        );
    }

    #[test]
    fn what_is_wrong_with_a_server_is_told() {
        for (server, told) in [
            ("url = \"models:8000\"", "not an address"),
            ("url = \"http://u:CANARY@models/v1\"", "secret"),
            ("api_key = \"CANARY\"", "secret"),
            ("api_key_file = \"a\"\napi_key_env = \"B\"", "both given"),
            ("requests = 0", "requests"),
            ("invented = \"keep\"", "invented"),
        ] {
            let problems = resolved(server).unwrap_err();
            assert!(problems.contains(told), "{server}: {problems}");
            assert!(!problems.contains("CANARY"), "{problems}");
        }
    }
}
