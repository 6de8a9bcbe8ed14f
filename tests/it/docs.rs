//! Every command of README and the quickstart, word for word, as somebody types them who has nothing but weir.
//!
//! The commands of a page run one after the other in one shell that starts in an empty folder. `weir` is on the
//! PATH and nothing points it at a pack or at ONNX Runtime: it finds both by itself. What a page shows
//! below a command is compared with what the command prints.

use std::{fmt::Write as _, fs, path::Path, process::Command};

/// Commands that are not run, and why. Another command stands in where later ones need what they leave.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "make demo",
        "builds another profile for minutes; CI runs it as it is",
        "weir run --quiet --config examples/weir.toml",
    ),
    (
        "make demo-kafka",
        "starts a broker; tests/it/kafka.rs does the same",
        "",
    ),
    ("make test", "would run this test", ""),
    (
        "make chaos",
        "runs for an hour; tests/it/chaos.rs is a short one",
        "",
    ),
    (
        "make install PREFIX=\"$HOME/.local\"",
        "builds a release for half an hour; tests/it/install.rs runs it with the program of the tests",
        "",
    ),
];

/// A command of a page and what the page shows below it.
#[derive(Debug)]
struct Step {
    line: usize,
    command: String,
    shown: String,
}

/// The commands of the `console` fences of a page. A command goes on while its line ends in a pipe, a
/// backslash or `&&`.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    let mut open = false;
    for (number, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            assert!(!open, "line {number}: a command does not end");
            inside = line == "```console";
            continue;
        }
        if !inside {
            continue;
        }
        if open {
            let step = steps.last_mut().expect("it is open");
            step.command = format!("{}\n{line}", step.command);
        } else if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                line: number + 1,
                command: command.to_owned(),
                shown: String::new(),
            });
        } else {
            let step = steps.last_mut().expect("a fence begins with a command");
            step.shown += &format!("{line}\n");
            continue;
        }
        let end = line.split(" #").next().unwrap_or(line).trim_end();
        open = ["|", "\\", "&&"].iter().any(|more| end.ends_with(more));
    }
    steps
}

/// The command without a comment behind it.
fn bare(command: &str) -> &str {
    command.split("  #").next().unwrap_or(command).trim()
}

/// Scores are the model's, and the last digit of one may differ between processors.
fn without_scores(text: &str) -> String {
    regex::Regex::new(r"\|([^|\]]+) (?:\.\d\d|1\.00)\]")
        .unwrap()
        .replace_all(text, "|$1 .NN]")
        .into_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs the commands of a page; `clone` are folders of the repository that the page's reader has.
fn follow(page: &str, clone: &[&str]) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(repository.join(page)).unwrap();
    let steps = steps(&text);
    assert!(steps.len() > 5, "{page} has {} commands", steps.len());
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("empty");
    fs::create_dir_all(&folder).unwrap();
    for name in clone {
        copy(&repository.join(name), &folder.join(name));
    }
    let mut script = String::from("exec </dev/null\n");
    for (number, step) in steps.iter().enumerate() {
        let exception = EXCEPTIONS
            .iter()
            .find(|(command, _, _)| *command == bare(&step.command));
        let command = match exception {
            Some((_, _, "")) => ":",
            Some((_, _, stand_in)) => stand_in,
            None => &step.command,
        };
        let out = home.path().join(format!("{number}"));
        // Not in a subshell: `cd` and `export` hold for what follows.
        writeln!(
            script,
            "{{\n{command}\n}} >{0}.out 2>{0}.err\necho $? >{0}.code",
            out.display()
        )
        .unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_weir"));
    let programs = program.parent().unwrap().display().to_string();
    let shell = Command::new("bash")
        .args(["--norc", "-c", &script])
        .current_dir(&folder)
        .env_clear()
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env(
            "PATH",
            format!("{programs}:{}", std::env::var("PATH").unwrap()),
        )
        .env("EDITOR", "true")
        .output()
        .unwrap();
    assert!(
        shell.status.success(),
        "{page}: the shell ended early: {}",
        String::from_utf8_lossy(&shell.stderr)
    );
    let mut wrong = String::new();
    for (number, step) in steps.iter().enumerate() {
        let read = |end: &str| {
            let bytes = fs::read(home.path().join(format!("{number}.{end}"))).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (code, out) = (read("code"), read("out"));
        let differs = !step.shown.is_empty() && without_scores(&out) != without_scores(&step.shown);
        if code.trim() != "0" || differs {
            writeln!(
                wrong,
                "{page}:{} `{}`\nexit code {}shown:\n{}printed:\n{out}standard error:\n{}",
                step.line,
                step.command,
                code,
                step.shown,
                read("err")
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_command_of_the_readme_works_beside_the_examples() {
    follow("README.md", &["examples"]);
}

#[test]
fn every_command_of_the_quickstart_works_in_a_clone() {
    follow("docs/quickstart.md", &["examples"]);
}

#[test]
fn commands_and_what_is_shown_are_told_apart() {
    let page = "```console\n$ echo a |\n    cat\na\n$ true   # nothing\n```\n```toml\n$ = 1\n```\n";
    let steps = steps(page);
    let commands: Vec<&str> = steps.iter().map(|step| &*step.command).collect();
    assert_eq!(commands, ["echo a |\n    cat", "true   # nothing"]);
    assert_eq!(steps[0].shown, "a\n");
    assert_eq!(bare(commands[1]), "true");
    assert_eq!(
        without_scores("[Ana|person .94] [x|y pattern]"),
        "[Ana|person .NN] [x|y pattern]"
    );
}

#[test]
fn an_exception_is_a_command_of_a_page() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["README.md", "docs/quickstart.md"];
    let pages = pages.map(|page| fs::read_to_string(repository.join(page)).unwrap());
    for (command, why, _) in EXCEPTIONS {
        let named = pages
            .iter()
            .flat_map(|page| steps(page))
            .any(|step| bare(&step.command) == *command);
        assert!(named, "no page has `{command}` ({why})");
    }
}
