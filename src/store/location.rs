use std::{
    fmt,
    path::{self, PathBuf},
    sync::Arc,
    time::Duration,
};

use object_store::{
    ObjectStore, ObjectStoreExt, ObjectStoreScheme, local::LocalFileSystem, path::Path,
};
use url::Url;

use super::{Error, Options};

/// Longest wait for the first answer of a store. Shorter than the retries of object_store, which go on
/// for three minutes.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

/// A folder (or prefix) in an object store or on a local disk.
#[derive(Clone)]
pub struct Location {
    store: Arc<dyn ObjectStore>,
    /// Below the root of `store`.
    prefix: Path,
    /// As in messages.
    url: String,
    /// What tells one place from another: scheme, bucket and prefix, or the absolute path.
    identity: String,
    /// The folder, if it is on a local disk.
    folder: Option<PathBuf>,
}

impl Location {
    /// Opens a place to read from. `url` is `s3://`, `gs://`, `az://`, `abfss://`, `file://`, or a
    /// path.
    ///
    /// Credentials come from the clouds' own environment variables (`AWS_*`, `GOOGLE_*`,
    /// `AZURE_*`), which the options override.
    pub fn open(url: &str, options: &Options) -> Result<Self, Error> {
        match local_path(url)? {
            Some(folder) => Self::local(url, folder, options),
            None => Self::remote(url, options),
        }
    }

    /// Opens a place to write to: a local folder is made if it is not there, and what is written
    /// into it is flushed to the disk before it counts as written.
    pub fn create(url: &str, options: &Options) -> Result<Self, Error> {
        let Some(folder) = local_path(url)? else {
            return Self::remote(url, options);
        };
        std::fs::create_dir_all(&folder).map_err(|source| Error::Folder {
            path: folder.clone(),
            source,
        })?;
        let mut location = Self::local(url, folder.clone(), options)?;
        location.store = Arc::new(local_store(&folder)?.with_fsync(true));
        Ok(location)
    }

    /// What [`Location::create`] would open, without making anything: `None` is a local folder that it would
    /// make.
    pub fn planned(url: &str, options: &Options) -> Result<Option<Self>, Error> {
        let not_a_folder = |folder: &path::Path| Error::Folder {
            path: folder.to_owned(),
            source: std::io::ErrorKind::NotADirectory.into(),
        };
        let folder = local_path(url)?;
        if let Some(file) = folder.as_ref().filter(|folder| folder.is_file()) {
            return Err(not_a_folder(file));
        }
        let missing = folder.filter(|folder| !folder.exists());
        let Some(folder) = missing else {
            return Self::open(url, options).map(Some);
        };
        options.check(url)?;
        let stands = folder.ancestors().find(|above| above.exists());
        // A relative path of one part stands in the working directory.
        match stands.is_none_or(path::Path::is_dir) {
            true => Ok(None),
            false => Err(not_a_folder(&folder)),
        }
    }

    /// A place in a store that was made elsewhere; `name` stands for it in messages.
    pub fn within(store: Arc<dyn ObjectStore>, prefix: Path, name: &str) -> Self {
        Self {
            store,
            identity: format!("{name}/{prefix}"),
            prefix,
            url: name.to_owned(),
            folder: None,
        }
    }

    fn local(url: &str, folder: PathBuf, options: &Options) -> Result<Self, Error> {
        options.check(url)?;
        let identity = path::absolute(&folder).and_then(|p| p.canonicalize().or(Ok(p)));
        let identity = identity.map_err(|source| Error::Folder {
            path: folder.clone(),
            source,
        })?;
        Ok(Self {
            store: Arc::new(local_store(&folder)?),
            prefix: Path::ROOT,
            url: url.to_owned(),
            identity: format!("file://{}", identity.display()),
            folder: Some(folder),
        })
    }

    fn remote(url: &str, options: &Options) -> Result<Self, Error> {
        let bad_url = |reason: String| Error::Url {
            url: url.to_owned(),
            reason,
        };
        let parsed = Url::parse(url).map_err(|e| bad_url(e.to_string()))?;
        if parsed.password().is_some() {
            return Err(Error::SecretInUrl);
        }
        ObjectStoreScheme::parse(&parsed)
            .map_err(|_| bad_url(format!("unknown scheme `{}`", parsed.scheme())))?;
        if !cfg!(feature = "clouds") {
            return Err(bad_url("this weir was built without `clouds`".to_owned()));
        }
        options.check(url)?;
        let variables = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .map(|(key, value)| (key.to_ascii_lowercase(), value))
            .filter(|(key, _)| {
                ["aws_", "google_", "azure_"]
                    .iter()
                    .any(|prefix| key.starts_with(prefix))
            });
        let options = options
            .iter()
            .map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()));
        let (store, prefix) = object_store::parse_url_opts(&parsed, variables.chain(options))
            .map_err(|source| Error::Store {
                at: url.to_owned(),
                source,
            })?;
        let bucket = &parsed[..url::Position::BeforePath];
        Ok(Self {
            store: Arc::from(store),
            identity: format!("{bucket}/{prefix}"),
            prefix,
            url: url.trim_end_matches('/').to_owned(),
            folder: None,
        })
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Where the place is below the root of the store.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The folder, if the place is on a local disk.
    pub fn folder(&self) -> Option<&path::Path> {
        self.folder.as_deref()
    }

    /// The store's path of `relative`, which is a path below this place.
    pub fn path(&self, relative: &str) -> Path {
        if self.prefix.is_root() {
            return Path::parse(relative).unwrap_or_else(|_| Path::from(relative));
        }
        let joined = format!("{}/{relative}", self.prefix);
        Path::parse(&joined).unwrap_or_else(|_| Path::from(joined))
    }

    /// `path` below this place, the inverse of [`Location::path`].
    pub fn relative<'a>(&self, path: &'a Path) -> &'a str {
        let path = path.as_ref();
        path.strip_prefix(self.prefix.as_ref())
            .map_or(path, |rest| rest.trim_start_matches('/'))
    }

    /// Whether a folder `below` this place lies in `other`, or `other` in it.
    pub fn overlaps(&self, below: &str, other: &Self) -> bool {
        let segments = |identity: &str| -> Vec<String> {
            identity
                .split('/')
                .filter(|segment| !segment.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let ours = segments(&format!("{}/{below}", self.identity));
        let theirs = segments(&other.identity);
        ours.iter().zip(&theirs).all(|(a, b)| a == b)
    }

    /// The path of `other` below this place, if it lies there.
    pub fn relative_of(&self, other: &Self) -> Option<String> {
        let rest = other
            .identity
            .strip_prefix(self.identity.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_matches('/').to_owned())
    }

    /// Whether the store answers: one request that needs the right to list.
    pub async fn connect(&self) -> Result<(), Error> {
        use futures::StreamExt;
        let mut listing = self.store.list(Some(&self.prefix));
        match tokio::time::timeout(FIRST_ANSWER, listing.next()).await {
            Err(_) => Err(Error::Silent {
                at: self.url.clone(),
                seconds: FIRST_ANSWER.as_secs(),
            }),
            Ok(Some(Err(source))) => Err(Error::Store {
                at: self.url.clone(),
                source,
            }),
            Ok(_) => Ok(()),
        }
    }

    /// Whether an object is there.
    pub async fn holds(&self, path: &Path) -> Result<bool, object_store::Error> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Debug for Location {
    // Not derived: object_store's S3 client prints its configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({})", self.url)
    }
}

fn local_store(folder: &path::Path) -> Result<LocalFileSystem, Error> {
    LocalFileSystem::new_with_prefix(folder).map_err(|source| Error::Store {
        at: folder.display().to_string(),
        source,
    })
}

/// The local path that a URL means: `file://…` or no scheme at all.
pub(crate) fn local_path(url: &str) -> Result<Option<PathBuf>, Error> {
    if !url.contains("://") {
        return Ok(Some(PathBuf::from(url)));
    }
    if !url.starts_with("file://") {
        return Ok(None);
    }
    let bad_url = |reason: &str| Error::Url {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    let parsed = Url::parse(url).map_err(|e| bad_url(&e.to_string()))?;
    let path = parsed
        .to_file_path()
        .map_err(|()| bad_url("a file URL has three slashes: file:///path"))?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        pairs.iter().copied().collect()
    }

    #[test]
    fn an_option_that_the_store_does_not_know_is_refused() {
        let typo = options(&[("aws_reigon", "eu-west-1")]);
        let error = Location::open("s3://bucket/in", &typo).unwrap_err();
        assert!(matches!(error, Error::Option { ref key, .. } if key == "aws_reigon"));
        let right = options(&[("aws_region", "eu-west-1"), ("allow_http", "true")]);
        assert!(Location::open("s3://bucket/in", &right).is_ok());
    }

    #[test]
    fn secrets_are_taken_and_never_printed() {
        let secret = options(&[
            ("aws_access_key_id", "ana"),
            ("aws_secret_access_key", "CANARY"),
        ]);
        let location = Location::open("s3://bucket", &secret).unwrap();
        assert!(!format!("{location:?} {location} {secret:?}").contains("CANARY"));
        let error = Location::open("gs://bucket", &secret).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("CANARY"));
        let error = Location::open("s3://user:CANARY@bucket", &options(&[])).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("CANARY"));
    }

    #[test]
    fn folders_overlap_by_segment() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = folder.path().join(name);
            Location::create(path.to_str().unwrap(), &options(&[])).unwrap()
        };
        assert!(at("in").overlaps("redactions", &at("in")));
        assert!(at("in/out").overlaps("redactions", &at("in")));
        assert!(at("out").overlaps("redactions", &at("out/redactions/x")));
        assert!(!at("out").overlaps("redactions", &at("out/raw")));
        assert!(!at("inn").overlaps("redactions", &at("in")));
        assert_eq!(at("in").relative_of(&at("in/a/b")).as_deref(), Some("a/b"));
        assert_eq!(at("in").relative_of(&at("inn")), None);
    }
}
