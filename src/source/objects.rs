use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use object_store::{ObjectMeta, ObjectStoreExt, path::Path};

use super::{
    Error, Options, Reader,
    folder::{self, Unlisted},
    identity::Identity,
};
use crate::{
    record::Position,
    store::{self, Compression, Format, Location, local_path},
};

/// The objects of a place: cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) location: Location,
    pub(super) options: Options,
    pub(super) identity: Identity,
    include: GlobSet,
    exclude: GlobSet,
    /// The URL names this one object below the location.
    only: Option<String>,
}

/// An object to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Path below the source's URL, as in records.
    pub path: String,
    /// Path in the store.
    pub location: Path,
    /// Bytes, as stored.
    pub size: u64,
    /// ETag, or size and time for a local file: another one is another object.
    pub version: String,
    /// For conditional reads.
    pub e_tag: Option<String>,
    /// How documents lie in it.
    pub format: Format,
    /// How its bytes are packed.
    pub compression: Option<Compression>,
}

impl Object {
    /// Position of one of its records, or of the whole.
    pub fn position(&self, record: Option<u64>) -> Position {
        Position::Object {
            object: self.path.clone(),
            version: Some(self.version.clone()),
            record,
        }
    }
}

/// What is at the source's URL.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Objects to be read, sorted by path.
    pub objects: Vec<Object>,
    /// Objects that the patterns leave out.
    pub left_out: u64,
    /// Objects that the patterns choose, and no format reads: count by extension.
    pub unknown: BTreeMap<String, u64>,
    /// What the patterns choose in a local folder, and what cannot be read there.
    pub unlisted: Vec<Unlisted>,
}

impl Objects {
    /// Opens the place and compiles the patterns. Lists nothing yet.
    pub fn open(options: Options) -> Result<Self, Error> {
        let file = local_path(&options.url)?.filter(|path| path.is_file());
        let (location, only) = match &file {
            Some(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
                let folder = folder.map_or_else(|| ".".into(), |p| p.to_string_lossy());
                let location = Location::open(&folder, &options.options)?;
                let path = Path::parse(&name).unwrap_or_else(|_| Path::from(name.as_ref()));
                (location, Some(path.to_string()))
            }
            None => (Location::open(&options.url, &options.options)?, None),
        };
        Self::within(location, only, options)
    }

    /// Objects of a place that was opened elsewhere; `options.url` is not used.
    pub fn at(location: Location, options: Options) -> Result<Self, Error> {
        Self::within(location, None, options)
    }

    fn within(location: Location, only: Option<String>, options: Options) -> Result<Self, Error> {
        let include = match options.include.is_empty() {
            true => globs(&["**".to_owned()])?,
            false => globs(&options.include)?,
        };
        let shared = Shared {
            identity: Identity::of(&options)?,
            include,
            exclude: globs(&options.exclude)?,
            location,
            only,
            options,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Where the objects are.
    pub fn location(&self) -> &Location {
        &self.shared.location
    }

    /// Whether the patterns choose this path below the URL.
    pub fn chooses(&self, path: &str) -> bool {
        self.shared.include.is_match(path) && !self.shared.exclude.is_match(path)
    }

    /// Lists the objects. A place where nothing is at all is an error: it is most likely a typo.
    pub async fn list(&self) -> Result<Listing, Error> {
        let location = &self.shared.location;
        let store = location.store();
        let failed = |source| store::Error::Store {
            at: location.to_string(),
            source,
        };
        let mut listing = Listing::default();
        let mut metas: Vec<ObjectMeta> = match (&self.shared.only, location.folder()) {
            (Some(name), _) => vec![store.head(&location.path(name)).await.map_err(failed)?],
            (None, Some(_)) => self.in_folder(&mut listing).await?,
            (None, None) => {
                let prefix = (!location.prefix().is_root()).then_some(location.prefix());
                store.list(prefix).try_collect().await.map_err(failed)?
            }
        };
        if metas.is_empty() && location.folder().is_none() {
            // `s3://bucket/one/object.jsonl`: a prefix lists only what is below it.
            match store.head(location.prefix()).await {
                Ok(meta) => metas.push(meta),
                Err(object_store::Error::NotFound { .. }) => {
                    return Err(Error::Nothing {
                        url: location.to_string(),
                    });
                }
                Err(source) => return Err(failed(source).into()),
            }
        }
        for meta in metas {
            let mut path = location.relative(&meta.location);
            if path.is_empty() {
                path = meta.location.filename().unwrap_or_default();
            }
            if !self.chooses(path) {
                listing.left_out += 1;
                continue;
            }
            let recognised = match (Format::of(path), self.shared.options.format) {
                (Ok((_, compression, _)), Some(format)) => Ok((format, compression)),
                (Ok((format, compression, _)), None) => Ok((format, compression)),
                (Err(_), Some(format)) => Ok((format, Compression::of(path))),
                (Err(extension), None) => Err(extension),
            };
            match recognised {
                Ok((format, compression)) => listing.objects.push(Object {
                    path: path.to_owned(),
                    size: meta.size,
                    version: version(&meta, location.folder().is_some()),
                    e_tag: meta.e_tag,
                    location: meta.location,
                    format,
                    compression,
                }),
                Err(extension) => *listing.unknown.entry(extension).or_default() += 1,
            }
        }
        listing.objects.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// Files of a local folder.
    async fn in_folder(&self, listing: &mut Listing) -> Result<Vec<ObjectMeta>, Error> {
        let location = &self.shared.location;
        let path = location
            .folder()
            .expect("asked for by the caller")
            .to_owned();
        let (at, follow_links) = (path.clone(), self.shared.options.follow_links);
        let found = tokio::task::spawn_blocking(move || folder::list(&at, follow_links)).await;
        let found = found.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        let found = found.map_err(|source| store::Error::Folder { path, source })?;
        for left in found.unlisted {
            match self.chooses(&left.path) {
                true => listing.unlisted.push(left),
                false => listing.left_out += 1,
            }
        }
        let heads = found.files.into_iter().map(|file| async move {
            match location.store().head(&location.path(&file)).await {
                Ok(meta) => Ok(Some(meta)),
                // Gone since it was seen: the next look finds it, or it is no input.
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(source) => Err(Error::from(store::Error::Store { at: file, source })),
            }
        });
        let metas: Vec<Option<ObjectMeta>> = stream::iter(heads)
            .buffered(HEADS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(metas.into_iter().flatten().collect())
    }

    /// A reader of one object. It opens the object when the first unit is asked for.
    pub fn reader(&self, object: &Object) -> Reader {
        Reader::of(self.shared.clone(), object.clone())
    }
}

/// Files whose size and time are asked for at a time.
const HEADS_AT_ONCE: usize = 16;

/// A local file's ETag holds its inode, which is another one on another mount or after a copy;
/// size and time stay.
pub(super) fn version(meta: &ObjectMeta, local: bool) -> String {
    if let Some(version) = &meta.version {
        return version.clone();
    }
    match &meta.e_tag {
        Some(e_tag) if !local => e_tag.trim_matches('"').to_owned(),
        _ => format!("{}-{}", meta.size, meta.last_modified.timestamp_micros()),
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let bad = |e: globset::Error| Error::Pattern {
            pattern: pattern.clone(),
            reason: e.kind().to_string(),
        };
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(bad)?);
    }
    set.build().map_err(|e| Error::Pattern {
        pattern: patterns.join(" "),
        reason: e.kind().to_string(),
    })
}
