//! Whether a pack is whole: its files are those of its manifest, and its graphs ask for nothing else.
//!
//! Holds: of a pack whose manifest lists files, weir and ONNX Runtime read no other. No file of a pack leaves its folder.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::{GraphFile, GraphProblem, Kind, Pack, graph_file::is_plain, unreadable};
use crate::model::Error;

impl Pack {
    /// Compares every file with its digest in the manifest, and every graph with the list of files.
    pub fn verify(&self) -> Result<(), Error> {
        let listed = self.listed();
        for file in &self.manifest.files {
            self.own_file(&file.path)?;
            let path = self.folder.join(&file.path);
            let found =
                sha256(&path).map_err(|error| unreadable(self.name(), &file.path, &error))?;
            if !found.eq_ignore_ascii_case(&file.sha256) {
                return Err(Error::Digest {
                    pack: self.name().to_owned(),
                    file: file.path.clone(),
                    found: shortened(&found),
                    expected: shortened(&file.sha256),
                });
            }
        }
        if let Some(listed) = &listed {
            for file in self.named() {
                self.is_listed(listed, &file, "weir")?;
            }
        }
        for graph in self.graph_files() {
            self.check_graph(graph, listed.as_ref())?;
        }
        Ok(())
    }

    /// Whether the manifest has the digest of every file that is read, so that a signature of it is one of the pack.
    pub fn is_listed_whole(&self) -> bool {
        self.manifest.family == Kind::Prompted || !self.manifest.files.is_empty()
    }

    /// The paths that the manifest lists. `None` of a folder as it was published: its content is the pack's digest.
    fn listed(&self) -> Option<BTreeSet<&str>> {
        let files = &self.manifest.files;
        let is_own = match self.manifest.family {
            // A manifest of these kinds without files only changes what a published folder says.
            Kind::Adaptive | Kind::FixedHead => self.also.is_empty() && self.written.is_some(),
            Kind::Gliner | Kind::Prompted => false,
        };
        (is_own || !files.is_empty()).then(|| files.iter().map(|file| file.path.as_str()).collect())
    }

    /// The files that weir reads.
    fn named(&self) -> BTreeSet<String> {
        let manifest = &self.manifest;
        let mut named: BTreeSet<String> = self.also.iter().cloned().collect();
        named.insert(manifest.tokenizer.file.clone());
        named.extend(self.graph_files().map(str::to_owned));
        if let Some(encoder) = &manifest.label_encoder {
            named.extend([encoder.tokenizer.clone(), encoder.projection.clone()]);
            named.extend(encoder.vectors.iter().chain(&encoder.descriptions).cloned());
        }
        let points = manifest
            .head
            .as_ref()
            .and_then(|head| head.calibration.as_ref());
        named.extend(points.cloned());
        if let Some(gliner) = &manifest.gliner {
            named.extend(
                gliner
                    .config
                    .iter()
                    .chain(&gliner.labels_tokenizer)
                    .cloned(),
            );
        }
        named.remove("");
        named
    }

    /// The graphs that ONNX Runtime reads, but for a copy that `weir model tune` made of one.
    fn graph_files(&self) -> impl Iterator<Item = &str> {
        let manifest = &self.manifest;
        let encoder = manifest.label_encoder.iter().map(|encoder| &encoder.graph);
        let labels = manifest
            .gliner
            .iter()
            .filter_map(|own| own.labels_graph.as_deref());
        // The copy is weir's own work on this machine, and stands in front.
        let graphs = self
            .graphs()
            .skip(usize::from(self.is_copy))
            .chain(encoder)
            .map(|graph| graph.file.as_str());
        graphs.chain(labels).filter(|file| !file.is_empty())
    }

    /// Checks what a graph says of files and operators.
    fn check_graph(&self, file: &str, listed: Option<&BTreeSet<&str>>) -> Result<(), Error> {
        let refused = |problem: String| Error::Graph {
            pack: self.name().to_owned(),
            file: file.to_owned(),
            problem,
        };
        // ONNX Runtime reads its own format by this ending, which no check here can read.
        if Path::new(file).extension().is_some_and(|end| end == "ort") {
            return Err(refused(
                "weir runs graphs in the format of ONNX only".to_owned(),
            ));
        }
        let graph = GraphFile::open(&self.folder.join(file)).map_err(|problem| match problem {
            GraphProblem::Io(error) => unreadable(self.name(), file, &error),
            GraphProblem::Malformed { .. } => refused(problem.to_string()),
        })?;
        if let Some((domain, operator)) = graph.foreign.first() {
            return Err(Error::Operator {
                pack: self.name().to_owned(),
                file: file.to_owned(),
                operator: operator.clone(),
                domain: domain.clone(),
            });
        }
        if let Some(place) = graph.external.iter().find(|place| !is_plain(place)) {
            let problem = format!("{file} names it, and it leaves the folder of the graph");
            return Err(self.outside(place, &problem));
        }
        for path in graph.beside(file) {
            match listed {
                Some(listed) => self.is_listed(listed, &path, file)?,
                None if !self.folder.join(&path).is_file() => {
                    return Err(Error::File {
                        pack: self.name().to_owned(),
                        file: path,
                        problem: format!("{file} keeps its weights in this file, which is missing"),
                    });
                }
                None => {}
            }
        }
        Ok(())
    }

    fn is_listed(&self, listed: &BTreeSet<&str>, file: &str, by: &str) -> Result<(), Error> {
        match listed.contains(file) {
            true => Ok(()),
            false => Err(Error::Unlisted {
                pack: self.name().to_owned(),
                file: file.to_owned(),
                by: by.to_owned(),
            }),
        }
    }

    /// Checks that a listed file is one, in the folder, behind no link.
    fn own_file(&self, file: &str) -> Result<(), Error> {
        if !is_plain(file) {
            return Err(self.outside(file, "it leaves the folder"));
        }
        let mut path = self.folder.clone();
        for part in Path::new(file).components() {
            path.push(part);
            let meta = fs::symlink_metadata(&path)
                .map_err(|error| unreadable(self.name(), file, &error))?;
            if meta.is_symlink() {
                return Err(self.outside(file, "it is a link, or its folder is one"));
            }
        }
        match path.is_file() {
            true => Ok(()),
            false => Err(self.outside(file, "it is not a file")),
        }
    }

    fn outside(&self, file: &str, problem: &str) -> Error {
        Error::Outside {
            pack: self.name().to_owned(),
            file: file.to_owned(),
            problem: problem.to_owned(),
        }
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

fn shortened(digest: &str) -> String {
    format!("{}…", digest.get(..12).unwrap_or(digest))
}
