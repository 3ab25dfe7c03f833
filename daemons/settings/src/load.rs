//! From two paths to [`Settings`], or to everything that is wrong with them.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    decode::{self, Decoded},
    document::Document,
    fleet::Fleet,
    node::Node,
    overrides::{self, Variable},
    path::{KeyPath, Step},
    problem::{Problem, Problems, Severity},
    resolved::Settings,
    schema::File,
    units::ByteSize,
    validate::{self, Facts, Finding},
};

/// Where settings come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The path of `node.toml`; `.env` is looked for beside it.
    pub node: PathBuf,
    /// The variables of the environment.
    pub environment: Vec<(String, String)>,
    /// Tells the size of the disk that a path is on, though the path itself may not exist yet;
    /// `None` when it cannot be told.
    pub disk_size: fn(&Path) -> Option<ByteSize>,
}

impl Sources {
    /// These files with the environment of this process; variables that are not Unicode are left
    /// out.
    pub fn of_process(node: PathBuf, disk_size: fn(&Path) -> Option<ByteSize>) -> Self {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { node, environment: std::env::vars_os().filter_map(unicode).collect(), disk_size }
    }
}

/// Settings that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Both files.
    pub settings: Settings,
    /// What works, but probably not as meant.
    pub warnings: Vec<Problem>,
}

/// Reads `node.toml`, its overrides and the fleet file that it names.
///
/// # Errors
/// Every mistake in both files and in the variables, warnings among them.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let node_text = read(&sources.node, File::Node).map_err(|problem| Problems(vec![*problem]))?;
    let base = base_of(&sources.node);
    let env_file = sources.node.with_file_name(".env");
    let env_name = env_file.display().to_string();
    let (env_text, mut problems) = read_dotenv(&env_file);
    let mut variables = overrides::dotenv(&env_name, &env_text);
    variables.extend(
        sources
            .environment
            .iter()
            .filter(|(name, _)| name.starts_with(overrides::PREFIX))
            .map(|(name, value)| Variable { name, value, file: "environment", line: None }),
    );

    let (mut node_document, mut found) = Document::parse(&sources.node, &node_text);
    problems.append(&mut found);
    problems.append(&mut overrides::apply(&mut node_document, &variables));
    let mut node = decoded(&node_document, decode::node);
    if let Some(node) = &mut node.value {
        program_of_environment(node, &sources.environment);
    }
    problems.append(&mut node.problems);

    let fleet_file = match &node.value {
        Some(node) => sources.node.with_file_name("").join(&node.fleet),
        None => sources.node.with_file_name("fleet.toml"),
    };
    let fleet_text = match read(&fleet_file, File::Fleet) {
        Ok(text) => Some(text),
        Err(mut problem) => {
            // Which file is meant is not known before node.toml can be read.
            if node.value.is_some() {
                if let (Some(line), _) = node_document.locate(&KeyPath::of(["fleet"])) {
                    let file = &node_document.file;
                    problem.remedy =
                        format!("{}, or correct `fleet` on line {line} of {file}", problem.remedy);
                }
                problems.push(*problem);
            }
            None
        }
    };
    let (fleet_document, mut found) = Document::parse(&fleet_file, fleet_text.as_deref().unwrap_or_default());
    problems.append(&mut found);
    let mut fleet = if fleet_text.is_some() { decoded(&fleet_document, decode::fleet) } else { nothing() };
    problems.append(&mut fleet.problems);

    let facts =
        Facts { disk: node.value.as_ref().and_then(|node| (sources.disk_size)(&base.join(&node.data))) };
    let findings = findings(&fleet, &node, facts);
    problems.extend(findings.into_iter().map(|finding| {
        let document = if finding.file == File::Node { &node_document } else { &fleet_document };
        document.problem(&finding.path, finding.severity, finding.message, finding.remedy)
    }));
    let problems = Problems(problems).sorted();
    match (node.value, fleet.value) {
        (Some(node), Some(fleet)) if !problems.has_errors() => Ok(Loaded {
            settings: Settings { node, fleet, base, node_file: sources.node.clone(), fleet_file },
            warnings: problems.0,
        }),
        _ => Err(problems),
    }
}

/// Who sets `LEAFBOX_NATS_SERVER` in a shell names a program as seen from there; in `.env` it is
/// seen from that file's folder, as in `node.toml`.
fn program_of_environment(node: &mut Node, environment: &[(String, String)]) {
    let is_set = environment.iter().any(|(name, _)| name == "LEAFBOX_NATS_SERVER");
    if is_set
        && let Some(program) = node.nats_server.as_mut().filter(|program| program.components().count() > 1)
        && let Ok(absolute) = std::path::absolute(&*program)
    {
        *program = absolute;
    }
}

/// Everything wrong with one file alone, without overrides and without the other file.
pub fn check_file(file: File, path: &Path) -> Problems {
    match read(path, file) {
        Ok(text) => check_text(file, path, &text),
        Err(problem) => Problems(vec![*problem]),
    }
}

/// As [`check_file`], for text that is not in a file yet; `path` is how problems name it.
pub fn check_text(file: File, path: &Path, text: &str) -> Problems {
    let (document, mut problems) = Document::parse(path, text);
    let findings = match file {
        File::Fleet => {
            let mut fleet = decoded(&document, decode::fleet);
            problems.append(&mut fleet.problems);
            findings(&fleet, &nothing(), Facts::default())
        }
        File::Node => {
            let mut node = decoded(&document, decode::node);
            problems.append(&mut node.problems);
            findings(&nothing(), &node, Facts::default())
        }
    };
    problems.extend(
        findings.into_iter().map(|finding| {
            document.problem(&finding.path, finding.severity, finding.message, finding.remedy)
        }),
    );
    Problems(problems).sorted()
}

/// Reads a fleet from text, for an edit.
pub(crate) fn fleet_of_text(path: &Path, text: &str) -> Result<Fleet, Problems> {
    let problems = check_text(File::Fleet, path, text);
    if problems.has_errors() {
        return Err(problems);
    }
    let (document, _) = Document::parse(path, text);
    decode::fleet(&document).value.ok_or(problems)
}

/// A tree known to be incomplete is not read on: every key lost with a syntax error would be told
/// as missing.
fn decoded<'t, T>(document: &Document<'t>, decode: impl Fn(&Document<'t>) -> Decoded<T>) -> Decoded<T> {
    if document.has_syntax_errors { nothing() } else { decode(document) }
}

fn nothing<T>() -> Decoded<T> {
    Decoded { value: None, problems: Vec::new(), broken: BTreeSet::new() }
}

/// What the checks find in the parts of the files that have no mistakes.
fn findings(fleet: &Decoded<Fleet>, node: &Decoded<Node>, facts: Facts) -> Vec<Finding> {
    let broken_accounts: BTreeSet<String> = fleet
        .broken
        .iter()
        .filter_map(|area| match area.steps() {
            [_, Step::Key(account)] => Some(account.clone()),
            _ => None,
        })
        .collect();
    let mut findings = Vec::new();
    // Which nodes there are decides how many copies a store may have, and whether it travels.
    let nodes_unknown = fleet.broken.contains(&KeyPath::of(["nodes"]));
    if let Some(fleet) = fleet.value.as_ref().filter(|_| !nodes_unknown) {
        findings.extend(validate::of_fleet(fleet, &broken_accounts));
    }
    if let Some(node) = &node.value {
        findings.extend(validate::of_node(node, facts));
    }
    if let (Some(fleet_value), Some(node_value)) = (&fleet.value, &node.value)
        && fleet.broken.is_empty()
    {
        findings.extend(validate::of_both(fleet_value, node_value, facts));
    }
    // Which node it is decides what its other keys mean.
    let node_unknown = ["name", "role"].iter().any(|key| node.broken.contains(&KeyPath::of([key])));
    findings.retain(|finding| match finding.file {
        File::Fleet => !fleet.broken.contains(&finding.path.area()),
        File::Node => !node_unknown && !node.broken.contains(&finding.path.area()),
    });
    findings
}

fn base_of(node: &Path) -> PathBuf {
    let folder = node.with_file_name("");
    let folder = if folder.as_os_str().is_empty() { Path::new(".").to_owned() } else { folder };
    std::path::absolute(&folder).unwrap_or(folder)
}

fn read(path: &Path, file: File) -> Result<String, Box<Problem>> {
    fs::read_to_string(path).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => {
                format!(
                    "create it (the examples folder has one to start from), or give the path of {}",
                    file.name()
                )
            }
            io::ErrorKind::PermissionDenied => "let the user that runs leafbox read it".to_owned(),
            io::ErrorKind::IsADirectory => format!("give the path of {} in it", file.name()),
            _ => "check the path and the disk".to_owned(),
        };
        let message = match error.kind() {
            io::ErrorKind::InvalidData => "this file is not UTF-8 text".to_owned(),
            _ => format!("this file cannot be read: {error}"),
        };
        Box::new(of_file(path, message, remedy))
    })
}

fn read_dotenv(path: &Path) -> (String, Vec<Problem>) {
    match fs::read_to_string(path) {
        Ok(text) => (text, Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), Vec::new()),
        Err(error) => {
            let message = format!("this file cannot be read: {error}");
            (String::new(), vec![of_file(path, message, "repair or remove it".to_owned())])
        }
    }
}

fn of_file(path: &Path, message: String, remedy: String) -> Problem {
    Problem {
        file: path.display().to_string(),
        line: None,
        path: String::new(),
        found: None,
        message,
        remedy,
        severity: Severity::Error,
    }
}
