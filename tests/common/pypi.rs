//! Programs from PyPI, each in a virtual environment of its own in `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of a package of the same name; see [`program_of`].
pub fn program(package: &str, version: &str) -> Option<PathBuf> {
    program_of(package, &[(package, version)])
}

/// A program of the first of these packages. Installs them if they are not installed completely. Returns
/// `None` where there is no python3, with a message on stderr; fails in CI.
pub fn program_of(name: &str, packages: &[(&str, &str)]) -> Option<PathBuf> {
    installed(packages, |venv| {
        let program = in_venv(venv, name);
        program.exists().then_some(program)
    })
}

/// A Python that has this package, whose module is of the same name; otherwise as [`program_of`].
pub fn python_with(package: &str, version: &str) -> Option<PathBuf> {
    installed(&[(package, version)], |venv| {
        let python = in_venv(venv, "python");
        let import = format!("import {package}");
        let imported = Command::new(&python).args(["-c", &import]).output();
        imported
            .is_ok_and(|it| it.status.success())
            .then_some(python)
    })
}

/// What is looked for in the virtual environment of these packages.
fn installed(
    packages: &[(&str, &str)],
    look: impl Fn(&Path) -> Option<PathBuf>,
) -> Option<PathBuf> {
    let (package, version) = packages[0];
    let venv = target_dir().join(format!("{package}-{version}"));
    if let Some(found) = look(&venv) {
        return Some(found);
    }
    let python = ["python3", "python"].into_iter().find(|python| {
        let tried = Command::new(python)
            .args(["-c", "import venv, ensurepip"])
            .output();
        tried.is_ok_and(|output| output.status.success())
    });
    let Some(python) = python else {
        assert!(
            std::env::var_os("CI").is_none(),
            "these tests need python3 with venv"
        );
        eprintln!("skipped: this test needs python3 with venv, to run {package}");
        return None;
    };
    // pip writes the folder's path into the programs, so it cannot be moved afterwards.
    let _ = std::fs::remove_dir_all(&venv);
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command:?}: {text}");
    };
    run(Command::new(python).args(["-m", "venv"]).arg(&venv));
    let pinned = packages
        .iter()
        .map(|(package, version)| format!("{package}=={version}"));
    run(Command::new(in_venv(&venv, "python"))
        .args(["-m", "pip", "install", "--quiet"])
        .args(pinned));
    let found = look(&venv);
    assert!(found.is_some(), "pip did not install {package}");
    found
}

fn in_venv(venv: &Path, name: &str) -> PathBuf {
    if cfg!(windows) {
        venv.join(format!("Scripts/{name}.exe"))
    } else {
        venv.join("bin").join(name)
    }
}

/// The folder that cargo builds into: the program of this test is in `debug/deps` below it.
pub fn target_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().to_owned()
}
