//! Programs from PyPI, each in a virtual environment of its own in `target/`.

use std::path::PathBuf;
use std::process::Command;

/// Returns the program that has the name of its package; see [`program_of`].
#[allow(
    dead_code,
    reason = "not every binary that has this module uses all of it"
)]
pub fn program(package: &str, version: &str) -> Option<PathBuf> {
    program_of(package, &[(package, version)])
}

/// Returns a program of the first of these packages, or `python`, which can import all of them. Installs them unless
/// they are completely installed. Returns `None` if python3 is missing, with a message on stderr; panics in CI.
pub fn program_of(name: &str, packages: &[(&str, &str)]) -> Option<PathBuf> {
    let (package, version) = packages[0];
    let venv = target_dir().join(format!("{package}-{version}"));
    let in_venv = |name: &str| {
        if cfg!(windows) {
            venv.join(format!("Scripts/{name}.exe"))
        } else {
            venv.join("bin").join(name)
        }
    };
    let program = in_venv(name);
    // Written last, so that an installation that was interrupted is repeated.
    let installed = venv.join("installed");
    if installed.exists() && program.exists() {
        return Some(program);
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
    run(Command::new(in_venv("python"))
        .args(["-m", "pip", "install", "--quiet"])
        .args(pinned));
    assert!(program.exists(), "pip installed no {}", program.display());
    std::fs::write(installed, "").unwrap();
    Some(program)
}

/// Returns cargo's target folder: the program of this test is in its subfolder `debug/deps`.
pub fn target_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().to_owned()
}
