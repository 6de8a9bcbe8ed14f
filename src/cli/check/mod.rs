//! `weir check`: everything is validated, nothing is opened for writing.

#[cfg(feature = "kafka")]
mod topics;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::{
    args::Check,
    exit::{Exit, Failure},
    out, run,
};
use crate::{
    config::{Config, Kind, Origin, Place, Problems, Resolved, Written},
    model::{self, Machine, Tuned},
    source::{self, Location, Objects},
    tenant::{self, LabelSet, Policy, Tenants},
};

/// What tenants ask for and `fits` refuses, such as operating points that the pack does not have.
pub(super) fn unfit(
    tenants: &Tenants,
    dir: &Path,
    fits: impl Fn(&LabelSet) -> Result<(), model::Error>,
) -> Problems {
    let mut problems = Problems::default();
    for policy in tenants.iter() {
        let Err(error) = fits(&policy.labels) else {
            continue;
        };
        let file = dir.join(format!("{}.toml", policy.tenant));
        let key = match error {
            model::Error::NoCategory { .. } => "labels",
            _ => "operating_point",
        };
        let at = tenant::place(&file, key);
        let fix = error.hint().unwrap_or_default();
        problems.push(Kind::Invalid(error.to_string()), &at, fix);
    }
    problems
}

/// What was found, in the order in which it was looked at.
#[derive(Default)]
pub(super) struct Report {
    lines: Vec<String>,
    pub(super) problems: Problems,
    skipped: Vec<String>,
    explained: String,
}

/// Checks what was asked for and prints the report.
pub fn execute(args: &Check) -> Result<Exit, Failure> {
    let mut report = Report::default();
    let config = match &args.config {
        Some(config) => Some(config.clone()),
        None if args.files.is_empty() => Some(PathBuf::from("weir.toml")),
        None => None,
    };
    if let Some(config) = &config {
        report.configuration(config, args);
    }
    for file in &args.files {
        report.file(file);
    }
    let (ok, warn) = (out::OK, out::WARN);
    let mut text = report.explained;
    for line in &report.lines {
        let _ = match line.split_once(' ') {
            Some(("warn", rest)) => writeln!(text, "{warn}warn{warn:#} {rest}"),
            Some(("ok", rest)) => writeln!(text, "{ok}ok{ok:#} {rest}"),
            _ => writeln!(text, "{line}"),
        };
    }
    let errors = report.problems.0.len();
    let warnings = report
        .lines
        .iter()
        .filter(|line| line.starts_with("warn"))
        .count();
    let _ = write!(
        text,
        "{}, {}",
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    if !report.skipped.is_empty() {
        let _ = write!(text, "; skipped: {}", report.skipped.join(", "));
    }
    if errors > 0 {
        out::problems(&report.problems);
    }
    out::data(&text)?;
    Ok(match errors {
        0 => Exit::Done,
        _ => Exit::No,
    })
}

pub(super) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

impl Report {
    pub(super) fn ok(&mut self, what: &str, detail: &str) {
        self.lines
            .push(format!("ok    {what}  {detail}").trim_end().to_owned());
    }

    fn configuration(&mut self, path: &Path, args: &Check) {
        let written = match Config::load(path, std::env::vars_os(), &args.set) {
            Ok(written) => written,
            Err(problems) => {
                self.problems.0.extend(problems.0);
                self.skipped
                    .push("tenants, model (the configuration has errors)".to_owned());
                return;
            }
        };
        self.count(path, &written);
        if args.explain {
            self.explain(&written);
        }
        let resolved = match written.resolve(path) {
            Ok(resolved) => resolved,
            Err(problems) => {
                self.problems.0.extend(problems.0);
                self.skipped
                    .push("tenants, model (the configuration has errors)".to_owned());
                return;
            }
        };
        let is_trial = args.dry_run || args.limit.is_some();
        if let Some(why) = resolved.route().refuses_trial().filter(|_| is_trial) {
            let fix = "leave them out; to see what weir finds in a few records, give them to `weir redact`";
            let kind = Kind::Conflict(why.to_owned());
            self.problems.push(kind, &written.place("source.type"), fix);
        }
        self.tenants(&resolved);
        self.pack(&resolved, &written);
        match args.connect {
            true => self.connect(&resolved, &written),
            false => {
                let what = match &resolved.source {
                    crate::config::Source::Kafka(_) => "brokers",
                    _ => "stores",
                };
                self.skipped.push(format!("{what} (no --connect)"));
            }
        }
    }

    fn count(&mut self, path: &Path, written: &Written) {
        let settings = written.settings();
        let count = |origin| {
            settings
                .iter()
                .filter(|setting| setting.origin == origin)
                .count()
        };
        let parts = [
            (Origin::Default, "default"),
            (Origin::File, "file"),
            (Origin::Environment, "environment"),
            (Origin::Flag, "flag"),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(origin, _)| count(*origin) > 0)
            .map(|(origin, name)| format!("{} {name}", count(origin)))
            .collect();
        let detail = format!("{} keys: {}", settings.len(), parts.join(", "));
        self.ok(&path.display().to_string(), &detail);
    }

    fn explain(&mut self, written: &Written) {
        let dim = out::DIM;
        for setting in written.settings() {
            let origin = match &setting.at {
                Some(at) => at.to_string(),
                None => "default".to_owned(),
            };
            let _ = writeln!(
                self.explained,
                "{} = {}  {dim}# {origin}{dim:#}",
                setting.key, setting.value
            );
        }
        self.explained.push('\n');
    }

    fn tenants(&mut self, resolved: &Resolved) {
        let dir = &resolved.tenants.dir;
        let tenants = match Tenants::load(dir, resolved.tenants.default.as_deref()) {
            Ok(tenants) => tenants,
            Err(problems) => return self.problems.0.extend(problems.0),
        };
        let labels: usize = tenants
            .iter()
            .map(|policy| policy.labels.labels.len())
            .sum();
        let tests: usize = tenants.iter().map(|policy| policy.tests.len()).sum();
        let what = format!("{}/", dir.display());
        let tenant_count = counted(tenants.iter().count(), "tenant");
        self.ok(
            &what,
            &format!("{tenant_count}, {}", counted(labels, "label")),
        );
        if tests > 0 {
            self.skipped.push(format!(
                "{} of tenants (`weir test` runs them)",
                counted(tests, "example")
            ));
        }
    }

    /// Labels of a tenant that the pack can't well tell apart.
    fn clashes(&mut self, resolved: &Resolved, pack: &model::Pack) {
        let Ok(tenants) = Tenants::load(&resolved.tenants.dir, resolved.tenants.default.as_deref())
        else {
            return; // told already
        };
        let options = match super::engine::configured(resolved) {
            Ok(options) => options,
            Err(_) => return,
        };
        let encoder = model::Encoder::new(pack, options.runtime, options.label_cache);
        for policy in tenants.iter() {
            let labels = &policy.labels.labels;
            let wordings: Vec<&str> = labels.iter().map(|label| &*label.wording).collect();
            let vectors = match encoder.as_ref().map(|encoder| encoder.encode(&wordings)) {
                Ok(Ok(vectors)) => vectors,
                // Without ONNX Runtime, or with a label that is too long for the pack.
                Ok(Err(error)) => {
                    self.skipped.push(format!("likeness of labels ({error})"));
                    return;
                }
                Err(_) => return,
            };
            for a in 0..labels.len() {
                for b in a + 1..labels.len() {
                    let alike = vectors.alike(a, b);
                    if alike >= super::labels::CLASH {
                        let (a, b) = (&labels[a].name, &labels[b].name);
                        let dir = resolved.tenants.dir.display();
                        self.lines.push(format!(
                            "warn  {dir}/{}.toml  \"{a}\" and \"{b}\" have similarity {alike:.2}: the model may confuse them",
                            policy.tenant
                        ));
                    }
                }
            }
        }
    }

    /// Labels of tenants that a fixed head has no category for.
    fn categories(&mut self, resolved: &Resolved, pack: &model::Pack, written: &Written) {
        let Ok(tenants) = Tenants::load(&resolved.tenants.dir, resolved.tenants.default.as_deref())
        else {
            return; // told already
        };
        let encoder = resolved.model.category_encoder.as_ref();
        let encoder = encoder.map(|folder| {
            let pack = model::Pack::open(&folder.find()?)?;
            model::Encoder::new(&pack, resolved.model.runtime.clone(), None)
        });
        let (head, encoder) = match (model::Head::new(pack), encoder.transpose()) {
            (Ok(head), Ok(encoder)) => (head, encoder),
            (head, encoder) => {
                let head = head.err().map(|error| ("model.pack", error));
                let encoder = encoder.err().map(|error| ("model.category_encoder", error));
                for (key, error) in head.into_iter().chain(encoder) {
                    let fix = error.hint().unwrap_or("export the pack again");
                    let kind = Kind::Invalid(error.to_string());
                    self.problems.push(kind, &written.place(key), fix);
                }
                return;
            }
        };
        for policy in tenants.iter() {
            let labels = policy.labels.labels.iter().map(|label| &*label.wording);
            if let Err(error) = head.assign(labels, &resolved.model.categories, encoder.as_ref()) {
                let fix = error.hint().unwrap_or_default();
                let kind = Kind::Invalid(format!("tenant {}: {error}", policy.tenant));
                self.problems
                    .push(kind, &written.place("model.categories"), fix);
            }
        }
    }

    /// Operating points of tenants that the pack does not have.
    fn operating_points(&mut self, resolved: &Resolved, pack: &model::Pack, written: &Written) {
        let dir = &resolved.tenants.dir;
        let Ok(tenants) = Tenants::load(dir, resolved.tenants.default.as_deref()) else {
            return; // told already
        };
        match model::OperatingPoints::new(pack) {
            Ok(points) => {
                let problems = unfit(&tenants, dir, |set| {
                    points.knows(set.balance.operating_point.as_deref())
                });
                self.problems.0.extend(problems.0);
            }
            Err(error) => {
                let fix = error.hint().unwrap_or("export the pack again");
                let kind = Kind::Invalid(error.to_string());
                self.problems.push(kind, &written.place("model.pack"), fix);
            }
        }
    }

    /// What `weir model tune` found, and whether it is used here.
    fn tuned(&mut self, resolved: &Resolved, pack: &model::Pack, written: &Written) {
        let place = pack.folder().join("tuned.toml").display().to_string();
        let warn = |problem: &str| format!("warn  {place}  {problem}");
        let tuned = match Tuned::read(pack) {
            Ok(None) => return,
            Ok(Some(tuned)) => tuned,
            Err(error) => {
                let fix = "run `weir model tune` again, or remove the file";
                let kind = Kind::Invalid(error.to_string());
                self.problems.push(kind, &written.place("model.pack"), fix);
                return;
            }
        };
        let Ok(machine) = Machine::here(resolved.model.runtime.as_deref()) else {
            self.skipped
                .push("what the pack was tuned on (no ONNX Runtime)".to_owned());
            return;
        };
        match tuned.misfit(pack, &machine) {
            Some(misfit) => self.lines.push(warn(misfit)),
            None if tuned.lacks_copy(pack) => self.lines.push(warn(
                "its copy of the graph is gone or cut short and is not used: run `weir model tune` again",
            )),
            None => self.ok(&place, &format!("{}, measured here", tuned.graph)),
        }
    }

    fn pack(&mut self, resolved: &Resolved, written: &Written) {
        let found = resolved.model.pack.find();
        let verified = found.and_then(|folder| {
            let pack = model::Pack::open(&folder)?;
            pack.verify()?;
            Ok(pack)
        });
        match verified {
            Ok(pack) => {
                let family = pack.manifest().family;
                self.ok(
                    &pack.folder().display().to_string(),
                    &format!("{family}, sha256 match"),
                );
                self.tuned(resolved, &pack, written);
                self.operating_points(resolved, &pack, written);
                match family {
                    model::Kind::FixedHead => self.categories(resolved, &pack, written),
                    _ => self.clashes(resolved, &pack),
                }
            }
            Err(error) => {
                let fix = error
                    .hint()
                    .unwrap_or("set model.pack to the folder of a whole pack");
                self.problems.push(
                    Kind::Invalid(error.to_string()),
                    &written.place("model.pack"),
                    fix,
                );
            }
        }
    }

    /// Reaches the stores, listing the first object of the source and of the sink, and the brokers.
    fn connect(&mut self, resolved: &Resolved, written: &Written) {
        use crate::config::{Sink, Source};
        #[cfg(feature = "kafka")]
        self.brokers(resolved, written);
        // As the job opens them, but that nothing is made.
        if let Source::ObjectStore(source) = &resolved.source {
            let opened = Objects::open(run::object_source(source, &resolved.limits));
            let opened = opened.map(|objects| Some(objects.location().clone()));
            self.store("source.url", source.url.as_str(), opened, written);
        }
        if let Sink::ObjectStore(sink) = &resolved.sink {
            let opened = Location::planned(sink.url.as_str(), &sink.options);
            self.store("sink.url", sink.url.as_str(), opened, written);
        }
    }

    /// Asks a store for its first object.
    fn store(
        &mut self,
        key: &str,
        url: &str,
        opened: Result<Option<Location>, source::Error>,
        written: &Written,
    ) {
        let reached = opened.and_then(|location| match location {
            None => Ok("folder, will be made"),
            Some(location) => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime of one thread needs nothing but memory");
                runtime.block_on(location.connect())?;
                Ok(match location.folder() {
                    Some(_) => "folder",
                    None => "reached",
                })
            }
        });
        match reached {
            Ok(found) => self.ok(url, found),
            Err(error) => {
                let why = match &error {
                    source::Error::Store { source, .. } => kind_of(source),
                    source::Error::Folder { source, .. } => crate::config::reason(source),
                    error => error.to_string(),
                };
                let kind = Kind::Invalid(format!("`{key}` can't be reached: {why}"));
                let fix =
                    "look at the address, the credentials in the cloud's variables, and `options`";
                self.problems.push(kind, &written.place(key), fix);
            }
        }
    }

    /// A file besides the configuration: a Markdown page, a configuration, or a tenant.
    fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let kind = Kind::Unreadable {
                    what: "the file".to_owned(),
                    reason: crate::config::reason(&error),
                };
                let at = Place::File {
                    file: name.as_str().into(),
                    line: 1,
                    column: 1,
                };
                return self.problems.push(kind, &at, "give a readable file");
            }
        };
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        if !is_page {
            let checked = match is_configuration(&name, &text, 1) {
                true => check_configuration(&name, &text, 1),
                false => Policy::load(path).map(|_| ()),
            };
            return match checked {
                Ok(()) => self.ok(&name, ""),
                Err(problems) => self.problems.0.extend(problems.0),
            };
        }
        let fences = fences(&text);
        let mut sound = true;
        for (line, fence) in &fences {
            let checked = match is_configuration(&name, fence, *line) {
                true => check_configuration(&name, fence, *line),
                false => tenant::check_text(&name, fence, *line),
            };
            if let Err(problems) = checked {
                sound = false;
                self.problems.0.extend(problems.0);
            }
        }
        if sound {
            self.ok(&name, &counted(fences.len(), "TOML fence"));
        }
    }
}

/// Whether a text has a section that only configurations have.
fn is_configuration(name: &str, text: &str, line: usize) -> bool {
    let sections: BTreeSet<&str> = [
        "source",
        "sink",
        "tenants",
        "model",
        "batch",
        "limits",
        "pipeline",
        "telemetry",
    ]
    .into();
    crate::config::document::parse(name, text, line)
        .ok()
        .and_then(|document| {
            let entries = document.entries()?;
            Some(entries.iter().any(|entry| {
                sections.contains(entry.key.as_str()) && entry.node.entries().is_some()
            }))
        })
        .unwrap_or(false)
}

/// Checks the form. A fence of a page may show one section alone: what is missing is no error
/// unless the fence has a `[source]`.
fn check_configuration(name: &str, text: &str, line: usize) -> Result<(), Problems> {
    let whole = text
        .lines()
        .any(|line| line.trim_start().starts_with("[source]"));
    match Config::parse(name, text, line, [], &[]) {
        Ok(_) => Ok(()),
        Err(mut problems) => {
            if !whole {
                problems
                    .0
                    .retain(|problem| !matches!(problem.kind, Kind::MissingSection(_)));
            }
            problems.into_result()
        }
    }
}

/// TOML fences of a Markdown page with the line on which their text begins.
fn fences(page: &str) -> Vec<(usize, String)> {
    let mut fences = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (i, line) in page.lines().enumerate() {
        let trimmed = line.trim_start();
        match &mut open {
            Some((_, text, mark)) if !trimmed.starts_with(mark.as_str()) => {
                text.push_str(line);
                text.push('\n');
            }
            Some(_) => {
                let (line, text, _) = open.take().expect("it is open");
                fences.push((line, text));
            }
            None => {
                let ticks: String = trimmed
                    .chars()
                    .take_while(|c| *c == '`' || *c == '~')
                    .collect();
                if ticks.len() >= 3
                    && trimmed[ticks.len()..].trim().split([' ', ',']).next() == Some("toml")
                {
                    open = Some((i + 2, String::new(), ticks));
                }
            }
        }
    }
    fences
}

/// The kind of a store's error; its own message may hold a signed URL.
fn kind_of(error: &object_store::Error) -> String {
    match error {
        object_store::Error::NotFound { .. } => "not found",
        object_store::Error::PermissionDenied { .. } => "permission denied",
        object_store::Error::Unauthenticated { .. } => "the credentials are missing or wrong",
        object_store::Error::UnknownConfigurationKey { .. } => {
            "an option is not known to the store"
        }
        object_store::Error::InvalidPath { .. } => "the path is not valid",
        _ => "no usable answer",
    }
    .to_owned()
}
